"""Whether a bundle is whole, and whether the operator signed it.

The signature covers the manifest's bytes; the manifest names the hash of the model and of every other file. So one
signature, or one known hash of ``manifest.json``, vouches for the lot.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from edge.detect.manifest import MANIFEST_NAME, Manifest, read_manifest, read_model
from edge.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SIGNATURE_NAME = "signature.json"
ALGORITHM = "Ed25519"
_MAX_SIGNATURE_BYTES = 4096
_MAX_FILE_BYTES = 64 * 1024 * 1024
_PREFIX = b"kiosk-guard model bundle 1\n"
_ANOTHER = "install the bundle anew, from where its maker published it"


def message(manifest: bytes) -> bytes:
    """What is signed: the manifest's bytes, marked, so that the signature fits nothing else."""
    return _PREFIX + manifest


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The operator's public key, from PEM.

    :raises ManifestError: no such file, or no Ed25519 public key in it.
    """
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: no public key that can be read: {error}", hint="PEM is needed") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ManifestError(f"{path}: not an Ed25519 key", hint="the .pub file that export-model keygen made")
    return key


def verify_files(bundle: Path) -> Manifest:
    """The manifest of a bundle in which every file is there, unchanged, and none besides.

    :raises ManifestError: a file is missing, changed or unknown; the first one is named.
    """
    manifest = read_manifest(bundle)
    read_model(bundle, manifest)
    for name, wanted in manifest.files.items():
        path = bundle / name
        try:
            if path.is_symlink() or path.stat().st_size > _MAX_FILE_BYTES:
                raise ManifestError(f"{path}: a link, or larger than {_MAX_FILE_BYTES} bytes", hint=_ANOTHER)
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ManifestError(f"{path}: cannot be read: {error.strerror}", hint=_ANOTHER) from None
        if found != wanted:
            raise ManifestError(f"{path}: sha256 {wanted} in the manifest, {found} on the disk", hint=_ANOTHER)
    known = {MANIFEST_NAME, SIGNATURE_NAME, manifest.model.file, *manifest.files}
    present = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if not p.is_dir() or p.is_symlink()}
    strange = sorted(present - known)
    if strange:
        raise ManifestError(f"{bundle / strange[0]}: the manifest does not know this file", hint=_ANOTHER)
    return manifest


def verify_signature(bundle: Path, trusted: Iterable[Ed25519PublicKey]) -> Manifest:
    """As ``verify_files``, and one of the trusted keys signed it.

    :raises ManifestError: a file is at fault, there is no signature, or none of a trusted key.
    """
    path = bundle / SIGNATURE_NAME
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(_MAX_SIGNATURE_BYTES))
        algorithm, signature = told["algorithm"], b64decode(told["signature"], validate=True)
        public = b64decode(told["public_key"], validate=True)
    except FileNotFoundError:
        raise ManifestError(f"{path}: no such file: the bundle is not signed", hint=_ANOTHER) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise ManifestError(f"{path}: no signature that can be read", hint=_ANOTHER) from None
    keys = {key.public_bytes(Encoding.Raw, PublicFormat.Raw): key for key in trusted}
    if algorithm != ALGORITHM or public not in keys:
        raise ManifestError(f"{path}: signed with a key that is not trusted here", hint="add the operator's public key")
    try:
        keys[public].verify(signature, message((bundle / MANIFEST_NAME).read_bytes()))
    except (InvalidSignature, OSError):
        raise ManifestError(f"{path}: the signature does not fit the manifest", hint=_ANOTHER) from None
    return verify_files(bundle)
