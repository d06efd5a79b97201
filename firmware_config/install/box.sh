# shellcheck shell=sh
# box.sh - sourced by install.sh: the steps that make this machine a box, in order.

set_up_box() {
  umask 022 # whatever root is used to: the service must be able to read its release
  export PIP_NO_CACHE_DIR=1 # 120 MB that nobody would use again
  check_box
  [ -n "$DRY_RUN" ] || prepare_folder
  install_missing_packages
  choose_release
  build_release
  try_config
  begin
  put_system_files
  apply_system_files
  put_configuration
  switch_release
  enable_units
  start_service
  finish
}

prepare_folder() {
  if [ -d "$OPT" ] && [ ! -e "$OPT/$OWNER_TAG" ] && [ -n "$(ls -A -- "$OPT")" ]; then
    die "$EX_CANTCREAT" "$OPT exists and was not made by install.sh" "Move it away and run install.sh again."
  fi
  mkdir -p -- "$OPT" # the mark first: a folder with something in it and without one is somebody else's
  [ -e "$OPT/$OWNER_TAG" ] || : >"$OPT/$OWNER_TAG"
  mkdir -p -- "$OPT/releases"
  [ ! -e "$ETC/.made" ] || mv -f -- "$ETC/.made" "$MADE" # left by --uninstall without --purge
  lock "$OPT/$OWNER_TAG" "this machine"
  lock_updater
  if [ -d "$UNDO" ]; then # the power went, or somebody killed it
    warn "an earlier run was cut off; putting its files back first"
    restore_old
    rm -rf -- "$UNDO"
    systemctl daemon-reload
  fi
  trap roll_back EXIT
}

# A trial after a boot makes way: whoever runs this stands by and judges.
lock_updater() {
  TRIAL=''
  if [ -e "$VAR-update/trial.json" ]; then
    TRIAL=1
    systemctl stop kiosk-guard-update-judge.service 2>/dev/null || true
  fi
  hold_updater
}

install_missing_packages() {
  [ -n "$PACKAGES" ] || return 0
  ! would "install$PACKAGES with apt-get" || return 0
  dpkg-query -W -f '${Package}\n' | sort >"$OPT/.packages-before"
  # shellcheck disable=SC2086  # names of packages, split on purpose
  install_packages "what Kiosk Guard needs of the system" $PACKAGES
  dpkg-query -W -f '${Package}\n' | sort | comm -13 "$OPT/.packages-before" - | while read -r name; do made package "$name"; done
  rm -f -- "$OPT/.packages-before"
  find_python || die "$EX_UNAVAILABLE" "python3 was installed but cannot be used here;${seen:- it does not start}"
  has_venv || die "$EX_UNAVAILABLE" "$PYTHON still cannot make a venv after$PACKAGES was installed"
}

begin() { # from here on everything is undone if a step fails
  PUT_BEFORE=$OPT/.files-before UNIT_WAS='' WAS_ACTIVE='' SWITCHED='' ENABLED='' CONFIG_CHANGED='' OLD_GUARDED=''
  PREVIOUS_RELEASE=$(link_target previous)
  if [ -n "$DRY_RUN" ]; then
    PUT_BEFORE=$PUT
    return 0
  fi
  ! systemctl -q is-active "$UNIT" || WAS_ACTIVE=1
  [ -z "$WAS_ACTIVE" ] || [ -z "$OLD_RELEASE" ] || in_fault || OLD_GUARDED=1
  rm -rf -- "$UNDO"
  mkdir -- "$UNDO"
  cat -- "$PUT" >"$PUT_BEFORE" 2>/dev/null || : >"$PUT_BEFORE"
  RECORDING=1
}

# Never overwritten: it is the operator's. What this version knows in all lies beside it.
put_configuration() {
  template=$REPO/firmware_config/kiosk-guard.toml
  example=$CONFIG.example
  if ! cmp -s -- "$template" "$example" && ! would "write $example"; then
    if [ -e "$example" ] && [ -e "$CONFIG" ]; then
      say "$CONFIG stays as it is. New in this version (explained in $example):"
      new_keys "$example" "$template"
    fi
    put_readable "$template" "$example"
  fi
  if [ -n "$SITE" ]; then
    put_site
  elif [ ! -e "$CONFIG" ]; then
    ! would "write $CONFIG" || return 0
    say "Writing $CONFIG; every key of it is explained there."
    put_readable "$template" "$CONFIG"
    CONFIG_CHANGED=1
  fi
}

put_readable() { # SOURCE TARGET: for root to write and the service to read
  keep_old "$2"
  cp -- "$1" "$2.new"
  chmod 640 "$2.new"
  chgrp kiosk-guard "$2.new"
  mv -f -- "$2.new" "$2"
  wrote "$2"
}

# What is particular to this box. It may ask on the terminal, and never does without one.
put_site() {
  ! would "write $CONFIG and the passwords from $SITE" || return 0
  for each in "$CONFIG" "$ETC/mail-password" "$ETC/camera-password" "$ETC/.made-from-site"; do keep_old "$each"; done
  before=$(cat -- "$CONFIG" "$ETC"/*-password 2>/dev/null | sha256sum)
  "$VENV/bin/kiosk-guard" provision "$SITE" --config "$CONFIG" --template "$template" ||
    die "$EX_DATAERR" "the site file was not accepted (see above)" "Mend $SITE and run install.sh again."
  for each in "$CONFIG" "$ETC/mail-password" "$ETC/camera-password" "$ETC/.made-from-site"; do wrote "$each"; done
  [ "$before" = "$(cat -- "$CONFIG" "$ETC"/*-password 2>/dev/null | sha256sum)" ] || CONFIG_CHANGED=1
}

new_keys() { # OLD NEW: lines of the new one that set a key which the old one does not have
  "$VENV/bin/python" - "$1" "$2" <<'PY'
import re
import sys


def keys(path):
    table, found = "", []
    for line in open(path, encoding="utf-8"):
        if match := re.match(r"#? ?\[+([\w.]+)\]+", line):
            table = match[1]
        elif match := re.match(r"(?:# )?(\w+) = ", line):
            found.append(f"[{table}] {match[1]}")
    return found


old = set(keys(sys.argv[1]))
for key in dict.fromkeys(keys(sys.argv[2])):
    if key not in old:
        print(f"[install]   {key}")
PY
}

finish() {
  if [ -n "$DRY_RUN" ]; then
    say "A dry run: nothing was changed."
    return 0
  fi
  end_trial
  RECORDING='' BUILT='' # whatever happens now, this release stays
  rm -rf -- "$UNDO" "$PUT_BEFORE"
  prune_releases
  sync
  choose_model
  if has_command doctor; then consult_doctor; fi
  if [ -z "$OLD_RELEASE" ] && has_command label; then
    if [ -t 1 ]; then # it shows the health page's token, once: for a person's eyes, not for a log
      "$VENV/bin/kiosk-guard" label --config "$CONFIG" || true
    else
      say "What belongs on the box's label:  sudo kiosk-guard label"
    fi
  fi
  say "Done: Kiosk Guard $RELEASE, the service is $(systemctl is-active "$UNIT" || true). Configuration: $CONFIG"
}

has_command() { "$VENV/bin/kiosk-guard" --help | grep -q "^ *$1 "; }

choose_model() { # how the model runs soonest on this very box; whatever goes wrong, it runs as it would without
  state=$VAR/model-choice.json
  [ -n "$SWITCHED" ] || [ ! -e "$state" ] || return 0
  "$VENV/bin/kiosk-guard" bench --help 2>/dev/null | grep -q -- --choose || return 0
  say "Measuring how the model runs fastest here (kiosk-guard bench --choose) ..."
  before=$(cat "$state" 2>/dev/null || true)
  if ! timeout 300 "$VENV/bin/kiosk-guard" bench --choose --frames 0 --config "$CONFIG" </dev/null; then
    warn "not measured; later: sudo kiosk-guard bench --choose"
  elif [ "$(cat "$state" 2>/dev/null || true)" != "$before" ]; then
    systemctl try-restart "$UNIT" || warn "$UNIT did not start again; see: journalctl -u $UNIT"
  fi
}

consult_doctor() { # what it finds is for a person to mend, and no reason to take the version back
  say "Trying every part of the box (kiosk-guard doctor) ..."
  code=0
  timeout 120 "$VENV/bin/kiosk-guard" doctor --config "$CONFIG" </dev/null || code=$?
  case $code in
    0) ;;
    1) warn "doctor found something that should be mended (above)" ;;
    *) warn "doctor found a fault (above): this box does not guard yet" ;;
  esac
}
