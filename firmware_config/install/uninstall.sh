# shellcheck shell=sh
# uninstall.sh - sourced by install.sh --uninstall: everything that install.sh put here goes away.

uninstall() {
  [ -n "$DRY_RUN" ] || [ "$(id -u)" -eq 0 ] || die "$EX_NOPERM" "removing a box's software needs root" "Run:  sudo ./install.sh --uninstall"
  if [ ! -e "$OPT/$OWNER_TAG" ] && { [ -z "$PURGE" ] || [ ! -d "$ETC" ]; }; then
    say "Kiosk Guard is not installed here."
    return 0
  fi
  [ ! -e "$OPT/$OWNER_TAG" ] || lock "$OPT/$OWNER_TAG" "this machine"
  if [ -z "$DRY_RUN" ] && [ -d "$VAR-update" ]; then # its units end now; what somebody runs by hand is waited for
    systemctl stop kiosk-guard-update.service kiosk-guard-update-judge.service 2>/dev/null || true
    hold_updater
  fi
  [ -e "$MADE" ] || MADE=$ETC/.made
  stop_units
  remove_files
  if [ -n "$PURGE" ]; then purge; else keep_record; fi
  remove_software
  [ -n "$DRY_RUN" ] || sync
  if [ -n "$DRY_RUN" ]; then
    say "A dry run: nothing was changed."
  elif [ -n "$PURGE" ]; then
    say "Done: nothing of Kiosk Guard is left."
  else
    say "Done. $ETC and $VAR are still there; --purge removes them, too."
  fi
}

# What is listed, and what a run that was cut off had put there and not listed yet; never the operator's own.
put_files() {
  cat -- "$PUT" 2>/dev/null || true
  grep -vsF -e "$ETC/" -e "$OPT/" -e "$VAR/" -- "$UNDO/new" || true
}

stop_units() {
  put_files | while read -r path; do
    case $path in
      */systemd/system/*.service | */systemd/system/*.timer | */systemd/system/*.path | */systemd/system/*.socket)
        would "stop and disable ${path##*/}" || systemctl -q disable --now "${path##*/}" </dev/null || true
        ;;
    esac
  done
}

remove_files() {
  put_files | while read -r path; do would "remove $path" || rm -f -- "$path" "$path.new"; done
  [ -z "$DRY_RUN" ] || return 0
  rm -rf -- "$ROOT/usr/local/lib/kiosk-guard/__pycache__" # Python's, of the updater
  remove_made_folders
  rm -f -- "$ROOT"/var/lib/systemd/timers/stamp-kiosk-guard*
  rmdir -- "$ROOT/var/lib/systemd/timers" 2>/dev/null || true # there since the first timer with a memory; ours, if empty
  systemctl daemon-reload
  if put_files | grep -q journald.conf.d; then systemctl restart systemd-journald.service; fi
  { udevadm control --reload; } >/dev/null 2>&1 || true
  systemctl reset-failed 'kiosk-guard*' 2>/dev/null || true
}

remove_made_folders() { # the deepest first, and only what is empty
  [ -e "$MADE" ] || return 0
  sed -n 's/^folder //p' "$MADE" | sort -r | while read -r folder; do rmdir -- "$folder" 2>/dev/null || true; done
}

keep_record() { # a later --purge must know what was not there before
  if [ -n "$DRY_RUN" ] || [ ! -e "$MADE" ] || [ "$MADE" = "$ETC/.made" ]; then return 0; fi
  cp -- "$MADE" "$ETC/.made"
}

purge() {
  ! would "remove $ETC, $VAR, the user kiosk-guard and what was installed for it" || return 0
  packages=$(sed -n 's/^package //p' "$MADE" 2>/dev/null | tr '\n' ' ')
  groups=$(sed -n 's/^group //p' "$MADE" 2>/dev/null)
  say "Removing $ETC, $VAR and the user kiosk-guard."
  rm -rf --one-file-system -- "$ETC" "$VAR" "$VAR-update"
  ! getent passwd kiosk-guard >/dev/null || userdel kiosk-guard 2>/dev/null || warn "the user kiosk-guard could not be removed"
  ! getent group kiosk-guard >/dev/null || groupdel kiosk-guard || true
  for group in $groups; do
    if [ "$(getent group "$group" | cut -d : -f 4)" = '' ]; then groupdel "$group" 2>/dev/null || true; fi
  done
  remove_packages
}

remove_packages() { # only what we brought, and only if nothing else has come to need it
  [ -n "$packages" ] || return 0
  # shellcheck disable=SC2086  # names of packages, split on purpose
  also=$(apt-get -s purge $packages 2>/dev/null | awk '/^(Purg|Remv) / { print $2 }' | while read -r name; do
    case " $packages" in *" $name "*) ;; *) printf '%s ' "$name" ;; esac
  done)
  if [ -n "$also" ]; then
    warn "these packages came with Kiosk Guard and stay, because others need them now: $packages"
    return 0
  fi
  say "Removing the packages that came with it: $packages"
  # shellcheck disable=SC2086  # names of packages, split on purpose
  DEBIAN_FRONTEND=noninteractive apt-get -q -y purge $packages </dev/null >"$LOG" 2>&1 || {
    tail -n 5 "$LOG" >&2
    warn "apt-get could not remove them"
  }
}

remove_software() {
  [ -d "$OPT" ] || return 0
  ! would "remove $OPT" || return 0
  say "Removing $OPT."
  rm -rf --one-file-system -- "$OPT"
}
