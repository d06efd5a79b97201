"""A signed release as a file: plain files in a tar, a list of their hashes, and a signature over the list."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

LIST, SIGNATURE = "release.json", "release.json.sig"
PREFIX = b"kiosk-guard release 1\n"  # what is signed is this and the list: the signature fits nothing else
MAX_BYTES = 1024 * 1024 * 1024
MAX_FILES = 2000
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]{0,40}")


class Refused(Exception):  # noqa: N818 - reads as the fact it states
    """It is not installed; nothing has changed. ``code``: the exit code. ``lasting``: the same file would be refused again."""

    def __init__(self, why: str, code: int = 65, *, lasting: bool = True) -> None:
        super().__init__(why)
        self.code = code
        self.lasting = lasting and code == 65


def unpack(archive: Path, target: Path) -> None:
    """Plain files only, into a new folder. :raises Refused: anything else is in it, or too much."""
    target.mkdir(mode=0o755)
    left, count = MAX_BYTES, 0
    try:
        with tarfile.open(archive, "r|*") as tar:
            for member in tar:
                if member.isdir():
                    continue
                name = PurePosixPath(member.name)
                content = tar.extractfile(member) if member.isreg() else None
                left, count = left - member.size, count + 1
                if content is None or name.is_absolute() or ".." in name.parts or left < 0 or count > MAX_FILES:
                    raise Refused(f"{archive}: {member.name!r}: not a plain file of its own, or too much in all")
                place = target / name
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("xb") as file:
                    while chunk := content.read(1 << 20):
                        file.write(chunk)
                place.chmod(0o755 if member.mode & 0o100 else 0o644)
    except (tarfile.TarError, EOFError, FileExistsError, NotADirectoryError, ValueError) as error:
        raise Refused(f"{archive}: no whole release: {error}") from None


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but list and signature, by path with "/"."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in {LIST, SIGNATURE}
    }


def check_release(folder: Path, keys: Path) -> dict[str, Any]:
    """The list of an unpacked release that a pinned key signed and whose every file is as listed, with none besides.

    :raises Refused: else.
    """
    try:
        content = (folder / LIST).read_bytes()
        signature = folder / SIGNATURE
        if not signature.is_file():
            raise Refused("the release is not signed")
    except OSError:
        raise Refused(f"this is no release: it has no {LIST}") from None
    pinned = sorted(keys.glob("*.pub")) if keys.is_dir() else []
    if not pinned:
        raise Refused(f"{keys} holds no key: put the public key of whoever makes your releases there")
    if not any(_signed(content, signature, key) for key in pinned):
        raise Refused("no trusted key signed this release")
    told = json.loads(content)  # from here on it is the signer's word
    if told.get("name") != "kiosk-guard" or told.get("schema") != 1 or not _VERSION.fullmatch(str(told.get("version"))):
        raise Refused("this release needs a newer kiosk-guard-update: run its install.sh")
    found, wanted = file_hashes(folder), told["files"]
    wrong = sorted({n for n in {*found, *wanted} if found.get(n) != wanted.get(n)})
    if wrong:
        raise Refused(f"{wrong[0]}: missing, changed or unknown")
    return dict(told)


def version_order(version: str) -> list[tuple[int, int, str]]:
    """Numbers by value: 0.10 comes after 0.9; what follows a plus sign does not count; 1.0rc1 comes before 1.0."""
    parts = re.findall(r"\d+|[A-Za-z]+", version.partition("+")[0])
    return [*((1, int(p), "") if p.isdigit() else (-1, 0, p) for p in parts), (0, 0, "")]


def _signed(content: bytes, signature: Path, key: Path) -> bool:
    with tempfile.NamedTemporaryFile() as message:
        message.write(PREFIX + content)
        message.flush()
        command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(key)]
        command += ["-in", message.name, "-sigfile", str(signature)]
        try:
            done = subprocess.run(command, check=False, capture_output=True)
        except FileNotFoundError:
            raise Refused("openssl is missing: apt-get install openssl", 69) from None
    return done.returncode == 0
