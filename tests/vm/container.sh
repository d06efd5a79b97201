# shellcheck shell=bash
# container.sh - sourced by the tests here: a Debian with systemd as PID 1, in a container of its own, up in a second.
#
# box_root SUITE     bootstrap the root once, below $BOX_DIR          box_fresh   forget all changes
# box_up             boot it and wait until systemd says it is up     box_down    orderly shutdown
# box_in CMD...      a command as root inside                         box_kill    everything in it gone at once
# box_put SRC DST    copy a folder's contents in                      inside WORDS  a line for the shell inside
# check NAME CMD...  one test: counted, told, and the rest goes on    box_close   the sum; fails if a check did
#
# Changes live in an overlay over the root; the network is this machine's, or none (BOX_NETWORK=none). Where systemd does
# not run this machine, the container gets control groups of its own below ours, so that limits and DeviceAllow= bite.
# BOX_OPTIONS: more options for systemd-nspawn. BOX_ARCH: another processor's Debian (not to be booted here);
# BOX_PACKAGES: more packages for the root.
# exit 69: not possible here.

BOX_NETWORK=${BOX_NETWORK:-shared}
BOX_OPTIONS=()
BOX_KEEP=${KG_BOX_DIR:-} # where the roots live; empty: made anew and removed
BOX_DIR=${BOX_KEEP:-$(mktemp -d)}
mkdir -p "$BOX_DIR"
BOX_PASSED=0 BOX_FAILED=0

box_say() { printf '%s\n' "[box] $*" >&2; }
box_cannot() {
  box_say "cannot be run here: $*"
  exit 69
}

box_check() {
  local program
  [ "$(id -u)" = 0 ] || box_cannot "needs root"
  for program in mmdebstrap systemd-nspawn nsenter; do
    command -v "$program" >/dev/null || box_cannot "missing: $program (apt-get install -y mmdebstrap systemd-container)"
  done
  unshare --mount --pid --fork true 2>/dev/null || box_cannot "no mount and process namespaces"
}

# apt lines for a suite, from the archive that this machine's apt uses already
box_archive() {
  local uri
  find /etc/apt -maxdepth 2 -type f \( -name '*.list' -o -name '*.sources' \) -exec cat {} + |
    awk '/^URIs:/ { for (i = 2; i <= NF; i++) print $i }
         /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; break } }' |
    sed 's#/*$##' | sort -u | grep '/debian$' |
    while read -r uri; do
      printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$uri" "$1"
    done
}

box_root() {
  local suite=$1 place=$1${BOX_ARCH:+-$BOX_ARCH}
  local root=$BOX_DIR/$place/root
  BOX=$BOX_DIR/$place BOX_ROOT=$BOX_DIR/$place/merged BOX_NAME=kiosk-guard-test-$suite-$BOX_NETWORK
  mkdir -p "$BOX/upper" "$BOX/work" "$BOX_ROOT"
  [ ! -e "$root/.complete" ] || return 0
  rm -rf --one-file-system -- "$root"
  box_archive "$suite" >"$BOX/sources.list"
  [ -s "$BOX/sources.list" ] || box_cannot "no Debian archive found in this machine's apt settings"
  box_say "bootstrapping Debian $suite${BOX_ARCH:+ for $BOX_ARCH} ..."
  # (what the kernel's initrd is made of, where there is one: only what finds a virtual disk, so that it is small)
  # shellcheck disable=SC2016  # expanded by the hook's own shell
  mmdebstrap --quiet --mode=root --variant=minbase ${BOX_ARCH:+--architectures="$BOX_ARCH"} \
    --aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt='path-exclude=/usr/share/man/*' \
    --include="systemd,systemd-sysv,dbus,udev,python3,ca-certificates,curl,procps,openssh-server${BOX_PACKAGES:+,$BOX_PACKAGES}" \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" && cd "$1/etc/initramfs-tools" &&
      echo MODULES=list >conf.d/box && printf "%s\n" virtio_pci virtio_blk ext4 >modules' \
    "$suite" "$root" "$BOX/sources.list" >"$BOX/bootstrap.log" 2>&1 || {
    tail -n 5 "$BOX/bootstrap.log" >&2
    box_cannot "the bootstrap failed"
  }
  if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
  fi
  local unit # the network is shared: hands off it; and no timers that would disturb a comparison of files
  for unit in ssh.service ssh.socket systemd-networkd.service systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer \
    dpkg-db-backup.timer e2scrub_all.timer systemd-tmpfiles-clean.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
  done
  echo kiosk-test >"$root/etc/hostname"
  # The v1 controllers come read-only from the outside; systemd inside must write to them.
  cat >"$root/sbin/box-init" <<'INIT'
#!/bin/sh
for each in memory pids devices cpu cpuacct blkio freezer cpuset; do
  [ ! -d "/sys/fs/cgroup/$each" ] || mount -o remount,bind,rw "/sys/fs/cgroup/$each"
done
exec /lib/systemd/systemd
INIT
  chmod 755 "$root/sbin/box-init"
  touch "$root/.complete"
}

box_pid() { # of the container's PID 1, seen from here
  local outer
  outer=$(cat "$BOX/pid" 2>/dev/null) || return 1
  pgrep -P "$outer" | head -n 1 | grep .
}

box_in() {
  local pid
  pid=$(box_pid) || { box_say "not running"; return 1; }
  nsenter -t "$pid" -m -u -i -n -p -C -r -w -- env -i HOME=/root LANG=C.UTF-8 container=systemd-nspawn \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    ${https_proxy:+https_proxy="$https_proxy"} ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} "$@"
}

box_own_cgroups() { # this shell moves into a child group in every v1 hierarchy
  local hierarchy controllers path folder
  while IFS=: read -r hierarchy controllers path; do
    folder=/sys/fs/cgroup/${controllers#name=}$path
    if [ "$hierarchy" = 0 ] || [ ! -d "$folder" ]; then continue; fi
    mkdir -p "$folder/$BOX_NAME"
    if [ "$controllers" = cpuset ]; then
      cat "$folder/cpuset.cpus" >"$folder/$BOX_NAME/cpuset.cpus"
      cat "$folder/cpuset.mems" >"$folder/$BOX_NAME/cpuset.mems"
    fi
    echo "$BASHPID" >"$folder/$BOX_NAME/cgroup.procs"
  done </proc/self/cgroup
}

box_is_up() { # (the command itself fails unless all is well)
  local state
  state=$(box_in systemctl is-system-running 2>/dev/null || true)
  [[ $state =~ ^(${BOX_UP:-running|degraded})$ ]]
}
box_is_gone() { ! box_pid >/dev/null; }

box_wait() { # SECONDS COMMAND...
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.2
  done
}

box_mount() {
  mountpoint -q "$BOX_ROOT" ||
    mount -t overlay box -o "lowerdir=$BOX/root,upperdir=$BOX/upper,workdir=$BOX/work" "$BOX_ROOT"
}

box_up() {
  local options=(-D "$BOX_ROOT" --console=pipe --kill-signal=SIGRTMIN+3 --link-journal=no --register=no
    -E SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1)
  if [ "$BOX_NETWORK" = none ]; then options+=(--private-network --resolv-conf=off); else options+=(--resolv-conf=replace-host); fi
  box_is_gone || { box_say "already running"; return 1; }
  box_mount
  (
    if [ ! -d /run/systemd/system ]; then
      box_own_cgroups
      options+=(--keep-unit)
    fi
    SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 exec setsid systemd-nspawn "${options[@]}" "${BOX_OPTIONS[@]}" /sbin/box-init \
      </dev/null >"$BOX/console.log" 2>&1
  ) &
  echo $! >"$BOX/pid"
  box_wait 180 box_is_up || {
    tail -n 5 "$BOX/console.log" >&2
    box_cannot "the container did not boot"
  }
}

box_unmount() {
  ! mountpoint -q "$BOX_ROOT" || umount "$BOX_ROOT"
  rm -f "$BOX/pid"
}
box_kill() {
  box_is_gone || kill -KILL "$(box_pid)"
  box_wait 10 box_is_gone
  sleep 0.5
  box_unmount
}
box_down() {
  box_is_gone || kill -s RTMIN+4 "$(box_pid)"
  box_wait 40 box_is_gone || box_kill
  sleep 0.5
  box_unmount
}
box_fresh() {
  box_is_gone || box_kill
  box_unmount
  rm -rf --one-file-system -- "$BOX/upper" "$BOX/work"
  mkdir -p "$BOX/upper" "$BOX/work"
}
# shellcheck disable=SC2016  # expanded inside
box_put() { tar -C "$1" -cf - . | box_in sh -c 'mkdir -p "$1" && tar -C "$1" --no-same-owner -xf -' sh "$2"; }

inside() { box_in sh -euc "$1"; }

check() {
  local name=$1
  shift
  if "$@" >"$BOX_DIR/check.log" 2>&1; then
    BOX_PASSED=$((BOX_PASSED + 1))
    printf '%s\n' "ok: $name"
  else
    BOX_FAILED=$((BOX_FAILED + 1))
    printf '%s\n' "FAILED: $name"
    tail -n 5 "$BOX_DIR/check.log"
    [ -z "${LOG:-}" ] || tail -n 20 "$LOG"
  fi
}

box_tidy() {
  box_is_gone || box_kill
  box_unmount
  [ -n "$BOX_KEEP" ] || rm -rf --one-file-system -- "$BOX_DIR"
}

box_close() {
  printf '%s\n' "$SECONDS s in all" "$BOX_PASSED passed, $BOX_FAILED failed"
  [ "$BOX_FAILED" = 0 ]
}
