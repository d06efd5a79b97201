# shellcheck shell=sh
# wheelhouse.sh - sourced by install.sh: a folder with every wheel that a box needs, made on one computer, used on others.
#
# TARGET is PROCESSOR-cpXY. Beside the wheels lie: TARGET, SOURCES (what the software's own wheel was made from) and
# SHA256SUMS over all of it.

SUMS=SHA256SUMS

sources_sum() { sources | sha256sum | cut -d ' ' -f 1; }

# The newest C library tag that the target's system offers. It matters: told less, pip silently takes an older lgpio
# that cannot drive a pin.
target_glibc() {
  case $1 in
    cp310) printf '35\n' ;; # Ubuntu 22.04, JetPack 6
    cp311) printf '36\n' ;; # Debian 12, Raspberry Pi OS 12
    cp312) printf '39\n' ;; # Ubuntu 24.04
    cp313) printf '41\n' ;; # Debian 13, Raspberry Pi OS 13
    *) return 1 ;;
  esac
}

split_target() { # sets processor, abi, minor
  processor=${TARGET%-*} abi=${TARGET##*-}
  minor=${abi#cp3}
  case $processor in x86_64 | aarch64) ;; *) usage_error "--target $TARGET: not PROCESSOR-cpXY, such as aarch64-cp311" ;; esac
  glibc=$(target_glibc "$abi") || usage_error "--target $TARGET: allowed are cp310, cp311, cp312 and cp313"
}

make_wheelhouse() {
  check_clone pyproject.toml README.md LICENSE edge/cli.py export/__init__.py "$(model_folder)/manifest.json"
  [ -z "$TARGET" ] || split_target
  check_platform
  need_python
  [ -n "$TARGET" ] || TARGET=$machine-cp$(printf '%s' "$PYTHON_MINOR" | tr -d .)
  split_target
  if [ -e "$WHEELHOUSE" ] && [ ! -e "$WHEELHOUSE/$SUMS" ] && [ -n "$(ls -A -- "$WHEELHOUSE")" ]; then
    die "$EX_CANTCREAT" "$WHEELHOUSE exists and is no wheelhouse" "Name an empty or a new folder."
  fi
  WORK=$(mktemp -d)
  trap 'rm -rf -- "$LOG" "$WORK"' EXIT
  VENV=$WORK/venv
  make_venv
  made_from=$(sources_sum)
  say "Building the software's own wheel ..."
  mkdir -- "$WORK/wheels"
  run_pip wheel --no-deps --wheel-dir "$WORK/wheels" "$REPO"
  say "Downloading what it needs for $TARGET (about 120 MB) ..."
  # Requirements that only some Pythons have are decided by the Python that runs pip, not by the target's; so those that
  # an older target has are named. The check afterwards finds any that is missing.
  set -- pip
  [ "$minor" -ge 11 ] || set -- "$@" "tomli>=2.2" exceptiongroup
  if [ "$processor" = aarch64 ] && [ "$minor" -lt 13 ]; then set -- "$@" "lgpio>=0.2.2"; fi # no wheel from 3.13 on
  for tag in 2014 $(seq 17 "$glibc"); do
    case $tag in 2014) tag=manylinux2014 ;; *) tag=manylinux_2_$tag ;; esac
    set -- --platform "${tag}_$processor" "$@"
  done
  run_pip download --dest "$WORK/wheels" --only-binary=:all: --implementation cp --python-version "3.$minor" \
    --abi "$abi" --abi abi3 --abi none --platform "linux_$processor" "$@" "$WORK"/wheels/kiosk_guard-*.whl
  "$VENV/bin/python" "$REPO/firmware_config/install/wheelhouse_check.py" "$WORK/wheels" "3.$minor" "$processor" ||
    die "$EX_SOFTWARE" "the wheelhouse would not be complete (see above)" "This is a fault of install.sh: please report it."
  printf '%s\n' "$TARGET" >"$WORK/wheels/TARGET"
  [ "$made_from" = "$(sources_sum)" ] || die "$EX_TEMPFAIL" "the sources were changed meanwhile" "Run it again."
  printf '%s\n' "$made_from" >"$WORK/wheels/SOURCES"
  (cd "$WORK/wheels" && sha256sum -- *.whl TARGET SOURCES >"$SUMS")
  mkdir -p -- "$WHEELHOUSE" || die "$EX_CANTCREAT" "cannot make $WHEELHOUSE"
  rm -f -- "$WHEELHOUSE"/*.whl "$WHEELHOUSE/$SUMS"
  cp -- "$WORK"/wheels/* "$WHEELHOUSE/"
  say "Done: $WHEELHOUSE for $TARGET ($(du -sm -- "$WHEELHOUSE" | cut -f 1) MiB). On the box:  sudo ./install.sh --offline DIR"
}

check_wheelhouse() { wheels_for "$1" "$(uname -m)-cp$(printf '%s' "$PYTHON_MINOR" | tr -d .)"; }

wheels_for() { # DIR TARGET: is it whole, made from this clone, and for that target?
  [ -s "$1/$SUMS" ] || die "$EX_NOINPUT" "$1 is no wheelhouse ($SUMS is missing)" "Make one:  ./install.sh --make-wheelhouse DIR"
  (cd "$1" && sha256sum --quiet --check "$SUMS") >"$LOG" 2>&1 ||
    die "$EX_DATAERR" "the wheelhouse $1 is damaged: $(head -n 1 "$LOG")" "Copy it again, or make it anew."
  [ "$(cat "$1/TARGET")" = "$2" ] ||
    die "$EX_DATAERR" "the wheelhouse $1 is for $(cat "$1/TARGET"), ${CARD:-this machine} is $2" \
      "Make one for it:  ./install.sh --make-wheelhouse DIR --target $2"
  [ "$(cat "$1/SOURCES")" = "$(sources_sum)" ] ||
    die "$EX_DATAERR" "the wheelhouse $1 was made from another version of the software than this clone" \
      "Make it anew with this clone, or use the clone that made it."
}
