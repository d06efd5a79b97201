"""TLS with a certificate of the box's own: nobody vouches for it but the fingerprint on the label."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.errors import HealthError, StateError
from edge.health.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

# A box without a battery clock may believe in any year when it is installed: its certificate is valid in all of them.
_FROM = datetime(2020, 1, 1, tzinfo=timezone.utc)
_UNTIL = datetime(2049, 12, 31, tzinfo=timezone.utc)
_LONGEST_NAME = 64  # X.509's limit for a common name


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where certificate and private key lie, both PEM."""

    certificate: Path
    key: Path

    def exist(self) -> bool:
        return self.certificate.is_file() and self.key.is_file()

    def fingerprint(self) -> str:
        """SHA-256 of the certificate as browsers show it: "AB:CD:...". :raises HealthError: there is none."""
        try:
            found = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise HealthError(
                f"{self.certificate} holds no certificate: {_reason(error)}",
                hint="Name another in [health] cert_file, or remove it and its key: a new pair is made at the next start.",
            ) from error
        return found.fingerprint(hashes.SHA256()).hex(":").upper()

    def context(self) -> ssl.SSLContext:
        """What a server needs. :raises HealthError: the files cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise HealthError(
                f"TLS cannot use {self.certificate} with {self.key}: {_reason(error)}",
                hint="Both must be PEM, belong together and be readable for the service's user; "
                "remove both, and a new pair is made at the next start.",
            ) from error
        return context


def make_certificate(files: CertificateFiles, *, names: Collection[str]) -> None:
    """Make a key and a certificate for these host names and addresses, the key readable for its owner only.

    :raises StateError: they cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, next(iter(names), "kiosk-guard")[:_LONGEST_NAME])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectAlternativeName([_alternative(n) for n in dict.fromkeys(names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    try:
        write_whole(files.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
        write_whole(files.certificate, certificate.public_bytes(Encoding.PEM), mode=0o644)
    except OSError as error:
        raise StateError(
            f"the certificate {files.certificate} cannot be written: {error.strerror}",
            hint="Its folder must belong to the service's user; [health] cert_file and key_file name another place.",
        ) from error


def _alternative(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or getattr(error, "reason", "") or "it cannot be read"
    return "it is damaged"
