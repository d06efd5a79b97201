#!/bin/sh
# firstboot.sh identity | install - what a card made by install.sh --root does when it boots for the first time.
#
# If the power goes, the next boot begins again. A site file that is not accepted stays where it is, with what is wrong
# beside it in kiosk-site-error.txt; the next boot tries again.
set -eu

ROOT=${KIOSK_GUARD_INSTALL_ROOT:-} # the tests' own root; empty on a box
FLASH=$ROOT/opt/kiosk-guard/flash

say() { printf '%s\n' "[first boot] $*"; }

boot_folder() { # the partition that any computer can write
  for folder in "$ROOT/boot/firmware" "$ROOT/boot"; do
    if [ -n "$(site_file "$folder")" ] || [ -e "$folder/config.txt" ]; then
      printf '%s\n' "$folder"
      return 0
    fi
  done
  printf '%s\n' "$ROOT/boot"
}

site_file() { # FOLDER: also with the ending that an editor adds and its computer does not show
  for name in kiosk-site.toml kiosk-site.toml.txt; do
    if [ -e "$1/$name" ]; then
      printf '%s\n' "$1/$name"
      return 0
    fi
  done
}

# Overwritten first: removing a file from a FAT partition leaves its words there. (A card's own wear levelling may still
# hold a copy; only a password that is changed is gone for good.)
erase() {
  size=$(wc -c <"$1")
  dd if=/dev/zero of="$1" bs=1 count="$size" conv=notrunc,fsync 2>/dev/null
  rm -f -- "$1"
  sync
}

identity() {
  if command -v ssh-keygen >/dev/null && ! ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1; then
    say "making the SSH keys of this box"
    ssh-keygen -A >/dev/null
    sync
  fi
}

install() {
  boot=$(boot_folder)
  site=$(site_file "$boot")
  if [ -n "$site" ] && [ -s "$site" ] && [ -z "$(tr -d '\000' <"$site" | head -c 1)" ]; then
    say "$site was read before and overwritten; the power went before it was removed"
    rm -f -- "$site"
    site=''
  fi
  set -- --offline "$FLASH/wheels"
  if [ -n "$site" ]; then set -- "$@" --site "$site"; else say "no $boot/kiosk-site.toml: the box starts with default values"; fi
  log=$(mktemp)
  code=0
  sh "$FLASH/install.sh" "$@" </dev/null >"$log" 2>&1 || code=$?
  cat -- "$log"
  if [ "$code" != 0 ]; then
    { printf 'Kiosk Guard could not be installed. The next boot tries again.\n\n'; cat -- "$log"; } >"$boot/kiosk-site-error.txt" || true
    sync
    exit "$code"
  fi
  rm -f -- "$boot/kiosk-site-error.txt"
  if [ -n "$site" ]; then
    say "erasing $site: its contents are in /etc/kiosk-guard now"
    erase "$site"
  fi
  for unit in kiosk-guard-identity.service kiosk-guard-firstboot.service; do
    rm -f -- "$ROOT/etc/systemd/system/$unit" "$ROOT/etc/systemd/system/multi-user.target.wants/$unit"
  done
  rm -rf -- "$FLASH"
  sync
  say "this box is set up"
}

case ${1:-} in
  identity) identity ;;
  install) install ;;
  *) sed -n '2,5p' "$0" && exit 64 ;;
esac
