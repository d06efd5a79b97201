# shellcheck shell=sh
# release.sh - sourced by install.sh: a release beside the running one, the switch to it, and the way back.
#
# releases/VERSION is a Python environment with setup/ (this script and its files) inside; current and previous are links.
# A release is complete when its tag is: the tag holds the fingerprint of all that it was made from.

link_target() { basename -- "$(readlink -- "$OPT/$1" 2>/dev/null || true)"; } # of current or previous; may be empty

release_fingerprint() {
  {
    printf '%s\n' "$PYTHON_MINOR" "$machine"
    sources
    (cd "$REPO" && find install.sh firmware_config -path firmware_config/demo -prune -o -type f ! -name '*.pyc' \
      -exec sha256sum {} + | LC_ALL=C sort)
  } | sha256sum | cut -d ' ' -f 1
}

is_complete() { [ "$(cat -- "$OPT/releases/$1/$COMPLETE_TAG" 2>/dev/null)" = "$2" ]; }

# Sets RELEASE: the version, or version+fingerprint where other sources were installed under that version already.
choose_release() {
  version=$(sed -n 's/^version = "\([0-9A-Za-z.+-]*\)"$/\1/p' "$REPO/pyproject.toml" | head -n 1)
  [ -n "$version" ] || die "$EX_DATAERR" "pyproject.toml names no version"
  FINGERPRINT=$(release_fingerprint)
  OLD_RELEASE=$(link_target current)
  RELEASE=$version
  if [ -e "$OPT/releases/$version/$COMPLETE_TAG" ] && ! is_complete "$version" "$FINGERPRINT"; then
    RELEASE=$version+$(printf '%.8s' "$FINGERPRINT")
  fi
  VENV=$OPT/releases/$RELEASE
  # The one that runs is never built over, however damaged: if that fails there would be none.
  if [ "$RELEASE" = "$OLD_RELEASE" ] && ! { is_complete "$RELEASE" "$FINGERPRINT" && release_works >/dev/null 2>&1; }; then
    case $RELEASE in
      *+*) RELEASE=$RELEASE.again ;;
      *) RELEASE=$version+$(printf '%.8s' "$FINGERPRINT") ;;
    esac
    VENV=$OPT/releases/$RELEASE
  fi
}

release_works() { "$VENV/bin/python" -c 'import cv2, onnxruntime, edge' && "$VENV/bin/kiosk-guard" version >/dev/null; }

build_release() {
  if is_complete "$RELEASE" "$FINGERPRINT" && release_works >/dev/null 2>&1; then
    say "Release $RELEASE: already installed."
    return 0
  fi
  ! would "install release $RELEASE into $VENV" || return 0
  say "Installing release $RELEASE into $VENV ..."
  BUILT=$VENV # goes away again if a step fails, now or later
  rm -rf -- "$VENV"
  if [ -n "$OFFLINE" ]; then
    make_venv --without-pip
    set -- "$OFFLINE"/pip-*.whl
    PIP_FROM=$1/pip
    run_pip install --no-index --find-links "$OFFLINE" --only-binary=:all: "kiosk-guard${IS_PI:+[pi]} == $version"
  else
    make_venv
    run_pip install --only-binary=:all: "${REPO}${IS_PI:+[pi]}"
  fi
  [ -z "${NEED_LGPIO:-}" ] || link_lgpio
  copy_setup
  release_works || die "$EX_UNAVAILABLE" "release $RELEASE is installed but does not start (see above)"
  sync
  printf '%s\n' "$FINGERPRINT" >"$VENV/$COMPLETE_TAG"
  sync
}

# The system's own lgpio, and nothing else of the system's, seen from inside.
link_lgpio() {
  "$PYTHON" -c 'import lgpio, _lgpio
print(lgpio.__file__)
print(_lgpio.__file__)' 2>/dev/null | while read -r file; do
    ln -s -- "$file" "$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/"
  done
}

copy_setup() { # what --uninstall and an upgrade need of this clone
  mkdir -p -- "$VENV/setup"
  (cd "$REPO" && find install.sh README.md LICENSE firmware_config \
    -path firmware_config/demo -prune -o -type f ! -name '*.pyc' -print) | while read -r file; do
    mkdir -p -- "$VENV/setup/$(dirname -- "$file")"
    cp -p -- "$REPO/$file" "$VENV/setup/$file"
  done
  chown -R 0:0 -- "$VENV/setup" 2>/dev/null || true
}

# The new release must understand the configuration that is there, unless the old one did not either.
try_config() {
  if [ -n "$DRY_RUN" ] || [ ! -e "$CONFIG" ] || "$VENV/bin/kiosk-guard" check-config "$CONFIG" >"$LOG" 2>&1; then return 0; fi
  if [ -n "$OLD_RELEASE" ] && ! "$OPT/current/bin/kiosk-guard" check-config "$CONFIG" >/dev/null 2>&1; then
    warn "$CONFIG was faulty before and still is; see: kiosk-guard check-config"
    return 0
  fi
  cat -- "$LOG" >&2
  die "$EX_DATAERR" "release $RELEASE does not accept $CONFIG (see above)" "Mend it and run install.sh again."
}

point() { # LINK RELEASE: in one step, so that a power cut leaves the old or the new
  ln -sfn -- "releases/$2" "$OPT/.$1.new"
  mv -fT -- "$OPT/.$1.new" "$OPT/$1"
}

switch_release() {
  [ "$OLD_RELEASE" != "$RELEASE" ] || return 0
  ! would "switch from ${OLD_RELEASE:-nothing} to $RELEASE" || return 0
  say "Switching from ${OLD_RELEASE:-nothing} to $RELEASE."
  SWITCHED=1
  begin_trial
  point current "$RELEASE"
  [ -z "$OLD_RELEASE" ] || point previous "$OLD_RELEASE"
  sync
}

# A power cut after the switch is followed by a boot with a release that nobody has seen running: the updater judges it
# then like one of its own, and goes back by itself.
begin_trial() {
  [ -n "$OLD_RELEASE" ] || return 0
  TRIAL=1
  "$PYTHON" -I "$ROOT/usr/local/lib/kiosk-guard/kiosk_guard_update.py" trial "$RELEASE"
}

end_trial() { # seen running, or taken back
  [ -n "$TRIAL" ] || return 0
  rm -f -- "$VAR-update/trial.json"
  TRIAL=''
  sync
}

# Active, and still active without a new start some seconds later.
is_steady() {
  starts=$(systemctl show -p NRestarts --value "$UNIT")
  for _ in 1 2 3 4 5 6; do
    [ "$(systemctl show -p ActiveState --value "$UNIT")" = active ] || return 1
    [ "$(systemctl show -p NRestarts --value "$UNIT")" = "$starts" ] || return 1
    sleep 1
  done
}

start_service() {
  if [ "$UNIT_WAS" = disabled ] || [ "$UNIT_WAS" = masked ]; then
    warn "$UNIT is $UNIT_WAS on this box, so it is not started; enable it with: systemctl enable --now kiosk-guard"
    return 0
  fi
  if [ -z "${SWITCHED:-}" ] && ! changed '*/systemd/system/kiosk-guard.service*' && [ -z "${CONFIG_CHANGED:-}" ] &&
    systemctl -q is-active "$UNIT"; then
    say "The service is running."
    return 0
  fi
  ! would "start the service" || return 0
  say "Starting the service ..."
  if ! systemctl restart "$UNIT" || ! is_steady; then
    journalctl -q -n 15 -o cat -u "$UNIT" >&2 || true
    die "$EX_SOFTWARE" "release $RELEASE does not keep running (see above)" "All of it: journalctl -u kiosk-guard"
  fi
  if [ -n "${SWITCHED:-}" ] && [ -n "$OLD_GUARDED" ] && in_fault; then
    systemctl show -p StatusText --value "$UNIT" >&2
    die "$EX_SOFTWARE" "release $RELEASE does not guard here (see above), and the one before did" \
      "Mend what it says, or report it, and run install.sh again."
  fi
}

enable_units() {
  while read -r each; do
    name=${each##*/}
    if [ ! -e "$each" ] || ! grep -q '^\[Install\]' "$each"; then continue; fi
    state=$(systemctl is-enabled "$name" 2>/dev/null || true)
    [ "$name" != "$UNIT" ] || [ -n "${UNIT_WAS:-}" ] || UNIT_WAS=$state
    # Seen before and not enabled: somebody wanted it so.
    if [ "$state" = enabled ] || { [ -n "$OLD_RELEASE" ] && grep -qxF "$ROOT/etc/systemd/system/$name" "$PUT_BEFORE"; }; then
      continue
    fi
    ! would "enable $name" || continue
    systemctl -q enable "$name"
    ENABLED="${ENABLED:-} $name"
    [ "$name" != "$UNIT" ] || UNIT_WAS=enabled
    case $name in *.service) ;; *) systemctl start "$name" ;; esac
  done <<LIST
$(unit_files)
LIST
}

prune_releases() { # SD cards are small: only what runs and what ran before stays
  [ -z "$DRY_RUN" ] || return 0
  for each in "$OPT"/releases/*/; do
    name=$(basename -- "$each")
    if [ "$name" = "$(link_target current)" ] || [ "$name" = "$(link_target previous)" ] || [ ! -e "$each/$OWNER_TAG" ]; then
      continue
    fi
    say "Removing release $name."
    rm -rf -- "$each"
  done
}

drop_built() { # what was built and is not to stay; never what runs
  [ -z "${BUILT:-}" ] || [ "$(link_target current)" = "$(basename -- "$BUILT")" ] || rm -rf -- "$BUILT"
}

# Up, but only to say what is wrong (fault mode); the words are what systemd shows as the unit's state.
in_fault() { case $(systemctl show -p StatusText --value "$UNIT" 2>/dev/null) in FAULT*) return 0 ;; esac; return 1; }

# Called however the script ends. What was begun and not finished is undone; the old version runs on. Nothing may keep it
# from its end: not a terminal that is gone, not a second Ctrl-C, not a disk that is full.
roll_back() {
  code=$?
  trap - EXIT
  trap '' HUP INT TERM PIPE
  set +e
  rm -f -- "$LOG"
  if [ -n "$RECORDING" ]; then
    say "Undoing what was begun ..." >&2
    for each in ${ENABLED:-}; do
      systemctl -q disable "$each" 2>/dev/null || true
      case $each in *.service) ;; *) systemctl stop "$each" 2>/dev/null || true ;; esac
    done
    [ -n "$OLD_RELEASE" ] || systemctl stop "$UNIT" 2>/dev/null || true
    if [ -n "${SWITCHED:-}" ]; then
      if [ -n "$OLD_RELEASE" ]; then point current "$OLD_RELEASE"; else rm -f -- "$OPT/current"; fi
      if [ -n "$PREVIOUS_RELEASE" ]; then point previous "$PREVIOUS_RELEASE"; else rm -f -- "$OPT/previous"; fi
    fi
    drop_built # before the files: they may need the room
    restore_old
    [ -z "${SWITCHED:-}" ] || end_trial
    systemctl daemon-reload || true
    [ -z "$WAS_ACTIVE" ] || systemctl restart "$UNIT" || true
    rm -rf -- "$UNDO"
    if [ -n "$OLD_RELEASE" ]; then
      say "Release $OLD_RELEASE is in place again, the service is $(systemctl is-active "$UNIT" || true)." >&2
    fi
  fi
  [ "$code" = 0 ] || drop_built
  if [ -n "${TRIAL:-}" ]; then # one that was there before: go on judging
    exec 8>&-
    systemctl start --no-block kiosk-guard-update-judge.service || true
  fi
  sync
  exit "$code"
}
