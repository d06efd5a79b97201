# shellcheck shell=sh
# checks.sh - sourced by install.sh: can this machine be a box? Everything that is missing is told before anything changes.

BOX_DISK_MIB=900     # a release takes 370 MiB, and there are two of them for a moment
BOX_STATE_MIB=300    # room for the outbox and some evidence to begin with
BOX_MEMORY_MIB=700   # the service takes 250 to 400
SYSTEMD_OLDEST=247   # LoadCredential=
PROBLEMS='' PROBLEM_CODE='' PACKAGES=''

problem() { # CODE MESSAGE [NEXT STEP]
  PROBLEMS="$PROBLEMS  - $2
${3:+    $3
}"
  : "${PROBLEM_CODE:=$1}"
}

# examine COMMAND...: a check that would stop the script; what it says is kept instead.
examine() {
  code=0
  said=$( ("$@") 2>&1) || code=$?
  [ "$code" = 0 ] || problem "$code" "$(printf '%s\n' "$said" | sed 's/^\[install\] error: //')"
  return "$code"
}

check_box() {
  [ -n "$DRY_RUN" ] || [ "$(id -u)" -eq 0 ] ||
    problem "$EX_NOPERM" "setting up a box needs root" "Run:  sudo ./install.sh"
  examine check_clone pyproject.toml README.md LICENSE edge/cli.py export/__init__.py "$(model_folder)/manifest.json" \
    firmware_config/kiosk-guard.toml "firmware_config/systemd/$UNIT" || true
  check_systemd
  if examine check_platform; then check_platform; fi
  check_box_python
  [ "$(id -u)" -ne 0 ] || for each in "$OPT" "$VAR" "$ROOT/etc/systemd/system"; do check_writable "$each"; done
  check_room "$OPT" "$BOX_DISK_MIB"
  check_room "$VAR" "$BOX_STATE_MIB"
  check_memory
  [ -z "$SITE" ] || [ -r "$SITE" ] || problem "$EX_NOINPUT" "$SITE cannot be read" "It is named by --site."
  [ -z "$OFFLINE" ] || [ -z "${PYTHON:-}" ] || examine check_wheelhouse "$OFFLINE" || true
  look_at_devices
  [ -z "$PROBLEMS" ] || {
    printf '%s\n%s' "[install] error: this machine cannot be set up yet, and nothing was changed:" "$PROBLEMS" >&2
    exit "$PROBLEM_CODE"
  }
  say "Checked: $(system_name), $machine, Python ${PYTHON_VERSION:-(to be installed)}, systemd $SYSTEMD_VERSION."
}

check_systemd() {
  SYSTEMD_VERSION=$(systemctl --version 2>/dev/null | awk 'NR == 1 { print int($2) }')
  : "${SYSTEMD_VERSION:=0}"
  if [ ! -d "$ROOT/run/systemd/system" ]; then
    problem "$EX_UNAVAILABLE" "systemd does not run this machine" "To try Kiosk Guard here:  ./install.sh --demo"
  elif [ "$SYSTEMD_VERSION" -lt "$SYSTEMD_OLDEST" ]; then
    problem "$EX_UNAVAILABLE" "systemd $SYSTEMD_VERSION is too old: $SYSTEMD_OLDEST or later is needed"
  fi
  IS_PI=''
  ! grep -qs 'Raspberry Pi' "$ROOT/proc/device-tree/model" || IS_PI=1
}

# Python, or the packages that bring it. A wheelhouse brings its own pip, so that offline no package is needed.
check_box_python() {
  if find_python; then
    examine check_interpreter || true
    if [ -z "$OFFLINE" ] && ! has_venv; then PACKAGES="$PACKAGES python$PYTHON_MINOR-venv"; fi
    check_pin_driver
  elif [ -n "$seen" ]; then
    examine refuse_old_python || true
  elif [ -n "$OFFLINE" ]; then
    problem "$EX_UNAVAILABLE" "python3 is missing, and without a network it cannot be installed" \
      "Every Debian, Ubuntu and Raspberry Pi OS image with a login has it; use such an image."
  else
    PACKAGES="$PACKAGES python3 python3-venv"
  fi
  if [ -n "$PACKAGES" ] && ! command -v apt-get >/dev/null 2>&1; then
    problem "$EX_UNAVAILABLE" "missing:$PACKAGES; and this system has no apt-get" "Install them with your system's package manager."
  fi
}

# The Pi's pin driver is a wheel up to Python 3.12 and the system's own package from then on.
check_pin_driver() {
  NEED_LGPIO=''
  if [ -z "$IS_PI" ] || [ "${PYTHON_MINOR#3.}" -lt 13 ]; then return 0; fi
  NEED_LGPIO=1
  if ! "$PYTHON" -c 'import lgpio' 2>/dev/null; then
    if [ -z "$OFFLINE" ]; then
      PACKAGES="$PACKAGES python3-lgpio"
    else
      warn "python3-lgpio is not installed, and has no wheel for Python $PYTHON_MINOR: no outputs over GPIO until" \
        "'apt-get install python3-lgpio' and install.sh again"
    fi
  fi
}

check_room() { # FOLDER MIB
  [ ! -e "$OPT/current" ] || [ "$1" != "$VAR" ] || return 0 # a full state must not stand in the way of an upgrade
  free=$(free_mib "$1")
  [ "$free" -ge "$2" ] || problem "$EX_CANTCREAT" "$free MiB are free for $1, $2 MiB are needed" "Make room, or use a larger card."
}

check_writable() { # FOLDER: for root all can be written but what is mounted to be read only
  near=$1
  while [ ! -d "$near" ]; do near=$(dirname -- "$near"); done
  [ -n "$DRY_RUN" ] || [ -w "$near" ] || problem "$EX_CANTCREAT" "$near cannot be written: it is on a read-only disk" \
    "Make it writable first (mount -o remount,rw; raspi-config: overlay file system off). A card that became read-only by itself is worn out: use a new one."
}

check_memory() {
  total=$(awk '/^MemTotal:/ { print int($2 / 1024) }' "$ROOT/proc/meminfo" 2>/dev/null)
  if [ -n "$total" ] && [ "$total" -lt "$BOX_MEMORY_MIB" ]; then
    problem "$EX_UNAVAILABLE" "this machine has $total MiB of memory, $BOX_MEMORY_MIB MiB are needed"
  fi
  if [ -d "$ROOT/sys/fs/cgroup" ] && [ ! -d "$ROOT/sys/fs/cgroup/memory" ] &&
    ! grep -qsw memory "$ROOT/sys/fs/cgroup/cgroup.controllers"; then
    warn "the kernel has no memory control group: the service's memory limit does nothing here." \
      "On a Raspberry Pi add cgroup_enable=memory to /boot/firmware/cmdline.txt."
  fi
}

look_at_devices() { # only notes: both may be plugged in later
  set -- "$ROOT"/dev/video*
  [ -e "$1" ] || warn "no camera at /dev/video*: plug one in, or name a network camera in $CONFIG"
  set -- "$ROOT"/dev/gpiochip*
  [ -e "$1" ] || warn "no GPIO chip here: outputs need a board that has one"
}
