#!/bin/sh
# install.sh - puts Kiosk Guard on this machine.
#
#   ./install.sh --demo     try it here and now: no box, no camera, no root needed
#   ./install.sh --help     all options
#
# One function a step; every step says in one line what it does. Exit codes follow sysexits.h.
set -eu

EX_USAGE=64 EX_NOINPUT=66 EX_UNAVAILABLE=69 EX_CANTCREAT=73 EX_TEMPFAIL=75 EX_NOPERM=77
PYTHON_MIN_MINOR=10 # Python 3.10 and later
DISK_NEEDED_MIB=700 # the finished venv takes half of it, the rest is room to unpack in
OWNER_TAG=.made-by-kiosk-guard
COMPLETE_TAG=.kiosk-guard-complete

say() { printf '%s\n' "[install] $*"; }

# die CODE MESSAGE [NEXT STEP]
die() {
  printf '%s\n' "[install] error: $2" >&2
  [ -z "${3:-}" ] || printf '%s\n' "          $3" >&2
  exit "$1"
}

usage() {
  cat <<'TEXT'
usage: ./install.sh --demo [--keep] [--out DIR] [--venv DIR]

  --demo      install the runtime into a venv and show the appliance at work on the lobby clip,
              with simulated outputs and a mailbox of its own, all on this machine
  --keep      with --demo: keep serving afterwards (the clip loops) until Ctrl-C
  --out DIR   with --demo: where mails, annotated video and logs go (default: demo-output in the repository)
  --venv DIR  where the Python environment lives (default: .venv in the repository)
  --help      this text

Without --demo this script will set up a kiosk box; this version does not do that yet.
TEXT
}

usage_error() {
  printf '%s\n\n' "[install] error: $1" >&2
  usage >&2
  exit "$EX_USAGE"
}

absolute() { # a path as the caller means it, whatever directory this script works in
  case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$CALLER_DIR/$1" ;;
  esac
}

parse_options() {
  MODE=box KEEP='' OUT='' VENV='' DEMO_ONLY=''
  while [ $# -gt 0 ]; do
    case $1 in
      --demo) MODE=demo ;;
      --keep) KEEP=1 DEMO_ONLY=$1 ;;
      --out=* | --venv=*)
        option=${1%%=*} value=${1#*=}
        shift
        set -- "$option" "$value" "$@"
        continue
        ;;
      --out | --venv)
        if [ $# -lt 2 ] || [ -z "$2" ]; then usage_error "$1 needs a directory"; fi
        case $2 in -*) usage_error "$1 needs a directory, not the option $2" ;; esac
        if [ "$1" = --out ]; then OUT=$(absolute "$2"); else VENV=$(absolute "$2"); fi
        DEMO_ONLY=$1
        shift
        ;;
      --help | -h)
        usage
        exit 0
        ;;
      *) usage_error "unknown option: $1" ;;
    esac
    shift
  done
  if [ "$MODE" = box ] && [ -n "$DEMO_ONLY" ]; then usage_error "$DEMO_ONLY goes with --demo"; fi
  : "${OUT:=$REPO/demo-output}" "${VENV:=$REPO/.venv}"
}

check_clone() {
  for wanted in pyproject.toml README.md LICENSE edge/cli.py export/__init__.py weights/coco \
    firmware_config/demo/demo.py firmware_config/demo/demo.toml \
    firmware_config/demo/lobby.mp4 firmware_config/demo/lobby.truth.json; do
    [ -s "$REPO/$wanted" ] || die "$EX_NOINPUT" "this copy of the repository is incomplete: $wanted is missing or empty" \
      "Get it with 'git clone' (or 'git checkout -- .' in a clone) and run install.sh again."
  done
}

# Sets PYTHON to the first interpreter that is new enough, 64-bit and usual.
find_python() {
  PYTHON='' seen=''
  for candidate in python3 python3.13 python3.12 python3.11 python3.10 python3.14; do
    path=$(command -v "$candidate" 2>/dev/null) || continue
    about=$("$path" -c 'import sys
v = sys.version_info
print(v[0], v[1], v[2], sys.implementation.name)' 2>/dev/null) || continue
    # shellcheck disable=SC2086  # four words, split on purpose
    set -- $about
    if [ "$1" -eq 3 ] && [ "$2" -ge "$PYTHON_MIN_MINOR" ] && [ "$4" = cpython ]; then
      PYTHON=$path PYTHON_VERSION=$1.$2.$3 PYTHON_MINOR=$1.$2
      return 0
    fi
    seen="$seen $candidate is $4 $1.$2.$3;"
  done
  return 1
}

# What the processor and the interpreter are, because a 64-bit kernel often carries a 32-bit system.
check_platform() {
  machine=$(uname -m)
  [ "$(uname -s)" = Linux ] || die "$EX_UNAVAILABLE" "Kiosk Guard runs on Linux; this is $(uname -s)"
  case $machine in
    x86_64 | aarch64) ;;
    *) refuse_32_bit "this machine is $machine" ;;
  esac
}

refuse_32_bit() {
  die "$EX_UNAVAILABLE" "$1: Kiosk Guard needs a 64-bit system, x86_64 or aarch64 (onnxruntime is not built for others)" \
    "On a Raspberry Pi 3, 4, 5 or Zero 2 flash the 64-bit Raspberry Pi OS; older boards cannot run it."
}

check_python() {
  if ! find_python; then
    if [ -n "$seen" ]; then
      die "$EX_UNAVAILABLE" "Python 3.$PYTHON_MIN_MINOR or later is needed; here$seen" \
        "Use Debian 12 or later, Ubuntu 22.04 or later, or Raspberry Pi OS 12 or later."
    fi
    install_packages "Python" python3 python3-venv
    find_python || die "$EX_UNAVAILABLE" "python3 was installed but cannot be used here;${seen:- it does not start}"
  fi
  facts=$("$PYTHON" -c 'import platform, struct
print(struct.calcsize("P") * 8, platform.libc_ver()[0] or "another-libc")')
  case $facts in
    "64 glibc") ;;
    32*) refuse_32_bit "$PYTHON is a 32-bit program" ;;
    *) die "$EX_UNAVAILABLE" "this system's C library is not glibc ($facts): onnxruntime is not built for it" \
      "Use Debian, Ubuntu or Raspberry Pi OS." ;;
  esac
  say "System: $(system_name), $machine, Python $PYTHON_VERSION."
  # Debian keeps the part that makes a venv with pip in a package of its own.
  if ! "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; then
    install_packages "Python's venv module" "python$PYTHON_MINOR-venv"
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
      die "$EX_UNAVAILABLE" "$PYTHON still cannot make a venv after python$PYTHON_MINOR-venv was installed"
  fi
}

system_name() {
  # shellcheck disable=SC1091  # a fixed file of every Linux distribution
  (if [ -r /etc/os-release ]; then . /etc/os-release; fi && printf '%s\n' "${PRETTY_NAME:-Linux}")
}

# install_packages WHAT PACKAGE...: as root or with sudo without a password; else names the command and stops.
install_packages() {
  what=$1
  shift
  command -v apt-get >/dev/null 2>&1 ||
    die "$EX_UNAVAILABLE" "$what is missing and this system has no apt-get" "Install $what with your system's package manager."
  if [ "$(id -u)" -eq 0 ]; then
    become=''
  elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    become='sudo -n'
  else
    die "$EX_NOPERM" "$what is missing, and installing it needs root" \
      "Run this, then install.sh again:  sudo apt-get update && sudo apt-get install -y $*"
  fi
  say "Installing $* with apt-get${become:+ through sudo} ..."
  # shellcheck disable=SC2086  # $become is empty or two words, split on purpose
  { $become env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 update &&
    $become env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 \
      install -y --no-install-recommends "$@"; } </dev/null >"$LOG" 2>&1 ||
    {
      tail -n 15 "$LOG" >&2
      die "$EX_TEMPFAIL" "apt-get could not install $*" "Mend what it says above (network? package lists?) and run install.sh again."
    }
}

check_disk() {
  near=$VENV
  while [ ! -d "$near" ]; do near=$(dirname -- "$near"); done
  [ -w "$near" ] || die "$EX_CANTCREAT" "cannot write in $near" "Name a place of yours: --venv DIR --out DIR"
  free_mib=$(($(df -Pk -- "$near" | awk 'NR == 2 { print $4 }') / 1024))
  [ "$free_mib" -ge "$DISK_NEEDED_MIB" ] ||
    die "$EX_CANTCREAT" "$free_mib MiB are free at $near, $DISK_NEEDED_MIB MiB are needed" \
      "Make room, or name a place on another disk: --venv DIR"
}

# Everything that ends up in the venv, as one checksum: unchanged means nothing to do.
fingerprint() {
  {
    printf '%s\n' "$VENV" "$PYTHON" "$PYTHON_VERSION" "$machine"
    (cd "$REPO" && find pyproject.toml README.md LICENSE edge export weights/coco \
      -type f ! -name '*.pyc' -exec sha256sum {} + | LC_ALL=C sort)
  } | sha256sum | cut -d ' ' -f 1
}

venv_works() { "$VENV/bin/python" -c 'import cv2, onnxruntime, aiosmtpd, edge' >/dev/null 2>&1; }

# Two runs at once would build into one folder. The lock goes with the process, however it ends.
lock() {
  command -v flock >/dev/null 2>&1 || return 0
  exec 9<"$REPO/pyproject.toml"
  flock -n 9 || die "$EX_TEMPFAIL" "another install.sh is at work on this copy of the repository" "Wait until it is done."
}

unlock() { exec 9<&-; }

install_runtime() {
  wanted=$(fingerprint)
  if [ -e "$VENV/$COMPLETE_TAG" ] && [ "$(cat "$VENV/$COMPLETE_TAG")" = "$wanted" ] && venv_works; then
    say "Runtime: already installed in $VENV."
    return 0
  fi
  if [ -d "$VENV" ] && [ -n "$(ls -A -- "$VENV")" ]; then
    [ -e "$VENV/$OWNER_TAG" ] || die "$EX_CANTCREAT" "$VENV exists and was not made by install.sh" \
      "Move it away, or name another place: --venv DIR"
    if [ -e "$VENV/$COMPLETE_TAG" ]; then
      say "Runtime: the sources or the Python have changed since the last time, installing anew."
    else
      say "Runtime: an earlier run was interrupted, starting over."
    fi
    rm -rf -- "$VENV" 2>"$LOG" || die "$EX_NOPERM" "cannot remove the old $VENV: $(tail -n 1 "$LOG")" \
      "Another user made it: remove it as that user (sudo rm -rf), or name another place: --venv DIR"
  fi
  check_disk
  say "Making the Python environment in $VENV ..."
  mkdir -p -- "$VENV" 2>"$LOG" || die "$EX_CANTCREAT" "cannot make $VENV: $(cat "$LOG")" "Name another place: --venv DIR"
  : >"$VENV/$OWNER_TAG"
  "$PYTHON" -m venv "$VENV" >"$LOG" 2>&1 || {
    tail -n 15 "$LOG" >&2
    die "$EX_CANTCREAT" "$PYTHON -m venv failed in $VENV"
  }
  say "Installing Kiosk Guard and what it needs (about 120 MB to download, a minute or two) ..."
  run_pip install --only-binary=:all: "${REPO}[demo]"
  venv_works || {
    "$VENV/bin/python" -c 'import cv2, onnxruntime, aiosmtpd, edge' >&2 || true
    die "$EX_UNAVAILABLE" "the runtime is installed but does not start (see above)"
  }
  printf '%s\n' "$wanted" >"$VENV/$COMPLETE_TAG"
  say "Runtime: $("$VENV/bin/kiosk-guard" version | head -n 1) in $VENV ($(du -sm -- "$VENV" | cut -f 1) MiB)."
}

run_pip() {
  # Settings of the user's that would send packages elsewhere, and the system's own certificate authorities:
  # a bank's network often has one, and pip brings its own list otherwise.
  unset PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
  PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
  export PIP_USER PIP_NO_INPUT PIP_DISABLE_PIP_VERSION_CHECK
  authorities=/etc/ssl/certs/ca-certificates.crt
  if [ -z "${PIP_CERT:-}" ] && [ -s "$authorities" ] && ! "$VENV/bin/python" -m pip config get global.cert >/dev/null 2>&1; then
    PIP_CERT=$authorities
    export PIP_CERT
  fi
  # Unpacked inside the venv: /tmp is often a small RAM disk, and an interrupted run leaves nothing behind there.
  mkdir -p -- "$VENV/tmp"
  TMPDIR="$VENV/tmp" "$VENV/bin/python" -m pip "$@" </dev/null >"$LOG" 2>&1 || {
    tail -n 15 "$LOG" >&2
    die "$EX_TEMPFAIL" "pip could not install the runtime (see above)" \
      "Most often the network: check it and run install.sh again. Behind a proxy set https_proxy; for a mirror set PIP_INDEX_URL."
  }
  rm -rf -- "$VENV/tmp"
}

run_demo() {
  say "Starting the demo: the appliance on $REPO/firmware_config/demo/lobby.mp4; results go to $OUT."
  rm -f -- "$LOG"
  trap - EXIT
  exec "$VENV/bin/python" "$REPO/firmware_config/demo/demo.py" --out "$OUT" ${KEEP:+--keep}
}

main() {
  CALLER_DIR=$(pwd)
  REPO=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
  parse_options "$@"
  if [ "$MODE" = box ]; then
    die "$EX_UNAVAILABLE" "setting up a kiosk box is not part of this version yet" "Try the appliance on this machine with: ./install.sh --demo"
  fi
  # A Python set up by the surroundings must not leak into the appliance's own.
  unset PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV
  LOG=$(mktemp)
  trap 'rm -f -- "$LOG"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  check_clone
  check_platform
  check_python
  lock
  install_runtime
  unlock
  run_demo
}

main "$@"
