"""The operator's key: made here, kept by the operator, never in the repository."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from edge.models.signature import ALGORITHM, message
from export.errors import ExportError, MissingInputError

if TYPE_CHECKING:
    from pathlib import Path


def keygen(path: Path) -> Path:
    """Make a private key at ``path``, readable by its owner only, and the public one beside it, ``.pub``; returns that.

    :raises ExportError: a key is there already, or the folder cannot be written.
    """
    public = path.with_name(path.name + ".pub")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if os.path.lexists(public):
        raise ExportError(f"{public}: is there already", hint="a key is never overwritten; name another")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ExportError(f"{path}: is there already", hint="a key is never overwritten; name another") from None
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(private)
        with public.open("xb") as file:
            file.write(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    except OSError as error:
        # Half a pair is no key, and would be in the way of the next attempt.
        path.unlink(missing_ok=True)
        public.unlink(missing_ok=True)
        raise ExportError(f"{path}: cannot be written: {error.strerror}", hint="check free space") from None
    return public


def read_key(path: Path) -> Ed25519PrivateKey:
    """The operator's private key.

    :raises MissingInputError: no such file.
    :raises ExportError: it holds no Ed25519 private key without a passphrase.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file", hint="make a key with export-model keygen FILE") from None
    except (OSError, ValueError, TypeError):
        raise ExportError(
            f"{path}: no private key that can be read", hint="PEM without a passphrase, as export-model keygen makes it"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ExportError(f"{path}: not an Ed25519 key", hint="make one with export-model keygen FILE")
    return key


def sign(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    """The content of ``signature.json`` for a manifest's bytes; the same for the same key and bytes."""
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    told = {
        "algorithm": ALGORITHM,
        "public_key": b64encode(public).decode(),
        "signature": b64encode(key.sign(message(manifest))).decode(),
    }
    return (json.dumps(told, indent=2) + "\n").encode()
