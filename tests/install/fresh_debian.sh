#!/bin/bash
# fresh_debian.sh - install.sh --demo in fresh Debian roots that hold python3 and nothing else of use.
#
#   sudo tests/install/fresh_debian.sh [bookworm|trixie]...      (default: both)
#
# Needs root, mmdebstrap and git (apt-get install -y mmdebstrap git). A root is bootstrapped once for each suite below
# $KG_FRESH_DIR (default: a temporary folder that is removed afterwards); every case gets an overlay of its own over
# it, in a mount and process namespace of its own, with this machine's network. Closes with 'N passed, N failed'.
set -euo pipefail

REPO=$(cd "$(dirname "$0")/../.." && pwd -P)
SUITES=("$@")
[ ${#SUITES[@]} -gt 0 ] || SUITES=(bookworm trixie)
passed=0 failed=0

say() { printf '%s\n' "[fresh] $*"; }
die() {
  say "error: $*" >&2
  exit 69
}

[ "$(id -u)" = 0 ] || die "needs root"
for program in mmdebstrap git unshare; do command -v "$program" >/dev/null || die "missing: $program"; done
unshare --mount --pid --fork true 2>/dev/null || die "this machine allows no mount and process namespaces"
if [ -n "${KG_FRESH_DIR:-}" ]; then
  BASE=$KG_FRESH_DIR
  mkdir -p "$BASE"
else
  BASE=$(mktemp -d)
  trap 'rm -rf --one-file-system -- "$BASE"' EXIT
fi

# The archive that this machine's apt uses already, for another suite.
archive_lines() {
  local suite=$1 uri key=/usr/share/keyrings/debian-archive-keyring.gpg
  find /etc/apt -maxdepth 2 -type f \( -name '*.list' -o -name '*.sources' \) -exec cat {} + |
    awk '/^URIs:/ { for (i = 2; i <= NF; i++) print $i }
         /^deb /  { for (i = 2; i <= NF; i++) if ($i ~ /^[a-z+]+:\/\//) { print $i; break } }' |
    sed 's#/*$##' | sort -u | grep '/debian$' |
    while read -r uri; do printf 'deb [signed-by=%s] %s %s main\n' "$key" "$uri" "$suite"; done
}

bootstrap() {
  local suite=$1 root=$BASE/$1/root
  [ ! -e "$root/.complete" ] || return 0
  rm -rf --one-file-system -- "$root"
  mkdir -p "$BASE/$suite"
  archive_lines "$suite" >"$BASE/$suite/sources.list"
  [ -s "$BASE/$suite/sources.list" ] || die "no Debian archive found in this machine's apt settings"
  say "bootstrapping Debian $suite ..."
  mmdebstrap --quiet --mode=root --variant=minbase --include=python3,ca-certificates \
    --aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt='path-exclude=/usr/share/man/*' \
    "$suite" "$root" "$BASE/$suite/sources.list" >"$BASE/$suite/bootstrap.log" 2>&1 ||
    {
      tail -n 5 "$BASE/$suite/bootstrap.log" >&2
      die "cannot bootstrap $suite"
    }
  # This machine's own certificate authorities, as an administrator would add them.
  if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
  fi
  chroot "$root" useradd --create-home tech
  rm -rf "$root/var/lib/apt/lists" && mkdir -p "$root/var/lib/apt/lists/partial" # as images come: no package lists
  touch "$root/.complete"
}

# case_ SUITE NAME USER PREPARE EXPECTED-EXIT EXPECTED-TEXT: PREPARE is a shell line run as root first.
case_() {
  local suite=$1 name=$2 user=$3 prepare=$4 expected=$5 text=$6
  local dir=$BASE/$suite/case log rc=0 start=$SECONDS home=/home/$user
  [ "$user" != root ] || home=/root
  rm -rf --one-file-system -- "$dir"
  mkdir -p "$dir/upper" "$dir/work" "$dir/merged"
  log=$BASE/$suite/$name.log
  export KG_DIR=$dir KG_LOWER=$BASE/$suite/root KG_REPO=$REPO KG_USER=$user KG_HOME=$home KG_PREPARE=$prepare
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount --pid --fork --kill-child bash -euc '
    mount -t overlay fresh -o "lowerdir=$KG_LOWER,upperdir=$KG_DIR/upper,workdir=$KG_DIR/work" "$KG_DIR/merged"
    root=$KG_DIR/merged
    mount --rbind /dev "$root/dev"; mount -t proc proc "$root/proc"
    rm -f "$root/etc/resolv.conf"; cp /etc/resolv.conf "$root/etc/resolv.conf"
    [ -z "$KG_PREPARE" ] || chroot "$root" sh -euc "$KG_PREPARE" </dev/null
    # A clean clone, in a path with a space.
    git -c safe.directory="*" clone -q "$KG_REPO" "$root$KG_HOME/kiosk guard"
    chroot "$root" chown -R "$KG_USER" "$KG_HOME/kiosk guard"
    exec chroot --userspec="$KG_USER:" "$root" env -i HOME="$KG_HOME" LANG=C.UTF-8 \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      ${https_proxy:+https_proxy="$https_proxy"} ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} \
      sh -c "cd / && \"\$HOME/kiosk guard/install.sh\" --demo --out \"\$HOME/seen\"" </dev/null
  ' >"$log" 2>&1 || rc=$?
  if [ "$rc" = "$expected" ] && grep -Fq -- "$text" "$log"; then
    passed=$((passed + 1))
    say "ok: Debian $suite, $name: exit $rc after $((SECONDS - start)) s"
  else
    failed=$((failed + 1))
    say "FAILED: Debian $suite, $name: exit $rc, expected $expected with '$text'; its last lines:"
    tail -n 30 "$log"
  fi
  rm -rf --one-file-system -- "$dir"
}

for suite in "${SUITES[@]}"; do
  bootstrap "$suite"
  case_ "$suite" root-without-venv root '' 0 'The demo saw everything'
  case_ "$suite" user-with-venv tech 'apt-get -q update && apt-get -q install -y --no-install-recommends python3-venv' 0 \
    'The demo saw everything'
  case_ "$suite" user-without-venv-or-sudo tech '' 77 'sudo apt-get update && sudo apt-get install -y python3'
done
case_ "${SUITES[0]}" user-with-sudo tech \
  'apt-get -q update && apt-get -q install -y --no-install-recommends sudo && echo "tech ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/tech' \
  0 'The demo saw everything'

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
