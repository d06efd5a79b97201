# shellcheck shell=sh
# demo.sh - sourced by install.sh --demo: the runtime in a venv of its own, then the appliance on the lobby clip.

DISK_NEEDED_MIB=700 # the finished venv takes half of it, the rest is room to unpack in

check_disk() {
  near=$VENV
  while [ ! -d "$near" ]; do near=$(dirname -- "$near"); done
  [ -w "$near" ] || die "$EX_CANTCREAT" "cannot write in $near" "Name a place of yours: --venv DIR --out DIR"
  free=$(free_mib "$VENV")
  [ "$free" -ge "$DISK_NEEDED_MIB" ] ||
    die "$EX_CANTCREAT" "$free MiB are free at $near, $DISK_NEEDED_MIB MiB are needed" \
      "Make room, or name a place on another disk: --venv DIR"
}

# Everything that ends up in the venv, as one checksum: unchanged means nothing to do.
fingerprint() {
  {
    printf '%s\n' "$VENV" "$PYTHON" "$PYTHON_VERSION" "$machine"
    sources
  } | sha256sum | cut -d ' ' -f 1
}

venv_works() { "$VENV/bin/python" -c 'import cv2, onnxruntime, aiosmtpd, edge' >/dev/null 2>&1; }

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
  ELSEWHERE="Name another place: --venv DIR" make_venv
  say "Installing Kiosk Guard and what it needs (about 120 MB to download, a minute or two) ..."
  run_pip install --only-binary=:all: "${REPO}[demo]"
  venv_works || {
    "$VENV/bin/python" -c 'import cv2, onnxruntime, aiosmtpd, edge' >&2 || true
    die "$EX_UNAVAILABLE" "the runtime is installed but does not start (see above)"
  }
  printf '%s\n' "$wanted" >"$VENV/$COMPLETE_TAG"
  say "Runtime: $("$VENV/bin/kiosk-guard" version | head -n 1) in $VENV ($(du -sm -- "$VENV" | cut -f 1) MiB)."
}

run_demo() {
  say "Starting the demo: the appliance on $REPO/firmware_config/demo/lobby.mp4; results go to $OUT."
  rm -f -- "$LOG"
  trap - EXIT
  exec "$VENV/bin/python" "$REPO/firmware_config/demo/demo.py" --out "$OUT" ${KEEP:+--keep}
}

demo() {
  check_clone pyproject.toml README.md LICENSE edge/cli.py export/__init__.py "$(model_folder)" \
    firmware_config/demo/demo.py firmware_config/demo/demo.toml \
    firmware_config/demo/lobby.mp4 firmware_config/demo/lobby.truth.json
  check_platform
  need_python
  lock
  install_runtime
  unlock
  run_demo
}
