"""What a bundle must pass before it may run: who signed it, and that it is no step back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge.models.signature import SIGNATURE_NAME, verify_files, verify_signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from edge.detect.manifest import Manifest

_NUMBER = re.compile(r"(\d+)")


def check_origin(bundle: Path, keys: Mapping[str, Ed25519PublicKey], *, folder: Path) -> tuple[Manifest, str]:
    """The manifest of a whole bundle, and what force it needs: "" if a pinned key signed it.

    Where keys are pinned nothing but their signature will do. Where none are, no signature can be checked.

    :param folder: where keys would be pinned, for the message.
    :raises ManifestError: a file is at fault, or pinned keys did not sign it.
    """
    if keys:
        return verify_signature(bundle, keys.values()), ""
    signed = "signed" if (bundle / SIGNATURE_NAME).exists() else "not signed"
    return verify_files(bundle), f"it is {signed}, and {folder} holds no key that could vouch for it"


def step_back(new: Manifest, old: Manifest) -> str:
    """Why ``new`` would be a downgrade of ``old``, in words; empty: it is none."""
    if new.name == old.name and _order(new.version) < _order(old.version):
        return f"{new.label} is older than {old.label}"
    if new.created_utc < old.created_utc:
        return (
            f"{new.label} was made on {new.created_utc:%Y-%m-%d %H:%M} UTC, "
            f"before {old.label} ({old.created_utc:%Y-%m-%d %H:%M} UTC)"
        )
    return ""


def _order(version: str) -> list[tuple[int, int, str]]:
    """Numbers by value, the rest by letter: 1.10 comes after 1.9."""
    parts = [p for p in _NUMBER.split(version.replace("-", ".").replace("_", ".")) if p.strip(".")]
    return [(1, int(p), "") if p.isdigit() else (0, 0, p.strip(".")) for p in parts]
