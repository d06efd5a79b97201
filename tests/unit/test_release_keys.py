"""The key that signs releases is changed without a gap: either of two pinned keys will do, a retired one will not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

if TYPE_CHECKING:
    from types import ModuleType

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def archives(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPO / "firmware_config" / "update"))
    import release_archive  # noqa: PLC0415 - a script's folder, on the path only here

    return release_archive


def a_key(folder: Path, name: str) -> Path:
    key = Ed25519PrivateKey.generate()
    (folder / "pinned").mkdir(exist_ok=True)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "pinned" / f"{name}.pub").write_bytes(pem)
    path = folder / name
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl here, which a box has")
def test_keys_are_rotated(archives: Any, tmp_path: Path) -> None:
    unpacked = {}
    for name in ("old", "new", "stranger"):
        folder = tmp_path / f"made-{name}"
        folder.mkdir()
        (folder / "requirements.txt").write_text("something\n")
        key = a_key(tmp_path, name)
        command = [sys.executable, str(REPO / "firmware_config/release/make_release.py"), "pack", str(folder)]
        command += ["--version", "1.0", "--key", str(key), "--out", str(tmp_path / f"out-{name}")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        unpacked[name] = tmp_path / f"unpacked-{name}"
        archives.unpack(Path(done.stdout.strip()), unpacked[name])
    pinned = tmp_path / "pinned"
    (pinned / "stranger.pub").unlink()

    def taken() -> set[str]:
        found = set()
        for name, folder in unpacked.items():
            try:
                archives.check_release(folder, pinned)
            except archives.Refused as refusal:  # noqa: PERF203 - three turns
                assert "no trusted key" in str(refusal)  # noqa: PT017 - which of them are refused is the result
            else:
                found.add(name)
        return found

    assert taken() == {"old", "new"}
    (pinned / "old.pub").unlink()
    assert taken() == {"new"}
