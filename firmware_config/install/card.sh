# shellcheck shell=sh
# card.sh - sourced by install.sh --root: a mounted card or image becomes one that sets itself up when it boots.
#
# Nothing of the target is executed, so that any computer can do it: the software, its wheels and a first-boot unit are
# laid down; what must be different on every box (machine id, SSH keys, device key) is taken out and made anew there.

CARD_MIB=1100      # what the first boot needs, and what lies there until then
LAID_DOWN_MIB=100  # besides the wheels

card_target() { # sets TARGET_HERE: processor and Python of the system on the card
  shell=$CARD/usr/bin/dash
  [ -e "$shell" ] || shell=$CARD/bin/dash
  case $(od -An -t x1 -j 18 -N 2 -- "$shell" 2>/dev/null | tr -d ' ') in
    b700) processor=aarch64 ;;
    3e00) processor=x86_64 ;;
    *) die "$EX_UNAVAILABLE" "$CARD holds no 64-bit Debian, Ubuntu or Raspberry Pi OS (looked at ${shell#"$CARD"})" \
      "Flash a 64-bit Raspberry Pi OS Lite, mount its second partition and name that folder." ;;
  esac
  python=$(readlink -- "$CARD/usr/bin/python3" || true) # python3 -> python3.11
  case $python in
    python3.1[0-9]) TARGET_HERE=$processor-cp$(printf '%s' "${python#python}" | tr -d .) ;;
    *) die "$EX_UNAVAILABLE" "the system on $CARD has no Python 3.$PYTHON_MIN_MINOR or later (/usr/bin/python3: ${python:-not there})" ;;
  esac
}

# The partition that any computer can write: sets boot, empty where the system has none.
find_boot_partition() {
  boot=''
  for folder in "$CARD/boot/firmware" "$CARD/boot"; do
    if [ -z "$boot" ] && [ -e "$folder/config.txt" ]; then boot=$folder; fi
  done
  [ -n "$boot" ] || [ ! -d "$CARD/boot/firmware" ] ||
    die "$EX_NOINPUT" "the card's boot partition is not mounted: there is no $CARD/boot/firmware/config.txt" \
      "Mount the card's first partition at $CARD/boot/firmware."
}

# Raspberry Pi OS is flashed with little room in it, and fills the card when it boots, before anything of ours runs.
grows_at_first_boot() {
  [ -n "$boot" ] && grep -qsE '(^| )(resize|init=[^ ]*/(firstboot|init_resize\.sh))( |$)' "$boot/cmdline.txt"
}

check_card_room() {
  needed=$CARD_MIB
  if grows_at_first_boot; then needed=$(($(du -sm -- "$OFFLINE" | cut -f 1) + LAID_DOWN_MIB)); fi
  free=$(free_mib "$CARD")
  [ "$free" -ge "$needed" ] || die "$EX_CANTCREAT" "$free MiB are free on $CARD, $needed MiB are needed" \
    "Enlarge the partition first, or use a larger image."
}

check_card() {
  [ -n "$DRY_RUN" ] || [ "$(id -u)" -eq 0 ] || die "$EX_NOPERM" "writing a card needs root" "Run:  sudo ./install.sh --root $CARD --offline DIR"
  [ "$(CDPATH='' cd -- "$CARD" 2>/dev/null && pwd -P)" != / ] || usage_error "--root /: that is this machine; to set it up, leave --root out"
  [ -d "$CARD/etc/systemd" ] || die "$EX_NOINPUT" "$CARD is no mounted system (no etc/systemd in it)" "Mount the card's second partition first."
  check_clone pyproject.toml README.md LICENSE edge/cli.py export/__init__.py "$(model_folder)/manifest.json" \
    firmware_config/firstboot/firstboot.sh
  card_target
  wheels_for "$OFFLINE" "$TARGET_HERE"
  [ -z "$SITE" ] || [ -r "$SITE" ] || die "$EX_NOINPUT" "$SITE cannot be read" "It is named by --site."
  [ ! -d "$CARD/opt/kiosk-guard/releases" ] || die "$EX_CANTCREAT" "there is a box on $CARD already" "Flash the card anew, or boot it and run install.sh there."
  find_boot_partition
  check_card_room
}

make_card() {
  check_card
  if [ -n "$DRY_RUN" ]; then
    say "Would lay Kiosk Guard down on $CARD ($TARGET_HERE), have it set up at the first boot, take out machine id and keys" \
      "${SITE:+and put $SITE }(boot partition: ${boot:-none})."
    say "A dry run: nothing was changed."
    return 0
  fi
  say "Laying Kiosk Guard down on $CARD ($TARGET_HERE) ..."
  flash=$CARD/opt/kiosk-guard/flash
  rm -rf -- "$flash"
  mkdir -p -- "$flash/wheels"
  : >"$CARD/opt/kiosk-guard/$OWNER_TAG"
  (cd "$REPO" && find pyproject.toml README.md LICENSE install.sh edge export "$(model_folder)" firmware_config \
    -path firmware_config/demo -prune -o -type f ! -name '*.pyc' -print) | while read -r file; do
    mkdir -p -- "$flash/$(dirname -- "$file")"
    cp -- "$REPO/$file" "$flash/$file"
  done
  cp -- "$OFFLINE"/*.whl "$OFFLINE/TARGET" "$OFFLINE/SOURCES" "$OFFLINE/$SUMS" "$flash/wheels/"
  chown -R 0:0 -- "$CARD/opt/kiosk-guard"
  chmod -R u=rwX,go=rX -- "$flash"
  wants=$CARD/etc/systemd/system/multi-user.target.wants
  mkdir -p -- "$wants"
  for unit in kiosk-guard-identity.service kiosk-guard-firstboot.service; do
    cp -- "$REPO/firmware_config/firstboot/$unit" "$CARD/etc/systemd/system/$unit"
    chmod 644 "$CARD/etc/systemd/system/$unit"
    ln -sfn -- "/etc/systemd/system/$unit" "$wants/$unit"
  done
  take_identity_out
  prepare_boot_partition
  sync
  say "Done. Every copy of this card sets itself up at its first boot; what is particular to it goes into" \
    "kiosk-site.toml on the boot partition."
}

take_identity_out() {
  say "Taking out what must be different on every box: machine id, SSH keys, random seed, device key."
  : >"$CARD/etc/machine-id" # empty: made anew at boot, without the questions of an uninitialised system
  if [ -f "$CARD/var/lib/dbus/machine-id" ] && [ ! -L "$CARD/var/lib/dbus/machine-id" ]; then
    ln -sfn -- /etc/machine-id "$CARD/var/lib/dbus/machine-id"
  fi
  rm -f -- "$CARD"/etc/ssh/ssh_host_*_key "$CARD"/etc/ssh/ssh_host_*_key.pub "$CARD/var/lib/systemd/random-seed" \
    "$CARD/var/lib/systemd/credential.secret"
  rm -rf -- "$CARD/var/lib/kiosk-guard" "$CARD"/var/log/journal/*
}

prepare_boot_partition() {
  if [ -n "$boot" ] && ! grep -qs 'cgroup_enable=memory' "$boot/cmdline.txt"; then
    sed -i '1s/$/ cgroup_enable=memory/' "$boot/cmdline.txt" # Raspberry Pi OS comes without memory limits
  fi
  [ -n "$boot" ] || boot=$CARD/boot
  [ -n "$SITE" ] || return 0
  cp -- "$SITE" "$boot/kiosk-site.toml"
  say "$SITE is on the boot partition; it is erased from there at the first boot."
}
