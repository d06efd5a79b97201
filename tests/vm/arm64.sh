#!/bin/bash
# arm64.sh - a card for an ARM board, booted in an emulated 64-bit ARM machine with its own kernel, without a network.
#
#   sudo tests/vm/arm64.sh [bookworm|trixie]       (default: bookworm)
#
# install.sh --root lays everything down on a Debian for arm64; at its first boot that installs itself, then its model
# answers the pictures that came with it, and bench measures a few frames. The emulator is 20 to 140 times slower than a
# processor of this machine: its times say nothing. Needs root, git, mmdebstrap, qemu-system-arm and qemu-user-static
# with binfmt-support; 69: it cannot be run here. Takes half an hour on two busy processors. Closes with
# 'N passed, N failed'; the console of the machine is left in $KG_BOX_DIR, if that is set.
# shellcheck disable=SC2016  # words for the shell inside, expanded there
set -euo pipefail

REPO=$(cd "$(dirname "$0")/../.." && pwd -P)
SUITE=${1:-bookworm}
BOX_ARCH=arm64 BOX_PACKAGES=linux-image-arm64,initramfs-tools,zstd
HOURS=${KG_ARM64_HOURS:-3} # longer than that is a hang
# shellcheck source=tests/vm/container.sh
. "$REPO/tests/vm/container.sh"

# What the machine says about itself on its console, once the first boot is over.
PROBE='#!/bin/sh
tell() { printf "\n%s\n" "box> $*" >/dev/console; } # (a login prompt may stand in the line)
attempt() { # NAME COMMAND...
  name=$1; shift
  if "$@" >/run/said 2>&1; then tell "ok: $name"; else tell "FAILED: $name"; fi
  sed "s/^/box| /" /run/said >/dev/console
}
config=/etc/kiosk-guard/kiosk-guard.toml
attempt "the processor is ARM, the kernel its own" sh -c "uname -srm | grep aarch64"
attempt "the card set itself up" test ! -e /opt/kiosk-guard/flash
attempt "it is the box that its site file says" grep -x "id = \"arm-1\"" $config
attempt "the service runs" sh -c "systemctl is-active kiosk-guard && systemctl show -p StatusText kiosk-guard"
systemctl stop kiosk-guard
attempt "the runtime can be imported" /opt/kiosk-guard/current/bin/python -c \
  "import cv2, numpy, onnxruntime; print(cv2.__version__, numpy.__version__, onnxruntime.__version__)"
# (no Raspberry Pi, so it was not installed here; from /run nothing may be executed)
for wheel in /root/lgpio-*.whl; do
  [ ! -e "$wheel" ] || attempt "the pin driver can be imported" sh -c "python3 -m zipfile -e $wheel /root/lgpio &&
    PYTHONPATH=/root/lgpio /opt/kiosk-guard/current/bin/python -c \"import lgpio, gpiozero; print(lgpio.__file__)\""
done
attempt "the model answers its pictures as where it was made" kiosk-guard model verify
attempt "bench measures a clip" kiosk-guard bench --choose --frames 3 --clip /root/lobby.mp4
attempt "no failed unit" sh -c "! systemctl --failed --plain --no-legend | grep ."
tell end
systemctl poweroff
'
UNIT='[Unit]
After=kiosk-guard-firstboot.service
[Service]
Type=oneshot
ExecStart=/bin/sh /root/probe.sh
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target'
# The emulator is slow; that is no fault of the box.
PATIENCE='[Service]
TimeoutStartSec=3h
WatchdogSec=0'

vm() { # boot the disk; until it powers itself off
  local console=$1
  timeout "$((HOURS * 3600))" qemu-system-aarch64 -M virt -cpu "${KG_ARM64_CPU:-cortex-a72}" -accel tcg,thread=multi -m 1536 -smp 2 \
    -nodefaults -display none -no-reboot -serial "file:$console" -device virtio-rng-pci \
    -kernel "$BOX/vmlinuz" -initrd "$BOX/initrd" -append "root=/dev/vda rw console=ttyAMA0 quiet systemd.show_status=1 panic=5" \
    -drive "file=$BOX/disk.raw,format=raw,if=none,id=disk,cache=unsafe" -device virtio-blk-pci,drive=disk </dev/null
}

box_check
for program in git qemu-system-aarch64 mke2fs; do command -v "$program" >/dev/null || box_cannot "missing: $program"; done
grep -qsx enabled /proc/sys/fs/binfmt_misc/qemu-aarch64 ||
  box_cannot "programs for arm64 do not start here (apt-get install -y qemu-user-static binfmt-support)"
trap box_tidy EXIT
box_root "$SUITE"
box_fresh
rm -rf "$BOX_DIR/clone" "$BOX/vmlinuz" "$BOX/initrd"
git -c safe.directory='*' clone -q --depth 1 "file://$REPO" "$BOX_DIR/clone"
case $SUITE in bookworm) python=cp311 ;; *) python=cp313 ;; esac
check "a wheelhouse" "$BOX_DIR/clone/install.sh" --make-wheelhouse "$BOX_DIR/wheels-arm64" --target "aarch64-$python"

box_mount
printf 'kiosk_id = "arm-1"\nmail_host = "192.0.2.1"\nmail_sender = "a@bank.example"\nmail_recipients = "b@bank.example"\n' >"$BOX/site.toml"
check "the card is written" "$BOX_DIR/clone/install.sh" --root "$BOX_ROOT" --offline "$BOX_DIR/wheels-arm64" --site "$BOX/site.toml"
cp "$REPO/firmware_config/demo/lobby.mp4" "$BOX_ROOT/root/"
cp "$BOX_DIR"/wheels-arm64/lgpio-*.whl "$BOX_ROOT/root/" 2>/dev/null || true # (Python 3.13 has none)
printf '%s' "$PROBE" >"$BOX_ROOT/root/probe.sh"
printf '%s\n' "$UNIT" >"$BOX_ROOT/etc/systemd/system/box-probe.service"
ln -s ../box-probe.service "$BOX_ROOT/etc/systemd/system/multi-user.target.wants/"
for unit in kiosk-guard kiosk-guard-firstboot; do
  mkdir -p "$BOX_ROOT/etc/systemd/system/$unit.service.d"
  printf '%s\n' "$PATIENCE" >"$BOX_ROOT/etc/systemd/system/$unit.service.d/90-emulated.conf"
done
: >"$BOX_ROOT/etc/fstab"
cp "$BOX_ROOT"/boot/vmlinuz-* "$BOX/vmlinuz"
cp "$BOX_ROOT"/boot/initrd.img-* "$BOX/initrd"
rm -f "$BOX/disk.raw" "$BOX/console.txt"
mke2fs -q -t ext4 -d "$BOX_ROOT" "$BOX/disk.raw" 4G
box_unmount

start=$SECONDS
check "it boots, sets itself up, and powers off at the end" vm "$BOX/console.txt"
echo "took $((SECONDS - start)) s"
tr -d '\r' <"$BOX/console.txt" | grep -E '^box[>|] ' || true
check "its tests came to their end" grep -q '^box> end' "$BOX/console.txt"
while read -r line; do
  case $line in
    "box> ok: "*) check "inside: ${line#box> ok: }" true ;;
    "box> FAILED: "*) check "inside: ${line#box> FAILED: }" false ;;
  esac
done < <(tr -d '\r' <"$BOX/console.txt")

box_close
