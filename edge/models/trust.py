"""The operator's public keys, pinned on the box: two at a time while one is replaced by the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import ManifestError
from edge.models.signature import read_public_key

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_KEYS = 10


def pinned_keys(folder: Path) -> dict[str, Ed25519PublicKey]:
    """The keys (``*.pub``) in ``folder`` by file name; none if it is empty or not there.

    :raises ManifestError: it cannot be read, or a file in it is no key: a key is never left out in silence.
    """
    try:
        paths = sorted(p for p in folder.iterdir() if p.suffix == ".pub")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ManifestError(
            f"{folder}: the trusted keys cannot be read: {error.strerror}",
            hint="try as root, or check [model] trusted_keys",
        ) from None
    if len(paths) > MAX_KEYS:
        raise ManifestError(
            f"{folder}: {len(paths)} keys, at most {MAX_KEYS} are allowed", hint="one, or two while it is replaced"
        )
    return {path.name: read_public_key(path) for path in paths}
