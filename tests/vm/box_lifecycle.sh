#!/bin/bash
# box_lifecycle.sh - the life of a box in a real Debian with systemd, in a container: install.sh online and offline, twice,
# an upgrade, upgrades that fail, a hang, power cuts, a read-only root, a restart, uninstall.
#
#   sudo tests/vm/box_lifecycle.sh [bookworm|trixie]       (default: bookworm)
#
# Needs root, git, mmdebstrap and systemd-container, and a network for apt and pip; 69: it cannot be run here. The root
# is made once below $KG_BOX_DIR (default: a temporary folder). Takes about 12 minutes, 3 of them the bootstrap and
# downloads; more on a busy machine. Closes with 'N passed, N failed'.
# shellcheck disable=SC2016  # words for the shell inside, expanded there
set -euo pipefail

REPO=$(cd "$(dirname "$0")/../.." && pwd -P)
SUITE=${1:-bookworm}
# shellcheck source=tests/vm/container.sh
. "$REPO/tests/vm/container.sh"

LOG=$BOX_DIR/$SUITE.log

# --- what is asked of the box
installs() { # EXPECTED-EXIT WORDS OPTION...: install.sh of the tree /root/tree
  run_install "$1" "$2" /root/tree/install.sh "${@:3}"
}
offline() { # the same where there is no network at all
  run_install "$1" "$2" unshare --net /root/tree/install.sh --offline /root/wheels "${@:3}"
}
run_install() { # EXPECTED-EXIT WORDS COMMAND...
  local rc=0
  box_in "${@:3}" >"$LOG" 2>&1 || rc=$?
  if [ "$rc" != "$1" ]; then
    echo "exit $rc, not $1"
    return 1
  fi
  grep -F -- "$2" "$LOG"
}
shown() { box_in systemctl show -p "$1" --value kiosk-guard.service; }
is_active() { [ "$(shown ActiveState)" = active ]; }
release_is() { [ "$(box_in readlink /opt/kiosk-guard/current)" = "releases/$1" ]; }
guards() { # it judges pictures, which onnxruntime does inside the sandbox
  box_wait 60 inside 'curl -sf http://127.0.0.1:8787/readyz'
}
restarted_since() { [ "$(shown NRestarts)" -gt "$1" ] && is_active; }
secure_enough() {
  box_in systemd-analyze security --no-pager kiosk-guard.service | tail -n 1 |
    awk '{ for (i = 1; i <= NF; i++) if ($i ~ /^[0-9.]+$/) { print $i; exit !($i <= 2.0) } }'
}
# Everything that a package manager does not keep for itself, with kind, mode and owner; and the accounts.
snapshot() {
  inside 'cd / && find . -xdev \( -path ./proc -o -path ./sys -o -path ./run -o -path ./tmp -o -path ./root -o -path ./var/tmp \
      -o -path ./var/log -o -path ./var/cache -o -path ./var/lib/apt -o -path ./var/lib/dpkg -o -path ./dev \
      -o -name __pycache__ \) -prune -o -printf "%p %y %m %U %G %l\n" | grep -v -e "^./etc/[a-z]*- " -e "^./etc/.pwd.lock" \
      | sort; sort /etc/passwd /etc/group; dpkg-query -W -f "\${Package}\n"' >"$BOX_DIR/$1"
}
same() { diff "$BOX_DIR/$1" "$BOX_DIR/$2"; }
same_but_state() { diff <(grep -v "^./var/lib/kiosk-guard/" "$BOX_DIR/$1") <(grep -v "^./var/lib/kiosk-guard/" "$BOX_DIR/$2"); }
version() { # NEW: the tree becomes another version of the software
  inside "sed -i 's/^version = .*/version = \"$1\"/' /root/tree/pyproject.toml
    sed -i 's/^__version__ = .*/__version__ = \"$1\"/' /root/tree/edge/__init__.py"
}
refill_wheelhouse() { # with the tree's own wheel; the others stay
  inside 'rm -rf /root/build && mkdir /root/build && /opt/kiosk-guard/current/bin/python -m venv /root/build/venv
    /root/build/venv/bin/python -m pip -q wheel --no-deps --wheel-dir /root/build/wheel /root/tree
    rm /root/wheels/kiosk_guard-*.whl && cp /root/build/wheel/*.whl /root/wheels
    cd /root/tree && model=$(sed -n "s|^\"\(weights/[a-z0-9_-]*\)\" = .edge/models/shipped.*|\1|p" pyproject.toml)
    find pyproject.toml README.md LICENSE edge export $model -type f ! -name "*.pyc" -exec sha256sum {} + |
      LC_ALL=C sort | sha256sum | cut -d " " -f 1 >/root/wheels/SOURCES
    cd /root/wheels && sha256sum *.whl TARGET SOURCES >SHA256SUMS'
}

# --- the life
box_check
command -v git >/dev/null || box_cannot "missing: git"
trap box_tidy EXIT
box_root "$SUITE"
box_fresh
box_up
git -c safe.directory='*' clone -q --depth 1 "file://$REPO" "$BOX_DIR/clone.$$"
rm -rf "$BOX_DIR/clone.$$/.git" "$BOX_DIR/clone.$$/tests"
box_put "$BOX_DIR/clone.$$" /root/tree
rm -rf "$BOX_DIR/clone.$$"
v1=$(inside 'sed -n "s/^version = \"\(.*\)\"/\1/p" /root/tree/pyproject.toml')
echo "Debian $SUITE, systemd $(box_in systemctl --version | awk 'NR == 1 { print $2 }'), Kiosk Guard $v1"

snapshot before
check "a dry run" installs 0 "nothing was changed" --dry-run
snapshot dry
check "a dry run leaves no trace" same before dry

start=$SECONDS
check "fresh, online" installs 0 "Done: Kiosk Guard $v1, the service is active"
echo "took $((SECONDS - start)) s"
check "the release is current" release_is "$v1"
check "systemd-analyze verify has nothing to say" inside '! systemd-analyze verify /etc/systemd/system/kiosk-guard*.service /etc/systemd/system/kiosk-guard*.timer 2>&1 | grep .'
check "systemd-analyze security: 2.0 or better" secure_enough
box_in systemd-analyze security --no-pager kiosk-guard.service | tail -n 1
check "no rights, no new ones" inside 'pid=$(systemctl show -p MainPID --value kiosk-guard.service)
  grep -q "^CapBnd:.0*$" /proc/$pid/status && grep -q "^NoNewPrivs:.1" /proc/$pid/status && grep -q "^Uid:.[1-9]" /proc/$pid/status'

inside 'cp /root/tree/firmware_config/demo/lobby.mp4 /var/lib/kiosk-guard/
  sed -i "s|^source = .*|source = \"file:/var/lib/kiosk-guard/lobby.mp4\"|; s|^loop = false|loop = true|; s|^id = .*|id = \"mine-1\"|" \
    /etc/kiosk-guard/kiosk-guard.toml
  echo secret-word >/etc/kiosk-guard/mail-password; chmod 600 /etc/kiosk-guard/mail-password; systemctl restart kiosk-guard'
check "it guards, in its sandbox" guards
check "the journal has each event's own fields" inside 'journalctl -u kiosk-guard KG_EVENT=camera_live KG_CAMERA=lobby -o cat | grep -q "is live"'
echo "memory: $(($(shown MemoryCurrent) / 1048576)) MiB, tasks: $(shown TasksCurrent)"
check "the mail password is handed in, and only there" inside 'pid=$(systemctl show -p MainPID --value kiosk-guard.service)
  grep -qx secret-word /proc/$pid/root/run/credentials/kiosk-guard.service/mail-password
  ! su -s /bin/sh kiosk-guard -c "cat /etc/kiosk-guard/mail-password"'

snapshot installed
pid=$(shown MainPID)
check "a second time" installs 0 "already installed"
snapshot again
check "changes nothing" same_but_state installed again
check "and does not touch the service" test "$(shown MainPID)" = "$pid"

start=$SECONDS
version 9.0.1
inside 'printf "\n[log_of_tomorrow]\nshiny = true                    # a key of a newer version\n" >>/root/tree/firmware_config/kiosk-guard.toml'
check "a wheelhouse for this machine" inside '/root/tree/install.sh --make-wheelhouse /root/wheels'
echo "took $((SECONDS - start)) s"
start=$SECONDS
check "an upgrade, offline" offline 0 "Done: Kiosk Guard 9.0.1, the service is active"
echo "took $((SECONDS - start)) s"
check "is current" release_is 9.0.1
check "the old one is kept" test "$(box_in readlink /opt/kiosk-guard/previous)" = "releases/$v1"
check "the configuration is the operator's" inside 'grep -q "^id = \"mine-1\"" /etc/kiosk-guard/kiosk-guard.toml'
check "new keys are offered" grep -F "[log_of_tomorrow] shiny" "$LOG"
check "it guards again" guards

# The next version installs but does not run; it takes some seconds to fail, so that a cut finds install.sh still waiting.
version 9.0.2
inside 'sed -i "s/^def _run(args.*/&\n    __import__(\"time\").sleep(3); raise SystemExit(3)/" /root/tree/edge/cli.py
  sed -i "s/^MemoryMax=.*/MemoryMax=901M/" /root/tree/firmware_config/systemd/kiosk-guard.service'
refill_wheelhouse
check "an upgrade that does not run is refused" offline 70 "Release 9.0.1 is in place again, the service is active"
check "the old one is current" release_is 9.0.1
check "with its own unit" inside 'grep -q "^MemoryMax=900M" /etc/systemd/system/kiosk-guard.service'
check "and guards" guards
pid=$(shown MainPID)
inside 'rm /root/wheels/numpy-*.whl; cd /root/wheels && sha256sum *.whl TARGET SOURCES >SHA256SUMS'
version 9.0.3
check "an upgrade of other sources than the wheelhouse's is refused" offline 65 "another version"
check "nothing noticed it" test "$(shown MainPID)" = "$pid"
version 9.0.2
check "an upgrade that cannot be installed fails" offline 75 "wheelhouse"
check "nothing noticed that either" test "$(shown MainPID)" = "$pid"
check "and nothing of it is left" inside '[ ! -e /opt/kiosk-guard/releases/9.0.2 ] && [ ! -e /opt/kiosk-guard/.undo ]'

# A hang: the process stands still; systemd's watchdog finds out.
starts=$(shown NRestarts)
start=$SECONDS
inside 'kill -STOP "$(systemctl show -p MainPID --value kiosk-guard.service)"'
check "a process that hangs is replaced" box_wait 120 restarted_since "$starts"
echo "took $((SECONDS - start)) s"
check "and it guards" guards

box_down
box_up
check "after a restart it guards" guards

# Nothing but its state can be written: that lies on a file system of its own. (A folder of the root itself, bound there,
# would be as read-only as the root.)
box_down
box_mount
rm -rf -- "$BOX/state"
cp -a "$BOX_ROOT/var/lib/kiosk-guard" "$BOX/state"
BOX_OPTIONS=(--read-only "--bind=$BOX/state:/var/lib/kiosk-guard" --tmpfs=/var/log)
box_up
check "on a read-only root it guards" guards
check "which is one" inside '! touch /x && ! touch /etc/kiosk-guard/x && ! touch /opt/kiosk-guard/x'
check "and answers its commands" inside 'kiosk-guard status | grep "frames judged"'
box_down

# The card has had enough of writing: the state can only be read, too. It cannot guard, and says so.
BOX_OPTIONS=(--read-only --tmpfs=/var/log)
box_up
check "with a state that cannot be written it says so" box_wait 60 inside 'systemctl status kiosk-guard | grep "FAULT.*cannot be written"'
check "to commands, too" inside 'kiosk-guard status | grep "cannot be written"'
box_down
BOX_OPTIONS=()
rm -rf -- "$BOX/state"
box_up

# The power goes right after the switch to a release that does not run, before install.sh could see that.
version 9.0.3
check "the switch" inside 'cd /root/tree && (./install.sh >/root/cut.log 2>&1 & echo $! >/root/cut.pid)
  until [ "$(readlink /opt/kiosk-guard/current)" = releases/9.0.3 ]; do kill -0 "$(cat /root/cut.pid)"; sleep 0.02; done'
box_kill
box_up
check "the boot after a cut at the switch goes on with a trial" inside 'kiosk-guard-update status | grep "on trial, started 1 times"'
for _ in 2 3; do
  box_kill
  box_up
done
check "which a release that does not run fails" release_is 9.0.1
check "and it guards with the old one" guards
check "what failed is on record" inside 'kiosk-guard-update status | grep "failed: 9.0.3"'

# The power goes in the middle of the switch, which is then done or not begun.
inside 'sed -i "/raise SystemExit(3)/d" /root/tree/edge/cli.py'
version 9.0.4
check "online again" inside 'cd /root/tree && (./install.sh >/root/cut.log 2>&1 & echo $! >/root/cut.pid)
  while ! grep -q "Switching\|Done\|error" /root/cut.log; do sleep 0.05; done; cat /root/cut.log; grep -q Switching /root/cut.log'
box_kill
box_up
check "after a cut in the middle of an upgrade it guards" guards
check "with the old release or the new one" inside 'readlink /opt/kiosk-guard/current | grep -x -e releases/9.0.1 -e releases/9.0.4'
check "install.sh mends what was cut off" installs 0 "Done: Kiosk Guard 9.0.4, the service is active"
check "the new one is current" release_is 9.0.4

check "uninstall" installs 0 "are still there" --uninstall
check "configuration and state stay" inside '[ -e /etc/kiosk-guard/kiosk-guard.toml ] && [ -d /var/lib/kiosk-guard ] && [ ! -e /opt/kiosk-guard ]'
check "purge" installs 0 "nothing of Kiosk Guard is left" --uninstall --purge
snapshot after
check "no trace is left" same before after

box_close
