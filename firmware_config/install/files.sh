# shellcheck shell=sh
# files.sh - sourced by install.sh: where a box keeps what, and putting files there so that it can be undone.

ROOT=${KIOSK_GUARD_INSTALL_ROOT:-} # the tests' own root; empty on a box
OPT=$ROOT/opt/kiosk-guard          # releases/VERSION, current, previous; all root's
ETC=$ROOT/etc/kiosk-guard          # configuration and secrets
VAR=$ROOT/var/lib/kiosk-guard      # the service's state
CONFIG=$ETC/kiosk-guard.toml
UNIT=kiosk-guard.service
UNDO=$OPT/.undo     # what was there before, while a change is under way
PUT=$OPT/.files     # every file that we put outside OPT, ETC and VAR
MADE=$OPT/.made     # folders, groups and packages that were not there before us
CHANGED='' RECORDING=''

# kiosk-guard-update changes the same folders.
hold_updater() {
  command -v flock >/dev/null 2>&1 || return 0
  mkdir -p -- "$VAR-update"
  exec 8>>"$VAR-update/.lock"
  flock -n 8 || die "$EX_TEMPFAIL" "kiosk-guard-update is at work on this machine" \
    "Wait until it is done, half an hour at most: kiosk-guard-update status"
}

would() { # WHAT: true in a dry run, which only says so
  [ -n "$DRY_RUN" ] || return 1
  say "Would $1."
}

made() { # KIND NAME: remembered for --uninstall
  grep -qxF "$1 $2" "$MADE" 2>/dev/null || printf '%s\n' "$1 $2" >>"$MADE"
}

make_folder() {
  [ ! -d "$1" ] || return 0
  make_folder "$(dirname -- "$1")"
  mkdir -- "$1"
  made folder "$1"
}

keep_old() { # FILE: as it is now, for roll_back
  [ -n "$RECORDING" ] || return 0
  if [ -e "$1" ] || [ -L "$1" ]; then
    mkdir -p -- "$UNDO/old$(dirname -- "$1")"
    cp -Pp -- "$1" "$UNDO/old$1"
    [ -L "$1" ] || sync -- "$UNDO/old$1" # after a power cut it must be whole
  else
    printf '%s\n' "$1" >>"$UNDO/new"
  fi
}

# A run that was cut off is undone by the next one, weeks later perhaps: what somebody has written since stays.
wrote() { # FILE: one that people change, too, as we wrote it
  [ -z "$RECORDING" ] || [ ! -e "$1" ] || sha256sum -- "$1" >>"$UNDO/wrote"
}

changed_since() { # FILE
  [ -e "$1" ] && grep -qsF -- "  $1" "$UNDO/wrote" && ! grep -qxF -- "$(sha256sum -- "$1")" "$UNDO/wrote"
}

restore_old() {
  [ ! -e "$UNDO/new" ] || while read -r path; do
    if changed_since "$path"; then warn "$path was changed since, and stays"; else rm -f -- "$path"; fi
  done <"$UNDO/new"
  [ ! -d "$UNDO/old" ] || (cd "$UNDO/old" && find . ! -type d) | while read -r path; do
    if changed_since "${path#.}"; then
      warn "${path#.} was changed since, and stays"
      continue
    fi
    cp -Pp -- "$UNDO/old/$path" "/$path.restored" && mv -fT -- "/$path.restored" "/$path"
  done
}

# fits_here FILE: a first line "# needs systemd 254" or "# needs Raspberry Pi" limits where a file is of use.
fits_here() {
  needs=$(sed -n '1s/^# needs //p' "$1")
  case $needs in
    '') return 0 ;;
    "Raspberry Pi") [ -n "$IS_PI" ] ;;
    "systemd "*) [ "$SYSTEMD_VERSION" -ge "${needs#systemd }" ] ;;
    *) die "$EX_SOFTWARE" "$1: cannot tell what this means: # needs $needs" ;;
  esac
}

put_file() { # SOURCE TARGET
  fits_here "$1" || return 0
  printf '%s\n' "$2" >>"$LISTED"
  mode=644
  [ ! -x "$1" ] || mode=755
  if cmp -s -- "$1" "$2" && { [ "$mode" = 644 ] || [ -x "$2" ]; }; then return 0; fi
  CHANGED="$CHANGED $2"
  ! would "write $2" || return 0
  keep_old "$2"
  make_folder "$(dirname -- "$2")"
  cp -- "$1" "$2.new"
  chmod "$mode" "$2.new"
  sync -- "$2.new" # a power cut leaves the old file or the new one: an empty unit would be a masked one
  mv -f -- "$2.new" "$2"
}

unit_files() { # the service's own, and those of the updater, which lies outside every release
  for each in "$REPO/firmware_config/systemd" "$REPO/firmware_config/update"; do
    find "$each" -maxdepth 1 -name '*.service' -o -name '*.timer' -o -name '*.path' -o -name '*.socket' 2>/dev/null | LC_ALL=C sort
  done
}

# Units, their drop-ins, users, folders, devices, the journal's limits; what an earlier version had and this one has not
# goes away.
put_system_files() {
  LISTED=$(mktemp)
  from=$REPO/firmware_config
  while read -r each; do put_file "$each" "$ROOT/etc/systemd/system/${each##*/}"; done <<LIST
$(unit_files)
LIST
  for each in "$from"/systemd/*.d/*.conf; do
    folder=$(basename -- "$(dirname -- "$each")")
    case $folder in
      system.conf.d) put_file "$each" "$ROOT/etc/systemd/$folder/${each##*/}" ;;
      *) put_file "$each" "$ROOT/etc/systemd/system/$folder/${each##*/}" ;;
    esac
  done
  for each in "$from"/journald/*.conf; do put_file "$each" "$ROOT/etc/systemd/journald.conf.d/${each##*/}"; done
  for each in "$from"/sysusers.d/*.conf; do put_file "$each" "$ROOT/etc/sysusers.d/${each##*/}"; done
  for each in "$from"/tmpfiles.d/*.conf; do put_file "$each" "$ROOT/etc/tmpfiles.d/${each##*/}"; done
  for each in "$from"/udev/*.rules; do put_file "$each" "$ROOT/etc/udev/rules.d/${each##*/}"; done
  for each in "$from"/update/*.py; do
    [ ! -e "$each" ] || put_file "$each" "$ROOT/usr/local/lib/kiosk-guard/${each##*/}"
  done
  put_command kiosk-guard "$OPT/current/bin/kiosk-guard"
  [ ! -e "$from/update/kiosk_guard_update.py" ] ||
    put_command kiosk-guard-update "$ROOT/usr/local/lib/kiosk-guard/kiosk_guard_update.py"
  [ ! -e "$PUT" ] || while read -r old; do
    grep -qxF -- "$old" "$LISTED" || remove_stale "$old"
  done <"$PUT"
  if [ -z "$DRY_RUN" ] && ! cmp -s -- "$LISTED" "$PUT"; then
    keep_old "$PUT"
    cp -- "$LISTED" "$PUT"
  fi
  rm -f -- "$LISTED"
}

put_command() { # NAME TARGET: on everybody's path
  command_link=$ROOT/usr/local/bin/$1
  printf '%s\n' "$command_link" >>"$LISTED"
  [ "$(readlink -- "$command_link" || true)" != "$2" ] || return 0
  ! would "link $command_link" || return 0
  keep_old "$command_link"
  make_folder "$(dirname -- "$command_link")"
  ln -sfn -- "$2" "$command_link"
}

remove_stale() {
  ! would "remove $1, which belongs to an earlier version" || return 0
  say "Removing $1, which belongs to an earlier version."
  case $1 in *.service | *.timer | *.path | *.socket) systemctl -q disable --now "${1##*/}" 2>/dev/null || true ;; esac
  keep_old "$1"
  rm -f -- "$1"
  CHANGED="$CHANGED $1"
}

changed() { # PATTERN: was a file of that kind written?
  # shellcheck disable=SC2254  # a pattern on purpose
  case "$CHANGED " in $1) return 0 ;; esac
  return 1
}

# Make the system take notice. Users and folders are looked at every time: they cost nothing and mend what is missing.
apply_system_files() {
  [ -z "$DRY_RUN" ] || return 0
  for group in gpio video; do
    getent group "$group" >/dev/null || made group "$group"
  done
  systemd-sysusers "$ROOT/etc/sysusers.d/kiosk-guard.conf" >"$LOG" 2>&1 || die "$EX_SOFTWARE" "systemd-sysusers: $(cat "$LOG")"
  systemd-tmpfiles --create "$ROOT/etc/tmpfiles.d/kiosk-guard.conf"
  if changed '*.rules*'; then
    say "Reading the rules for devices again."
    { udevadm control --reload && udevadm trigger --subsystem-match=gpio; } >/dev/null 2>&1 || true # not in a container
  fi
  if changed '*journald.conf.d*'; then
    say "Starting the journal again, with its limits."
    systemctl restart systemd-journald.service
  fi
  if changed '*/system.conf.d*'; then
    say "Switching the board's watchdog on."
    systemctl daemon-reexec
  elif changed '*/systemd/system/*' || [ "$(systemctl show -p NeedDaemonReload --value "$UNIT")" = yes ]; then
    systemctl daemon-reload
  fi
}
