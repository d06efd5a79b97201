"""The kiosk's own key: made at the first start, it signs every record of the incident log."""

from __future__ import annotations

import contextlib
import os
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from edge.alerts.database import sync_folder
from edge.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

KEY_NAME = "device.key"
PUBLIC_NAME = "device.pub"


class DeviceKey:
    """An Ed25519 key pair. Made by :func:`open_device_key`."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @property
    def public(self) -> str:
        """The public half, base64 of its 32 bytes."""
        return b64encode(self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def sign(self, data: bytes) -> str:
        """The signature, base64."""
        return b64encode(self._private.sign(data)).decode()


def open_device_key(state_dir: Path) -> DeviceKey:
    """Read ``state_dir``/device.key, or make it, readable for its owner only; its public half stands beside it.

    :raises StateError: it cannot be read or made; a damaged one is not replaced silently.
    """
    path = state_dir / KEY_NAME
    try:
        with contextlib.suppress(FileNotFoundError):
            key = DeviceKey(_private(path.read_bytes(), path))
            for left in state_dir.glob(f".{KEY_NAME}.*"):  # by a start that was killed: a second private key
                left.unlink(missing_ok=True)
            return key
        private = Ed25519PrivateKey.generate()
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        # Whole or not at all: half a key would stop the next start.
        temporary = path.with_name(f".{KEY_NAME}.{os.getpid()}")
        _write_synced(temporary, pem, mode=0o600)
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        _write_synced(state_dir / PUBLIC_NAME, public, mode=0o644)  # before the key: it is not made again
        temporary.rename(path)
        sync_folder(state_dir)
    except OSError as error:
        raise StateError(
            f"the device key {path} cannot be read or made: {error.strerror}",
            hint="It must belong to the service's user, mode 0600.",
        ) from error
    return DeviceKey(private)


def _write_synced(path: Path, data: bytes, *, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_public_key(path: Path) -> str:
    """The public half in a PEM file, as :attr:`DeviceKey.public`. :raises StateError: there is none."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StateError(f"{path} holds no public key: {error}", hint="Wanted: the kiosk's device.pub.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise StateError(f"{path} is no Ed25519 key", hint="Wanted: the kiosk's device.pub.")
    return b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def is_signed(public: str, signature: str, data: bytes) -> bool:
    """Whether the signature is that key's; anything malformed is not."""
    try:
        Ed25519PublicKey.from_public_bytes(b64decode(public, validate=True)).verify(
            b64decode(signature, validate=True), data
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(pem: bytes, path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise StateError(
            f"the device key {path} is damaged: {error}",
            hint="Move it away; a new one is made at the next start, and the incident log says so.",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StateError(f"the device key {path} is no Ed25519 key", hint="Move it away; a new one is made.")
    return key
