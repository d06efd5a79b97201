"""Signed releases of our own, and a tree in place of / that takes them.

A release here is the installed ``edge`` in a small wheel, started with the Python of the tests; systemd is a script.
"""

from __future__ import annotations

import base64
import ensurepip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import edge
from edge.models.shipped import shipped_behaviour, shipped_bundle

_REPO = Path(__file__).resolve().parents[2]
UPDATE = _REPO / "firmware_config" / "update" / "kiosk_guard_update.py"
_RELEASE = _REPO / "firmware_config" / "release" / "make_release.py"

_LAUNCHER = """
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
code = f"import sys; sys.path.insert(0, {here!r}); from edge.cli import main; sys.exit(main())"
def main():
    os.execv(PYTHON, [PYTHON, "-c", code, *sys.argv[1:]])
"""
_SYSTEMCTL = """#!/bin/sh
# restart kiosk-guard.service: what runs is told to stop, what `current` names is started
echo "$@" >>"$BOX/systemctl.log"
[ ! -e "$BOX/pid" ] || kill "$(cat "$BOX/pid")" 2>/dev/null
while [ -e "$BOX/pid" ] && kill -0 "$(cat "$BOX/pid")" 2>/dev/null; do sleep 0.1; done
[ "$1" != stop ] || exit 0
[ -e "$BOX/etc/kiosk-guard/kiosk-guard.toml" ] || exit 0
"$BOX/opt/kiosk-guard/current/bin/kiosk-guard" run --config "$BOX/etc/kiosk-guard/kiosk-guard.toml" \
  >>"$BOX/service.log" 2>&1 </dev/null &
echo $! >"$BOX/pid"
"""


def _pip_wheel() -> Path:
    """The pip that came with this Python: beside ``ensurepip``, or where Debian keeps such wheels for all of its Pythons."""
    places = [
        Path(ensurepip.__file__).parent / "_bundled",
        Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or "/nowhere"),
    ]
    return next(wheel for place in places for wheel in sorted(place.glob("pip-*.whl")))


class Maker:
    """Who makes releases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = Ed25519PrivateKey.generate()
        self.key_path = folder / "release-key"
        self.key_path.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def release(self, version: str, *, patches: dict[str, str] | None = None, key: Path | None = None) -> Path:
        folder = self.folder / f"release-{version}"
        wheels = folder / "wheelhouse"
        wheels.mkdir(parents=True)
        shutil.copy(_pip_wheel(), wheels)
        wheel = self._wheel(wheels, version, patches or {})
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (folder / "requirements.txt").write_text(f"kiosk-guard=={version} --hash=sha256:{digest}\n")
        command = [sys.executable, str(_RELEASE), "pack", str(folder), "--version", version, "--out", str(self.folder)]
        done = subprocess.run(
            [*command, "--key", str(key or self.key_path)], capture_output=True, text=True, check=True, timeout=60
        )
        return Path(done.stdout.strip())

    def _wheel(self, folder: Path, version: str, patches: dict[str, str]) -> Path:
        wheel = folder / f"kiosk_guard-{version}-py3-none-any.whl"
        info = f"kiosk_guard-{version}.dist-info"
        package = Path(edge.__file__).parent
        files: dict[str, bytes] = {
            f"edge/{path.relative_to(package).as_posix()}": path.read_bytes()
            for path in package.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        for name, bundle in {"shipped": shipped_bundle(), "behaviour": shipped_behaviour()}.items():
            for path in bundle.rglob("*"):  # in a source tree they lie elsewhere
                if path.is_file():
                    files[f"edge/models/{name}/{path.relative_to(bundle).as_posix()}"] = path.read_bytes()
        for name, more in patches.items():
            files[f"edge/{name}"] += more.encode()
        files["launch_kiosk.py"] = f"PYTHON = {sys.executable!r}\n{_LAUNCHER}".encode()
        files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: kiosk-guard\nVersion: {version}\n".encode()
        files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        files[f"{info}/entry_points.txt"] = b"[console_scripts]\nkiosk-guard = launch_kiosk:main\n"
        with zipfile.ZipFile(wheel, "w") as out:
            rows = []
            for name, content in files.items():
                out.writestr(name, content)
                digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                rows.append(f"{name},sha256={digest},{len(content)}")
            out.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
        return wheel


class Box:
    """A tree in place of /, with the key pinned."""

    def __init__(self, root: Path, maker: Maker) -> None:
        self.root = root
        self.etc = root / "etc/kiosk-guard"
        (self.etc / "release-keys").mkdir(parents=True, exist_ok=True)
        pem = maker.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self.etc / "release-keys" / "operator.pub").write_bytes(pem)
        self.systemctl = root / "systemctl"
        self.systemctl.write_text(_SYSTEMCTL)
        self.systemctl.chmod(0o755)
        self.health = "http://127.0.0.1:9"

    def update(
        self, *arguments: object, trial_s: float = 1.0, ready_s: float = 1.0, script: Path = UPDATE
    ) -> subprocess.CompletedProcess[str]:
        options = ["--root", self.root, "--systemctl", self.systemctl, "--health", self.health]
        options += ["--trial-s", trial_s, "--ready-s", ready_s]
        return subprocess.run(
            [sys.executable, "-I", str(script), *map(str, options), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
            env={**os.environ, "BOX": str(self.root)},
        )

    @property
    def current(self) -> str:
        link = self.root / "opt/kiosk-guard/current"
        return link.readlink().name if link.is_symlink() else ""

    @property
    def releases(self) -> list[str]:
        return sorted(p.name for p in (self.root / "opt/kiosk-guard/releases").glob("*"))

    def read(self, name: str) -> dict[str, Any]:
        path = self.root / "var/lib/kiosk-guard-update" / name
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def adopt(self, version: str) -> None:
        """Put a release there as an installation would, without building anything."""
        place = self.root / "opt/kiosk-guard/releases" / version
        (place / "bin").mkdir(parents=True)
        for tag in (".kiosk-guard-complete", ".made-by-kiosk-guard"):
            (place / tag).touch()
        (place / "bin/kiosk-guard").write_text("#!/bin/sh\n")
        (place / "bin/kiosk-guard").chmod(0o755)
        link = self.root / "opt/kiosk-guard/current"
        link.unlink(missing_ok=True)
        link.symlink_to(f"releases/{version}")
