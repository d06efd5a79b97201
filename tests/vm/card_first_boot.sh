#!/bin/bash
# card_first_boot.sh - install.sh --root on a folder that holds a Debian, then two copies of it booted, without a network.
#
#   sudo tests/vm/card_first_boot.sh [bookworm|trixie]       (default: bookworm)
#
# Needs root, git, mmdebstrap, systemd-container and python3 of the suite's processor; a network to make the root and the
# wheelhouse. 69: it cannot be run here. Takes about 9 minutes. Closes with 'N passed, N failed'.
# shellcheck disable=SC2016  # words for the shell inside, expanded there
set -euo pipefail

REPO=$(cd "$(dirname "$0")/../.." && pwd -P)
SUITE=${1:-bookworm}
BOX_NETWORK=none BOX_UP='starting|running|degraded' # a first boot takes its time, and is what we look at
# shellcheck source=tests/vm/container.sh
. "$REPO/tests/vm/container.sh"

is_set_up() { inside '[ ! -e /opt/kiosk-guard/flash ] && systemctl -q is-active kiosk-guard'; }
differ() { [ -n "$1" ] && [ -n "$2" ] && [ "$1" != "$2" ]; }
facts() { # what must differ between two boxes
  id=$(box_in cat /etc/machine-id)
  ssh_key=$(inside 'cat /etc/ssh/ssh_host_ed25519_key.pub')
  device_key=$(inside 'cat /var/lib/kiosk-guard/device.pub')
}
boot_a_copy() { # KIOSK-ID
  rm -rf --one-file-system -- "$BOX/upper" "$BOX/work"
  mkdir "$BOX/work"
  cp -a "$BOX/card" "$BOX/upper"
  printf 'kiosk_id = "%s"\nmail_host = "192.0.2.1"\nmail_user = "kiosk"\nmail_password = "s3cret"\n' "$1" >"$BOX/upper/boot/kiosk-site.toml"
  printf 'mail_sender = "a@bank.example"\nmail_recipients = "b@bank.example"\n' >>"$BOX/upper/boot/kiosk-site.toml"
  box_up
}

box_check
command -v git >/dev/null || box_cannot "missing: git"
trap box_tidy EXIT
box_root "$SUITE"
box_fresh
rm -rf "$BOX_DIR/clone" "$BOX/card"
git -c safe.directory='*' clone -q --depth 1 "file://$REPO" "$BOX_DIR/clone"
case $SUITE in bookworm) python=cp311 ;; *) python=cp313 ;; esac
check "a wheelhouse" "$BOX_DIR/clone/install.sh" --make-wheelhouse "$BOX_DIR/wheels" --target "$(uname -m)-$python"
box_mount
chroot "$BOX_ROOT" ssh-keygen -A >/dev/null # as an image of somebody's may have them
before=$(sha256sum "$BOX_ROOT/etc/ssh/ssh_host_ed25519_key.pub")
start=$SECONDS
check "the card is written" "$BOX_DIR/clone/install.sh" --root "$BOX_ROOT" --offline "$BOX_DIR/wheels"
echo "took $((SECONDS - start)) s"
mkdir -p "$BOX_ROOT/boot"
touch "$BOX_ROOT/boot/this-is-the-boot-partition"
box_unmount
cp -a "$BOX/upper" "$BOX/card"

start=$SECONDS
boot_a_copy box-1
check "the first copy sets itself up" box_wait 600 is_set_up
echo "took $((SECONDS - start)) s from power to a running service"
check "it is the box that its site file says" inside 'grep -qx "id = \"box-1\"" /etc/kiosk-guard/kiosk-guard.toml'
check "its secret is root's alone" inside '[ "$(stat -c %a-%U /etc/kiosk-guard/mail-password)" = 600-root ] && grep -qx s3cret /etc/kiosk-guard/mail-password'
check "the site file is erased" inside '[ ! -e /boot/kiosk-site.toml ] && ! grep -rqs s3cret /boot'
check "nothing of the first boot is left" inside '[ ! -e /etc/systemd/system/kiosk-guard-firstboot.service ] && [ ! -e /etc/systemd/system/multi-user.target.wants/kiosk-guard-identity.service ]'
check "no failed unit" inside '! systemctl --failed --plain --no-legend | grep .'
facts
first_id=$id first_ssh=$ssh_key first_device=$device_key
check "its SSH key is not the image's" differ "$(printf '%s\n' "$ssh_key" | sha256sum)" "${before%% *}  -"
box_down
box_up
check "it guards again after a restart" box_wait 60 inside 'systemctl -q is-active kiosk-guard'
check "and is the same box" test "$(box_in cat /etc/machine-id)" = "$first_id"
box_down

boot_a_copy box-2
check "the second copy sets itself up" box_wait 600 is_set_up
facts
check "its machine id differs" differ "$id" "$first_id"
check "its SSH key differs" differ "$ssh_key" "$first_ssh"
check "its device key differs" differ "$device_key" "$first_device"
check "it is another box" inside 'grep -qx "id = \"box-2\"" /etc/kiosk-guard/kiosk-guard.toml'
box_down

boot_a_copy 'not a good name'
check "a faulty site file is told on the boot partition" box_wait 600 inside 'grep -q "kiosk.id" /boot/kiosk-site-error.txt'
check "and stays to be mended, without the secret in the report" inside '[ -e /boot/kiosk-site.toml ] && ! grep -q s3cret /boot/kiosk-site-error.txt'
inside 'sed -i "s/not a good name/box-3/" /boot/kiosk-site.toml'
box_down
box_up
check "mended, the next boot sets it up" box_wait 600 is_set_up
check "the report is gone" inside '[ ! -e /boot/kiosk-site-error.txt ]'
box_down

box_close
