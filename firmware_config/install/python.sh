# shellcheck shell=sh
# python.sh - sourced by install.sh: which machine and Python this is, and pip in a venv. Used by the demo and the box.

PYTHON_MIN_MINOR=10 # Python 3.10 and later

# The folder of the shipped model, as the wheel takes it along.
model_folder() {
  folder=$(sed -n 's|^"\(weights/[a-z0-9_-]*\)" = "edge/models/shipped".*|\1|p' "$REPO/pyproject.toml" | head -n 1)
  printf '%s\n' "${folder:-weights/kiosk}"
}

# check_clone FILE...: is what the caller needs there?
check_clone() {
  for wanted in "$@"; do
    [ -s "$REPO/$wanted" ] || die "$EX_NOINPUT" "this copy of the repository is incomplete: $wanted is missing or empty" \
      "Get it with 'git clone' (or 'git checkout -- .' in a clone) and run install.sh again."
  done
}

# What the wheel is made of, as checksums.
sources() {
  (cd "$REPO" && find pyproject.toml README.md LICENSE edge export "$(model_folder)" \
    -type f ! -name '*.pyc' -exec sha256sum {} + | LC_ALL=C sort)
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

refuse_old_python() {
  die "$EX_UNAVAILABLE" "Python 3.$PYTHON_MIN_MINOR or later is needed; here$seen" \
    "Use Debian 12 or later, Ubuntu 22.04 or later, or Raspberry Pi OS 12 or later."
}

check_interpreter() { # the one that find_python found
  facts=$("$PYTHON" -c 'import platform, struct
print(struct.calcsize("P") * 8, platform.libc_ver()[0] or "another-libc")')
  case $facts in
    "64 glibc") ;;
    32*) refuse_32_bit "$PYTHON is a 32-bit program" ;;
    *) die "$EX_UNAVAILABLE" "this system's C library is not glibc ($facts): onnxruntime is not built for it" \
      "Use Debian, Ubuntu or Raspberry Pi OS." ;;
  esac
}

# Debian keeps the part that makes a venv with pip in a package of its own.
has_venv() { "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; }

# A usable PYTHON with its venv module, installed where that is missing.
need_python() {
  if ! find_python; then
    [ -z "$seen" ] || refuse_old_python
    install_packages "Python" python3 python3-venv
    find_python || die "$EX_UNAVAILABLE" "python3 was installed but cannot be used here;${seen:- it does not start}"
  fi
  check_interpreter
  say "System: $(system_name), $machine, Python $PYTHON_VERSION."
  if ! has_venv; then
    install_packages "Python's venv module" "python$PYTHON_MINOR-venv"
    has_venv || die "$EX_UNAVAILABLE" "$PYTHON still cannot make a venv after python$PYTHON_MINOR-venv was installed"
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

# free_mib PATH: at the nearest folder above it that exists
free_mib() {
  near=$1
  while [ ! -d "$near" ]; do near=$(dirname -- "$near"); done
  printf '%s\n' "$(($(df -Pk -- "$near" | awk 'NR == 2 { print $4 }') / 1024))"
}

# make_venv [OPTION]...: $VENV, marked as made by this script
make_venv() {
  mkdir -p -- "$VENV" 2>"$LOG" || die "$EX_CANTCREAT" "cannot make $VENV: $(cat "$LOG")" "${ELSEWHERE:-}"
  : >"$VENV/$OWNER_TAG"
  "$PYTHON" -m venv "$@" "$VENV" >"$LOG" 2>&1 || {
    tail -n 15 "$LOG" >&2
    die "$EX_CANTCREAT" "$PYTHON -m venv failed in $VENV"
  }
}

run_pip() {
  # Settings of the user's that would send packages elsewhere, and the system's own certificate authorities:
  # a bank's network often has one, and pip brings its own list otherwise.
  unset PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
  PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
  export PIP_USER PIP_NO_INPUT PIP_DISABLE_PIP_VERSION_CHECK
  authorities=/etc/ssl/certs/ca-certificates.crt
  if [ -n "${PIP_FROM:-}" ]; then
    pip=$PIP_FROM # a pip that comes along in a wheelhouse
  else
    pip='-m pip'
    # shellcheck disable=SC2086  # two words
    if [ -z "${PIP_CERT:-}" ] && [ -s "$authorities" ] && ! "$VENV/bin/python" $pip config get global.cert >/dev/null 2>&1; then
      PIP_CERT=$authorities
      export PIP_CERT
    fi
  fi
  # Unpacked inside the venv: /tmp is often a small RAM disk, and an interrupted run leaves nothing behind there.
  mkdir -p -- "$VENV/tmp"
  if [ -n "${PIP_FROM:-}" ]; then set -- "$pip" "$@"; else set -- -m pip "$@"; fi
  TMPDIR="$VENV/tmp" "$VENV/bin/python" "$@" </dev/null >"$LOG" 2>&1 || {
    tail -n 15 "$LOG" >&2
    if [ -n "${PIP_FROM:-}" ]; then
      die "$EX_TEMPFAIL" "pip could not install from the wheelhouse (see above)" "Make it anew: ./install.sh --make-wheelhouse DIR"
    fi
    die "$EX_TEMPFAIL" "pip could not install the runtime (see above)" \
      "Most often the network: check it and run install.sh again. Behind a proxy set https_proxy; for a mirror set PIP_INDEX_URL."
  }
  rm -rf -- "$VENV/tmp"
}
