#!/bin/bash
# fetched_updates.sh - a box in a container gets releases and models from a file server, by its own units in their sandboxes.
#
#   sudo tests/vm/fetched_updates.sh [bookworm|trixie]       (default: bookworm)
#
# The server is in the container, too: https, with an authority of its own. A good release, one that does not run, a forged
# one, a server that is away, a model; and install.sh and the updater at the same time. Needs what box_lifecycle.sh needs;
# 69: it cannot be run here. Takes about 8 minutes. Closes with 'N passed, N failed'.
# shellcheck disable=SC2016  # words for the shell inside, expanded there
set -euo pipefail

REPO=$(cd "$(dirname "$0")/../.." && pwd -P)
SUITE=${1:-bookworm}
# shellcheck source=tests/vm/container.sh
. "$REPO/tests/vm/container.sh"

LOG=$BOX_DIR/$SUITE.log
UPDATE=kiosk-guard-update.service

release_is() { [ "$(box_in readlink /opt/kiosk-guard/current)" = "releases/$1" ]; }
guards() { box_wait 60 inside 'curl -sf http://127.0.0.1:8787/readyz'; }
version() { # NEW: the tree becomes another version of the software
  inside "cd /root/tree && sed -i 's/^version = .*/version = \"$1\"/' pyproject.toml && sed -i 's/^__version__ = .*/__version__ = \"$1\"/' edge/__init__.py"
}
release() { # the tree's, signed, onto the server
  inside 'cd /root/tree && rm -rf /root/files/* && /root/maker/bin/python firmware_config/release/make_release.py build \
    --target "$(uname -m)-cp3$(python3 -c "import sys; print(sys.version_info[1])")" --key /root/release-key --out /root/files'
}
looks() { # EXPECTED-EXIT WORDS [UNIT]: the unit runs to its end
  local unit=${3:-$UPDATE}
  inside "systemctl start $unit || true
    journalctl --sync; journalctl -q -o cat _SYSTEMD_INVOCATION_ID=\$(systemctl show -p InvocationID --value $unit)
    systemctl show -p ExecMainStatus $unit" >"$LOG" 2>&1
  grep -qx "ExecMainStatus=$1" "$LOG" && grep -F -- "$2" "$LOG"
}
trial_is_on() { inside 'kiosk-guard-update status | grep "] on trial"'; }
ended() { [ "$(box_in systemctl show -p ActiveState --value "$UPDATE")" != activating ]; }
install_is_refused() {
  local rc=0
  box_in /root/tree/install.sh >"$LOG" 2>&1 || rc=$?
  [ "$rc" = 75 ] && grep "kiosk-guard-update is at work" "$LOG"
}
says() { inside "systemctl show -p $1 --value $2 | grep -x -e '$3'"; }

box_check
command -v git >/dev/null || box_cannot "missing: git"
trap box_tidy EXIT
box_root "$SUITE"
box_fresh
box_up
git -c safe.directory='*' clone -q --depth 1 "file://$REPO" "$BOX_DIR/clone.$$"
rm -rf "$BOX_DIR/clone.$$/.git"
box_put "$BOX_DIR/clone.$$" /root/tree
rm -rf "$BOX_DIR/clone.$$"
echo "Debian $SUITE, systemd $(box_in systemctl --version | awk 'NR == 1 { print $2 }')"

check "a box" box_in /root/tree/install.sh
inside 'cp /root/tree/firmware_config/demo/lobby.mp4 /var/lib/kiosk-guard/
  sed -i "s|^source = .*|source = \"file:/var/lib/kiosk-guard/lobby.mp4\"|; s|^loop = false|loop = true|" /etc/kiosk-guard/kiosk-guard.toml
  systemctl restart kiosk-guard'
check "guards" guards
check "without an address both units have nothing to do" inside 'systemctl start kiosk-guard-update.service kiosk-guard-model-fetch.service'

# Who makes releases has a computer of their own; here it is a Python environment outside every release.
inside 'python3 -m venv /root/maker && /root/maker/bin/pip -q install cryptography
  mkdir /root/files /etc/kiosk-guard/release-keys
  /root/maker/bin/python - <<PY
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as Key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
for name in ("release-key", "stranger"):
    key = Key.generate()
    Path("/root", name).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    if name == "release-key":
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        Path("/etc/kiosk-guard/release-keys/operator.pub").write_bytes(pem)
PY
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
    -addext subjectAltName=IP:127.0.0.1 -keyout /root/tls.key -out /etc/kiosk-guard/files-ca.pem 2>/dev/null
  cat >/root/serve.py <<PY
import functools, http.server, ssl
server = http.server.ThreadingHTTPServer(
    ("127.0.0.1", 4443), functools.partial(http.server.SimpleHTTPRequestHandler, directory="/root/files"))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/kiosk-guard/files-ca.pem", "/root/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
PY
  systemd-run -q --unit=files python3 /root/serve.py
  printf "[update]\nurl = https://127.0.0.1:4443/\nca_file = /etc/kiosk-guard/files-ca.pem\n" >/etc/kiosk-guard/update.conf
  mkdir -p /etc/systemd/system/kiosk-guard-update.service.d
  printf "[Service]\nExecStart=\nExecStart=/usr/local/lib/kiosk-guard/kiosk_guard_update.py --trial-s 45 --ready-s 30 fetch\n" \
    >/etc/systemd/system/kiosk-guard-update.service.d/90-short-trial.conf
  systemctl daemon-reload'
box_in systemd-analyze security --no-pager kiosk-guard-update.service kiosk-guard-model-fetch.service | tail -n 3 || true

version 9.1.0
check "a release is made" release
size=$(inside 'du -sm /root/files | cut -f 1')
echo "$size MiB"
start=$SECONDS
inside "systemctl start --no-block $UPDATE"
check "it is fetched, and on trial" box_wait 300 trial_is_on
echo "took $((SECONDS - start)) s"
check "install.sh waits for the updater" install_is_refused
check "the trial ends well" box_wait 120 ended
check "the unit says so" says Result "$UPDATE" success
check "it is current" release_is 9.1.0
check "it guards" guards
check "nothing is on trial" inside 'kiosk-guard-update status | grep "nothing is on trial"'
check "the download is not kept" inside '! ls /var/lib/kiosk-guard-update | grep tar'
check "the next night has nothing new" looks 0 "nothing new"

inside 'mv /root/files/latest /root/latest'
check "a server without releases changes nothing" looks 69 "not fetched"
inside 'mv /root/latest /root/files/latest'
version 9.1.1
check "a release of somebody else's is made" inside 'mv /root/release-key /root/mine && mv /root/stranger /root/release-key'
release
check "and refused" looks 65 "no trusted key signed this release"
check "nothing of it is kept" inside '[ ! -e /opt/kiosk-guard/.incoming ] && ! ls /var/lib/kiosk-guard-update | grep tar'
inside 'mv /root/mine /root/release-key'

version 9.1.2
inside 'cp /root/tree/edge/cli.py /root/cli.py; sed -i "s/^def _run(args.*/&\n    raise SystemExit(3)/" /root/tree/edge/cli.py'
release
check "a release that does not run is taken back" looks 70 "release 9.1.2 is taken back"
check "the old one is current" release_is 9.1.0
check "and guards" guards
check "it is not fetched again" looks 0 "nothing new"
inside 'mv /root/cli.py /root/tree/edge/cli.py; systemctl stop files'
check "a server that is away changes nothing" looks 69 "not fetched"

version 9.1.3
check "install.sh is at work" inside 'cd /root/tree && (./install.sh >/root/installs.log 2>&1; echo "exit $?" >>/root/installs.log) &
  until grep -q "Installing release 9.1.3" /root/installs.log 2>/dev/null; do sleep 0.1; done'
check "the updater waits for install.sh" looks 75 "another kiosk-guard-update, or install.sh, is at work"
check "which comes to its end" box_wait 300 inside 'grep -x "exit 0" /root/installs.log'
check "its release is current" release_is 9.1.3

box_in sh -c "cat >/root/sign_model.py" <"$REPO/tests/vm/sign_model.py"
inside '/opt/kiosk-guard/current/bin/python /root/sign_model.py /root/kiosk-2 99 && tar -C /root -czf /root/files/kiosk.tar.gz kiosk-2
  systemctl reset-failed; systemd-run -q --unit=files python3 /root/serve.py
  sed -i "s|^fetch_url = .*|fetch_url = \"https://127.0.0.1:4443/kiosk.tar.gz\"|; s|^fetch_ca_file = .*|fetch_ca_file = \"files-ca.pem\"|" \
    /etc/kiosk-guard/kiosk-guard.toml
  chmod 644 /etc/kiosk-guard/files-ca.pem; systemctl restart kiosk-guard'
guards
check "a model is fetched" looks 0 "99" kiosk-guard-model-fetch.service
check "the running service takes it" box_wait 60 inside 'kiosk-guard model list | grep "\b99\b" && journalctl -q -o cat -u kiosk-guard | grep "kiosk 99"'
check "and guards" guards
check "the next hour has nothing new" looks 0 "nothing new" kiosk-guard-model-fetch.service

check "uninstall and purge" inside '/root/tree/install.sh --uninstall --purge'
box_close
