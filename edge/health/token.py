"""The technician's token: 128 random bits that a person can type, of which only the hash is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from edge.errors import StateError
from edge.health.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

_BYTES = 16
_PREFIX = "sha256:"
_LONGEST = 200  # what is longer than this was not typed from a label


def new_token() -> str:
    """A token as the label shows it: groups of letters and digits that nobody takes for one another (no 0, 1, 8, 9)."""
    text = base64.b32encode(secrets.token_bytes(_BYTES)).decode().rstrip("=").lower()
    return "-".join(text[at : at + 5] for at in range(0, len(text), 5))


def digest(token: str) -> bytes:
    """What is kept of a token; hyphens, blanks and case do not count.

    One round of SHA-256 is enough: a secret of 128 random bits cannot be found by trying, however fast one tries.
    """
    plain = "".join(token.split()).replace("-", "").lower()
    return hashlib.sha256(plain.encode("utf-8", "replace")).digest()


def write_token(path: Path, token: str) -> None:
    """Keep the hash of the token at ``path``, readable for its owner only, whole or not at all.

    :raises StateError: it cannot be written.
    """
    try:
        write_whole(path, f"{_PREFIX}{digest(token).hex()}\n".encode(), mode=0o600)
    except OSError as error:
        raise StateError(
            f"the token's hash cannot be stored at {path}: {error.strerror}",
            hint="Run this as root or as the service's user, on a disk with free space; [health] token_file names another place.",
        ) from error


class TokenFile:
    """The hash as it stands on the disk now: ``kiosk-guard label --new`` takes effect without a restart.

    :param path: what :func:`write_token` wrote; need not be there yet. None: no token, ever.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._expected: bytes | None = None

    @property
    def expected(self) -> bytes | None:
        """The hash as last looked at; None: no token was made, or its file cannot be read."""
        return self._expected

    def look(self) -> None:
        """Read the file again if it has changed. Waits for the disk: never called by what serves requests."""
        if self._path is None:
            return
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                self._expected = _parse(self._path.read_text(encoding="ascii", errors="replace"))
                self._seen = seen
        except OSError:
            self._expected = self._seen = None

    def matches(self, token: str) -> bool:
        """Whether this is the token; takes the same time whatever is wrong with it."""
        expected = self._expected
        if expected is None or len(token) > _LONGEST:
            return False
        return hmac.compare_digest(digest(token), expected)


def _parse(text: str) -> bytes | None:
    try:
        found = bytes.fromhex(text.strip().removeprefix(_PREFIX))
    except ValueError:
        return None
    return found if len(found) == hashlib.sha256().digest_size else None
