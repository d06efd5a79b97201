"""The mail channel as the configuration wants it: for the service, and for the command that sends a test mail."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge.alerts.email import EmailChannel
from edge.alerts.mail_words import Site
from edge.config import Config, resolve
from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.alerts.ledger import RecipientLedger
    from edge.clock import Clock


def read_secret(config_path: Path, file: str, key: str) -> str:
    """The one line of a file; "" where none is named.

    :param key: the configuration key that names it, for the message.
    :raises ConfigError: it cannot be read.
    """
    if not file:
        return ""
    path = secret_path(config_path, file)
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(
            f"{config_path}: {key}: {path} cannot be read: {reason}",
            hint="one line with the password, readable for the service's user",
        ) from None


def secret_path(config_path: Path, file: str) -> Path:
    """Where a secret that the configuration names lies.

    :param file: ``$CREDENTIALS_DIRECTORY`` in it is replaced; where nobody has set it (a command of root's, outside the
        service), by the configuration's folder, which is where the unit takes its credentials from.
    """
    if not os.environ.get("CREDENTIALS_DIRECTORY"):
        file = file.removeprefix("$CREDENTIALS_DIRECTORY/")
    return resolve(config_path, os.path.expandvars(file))


def build_channel(
    config: Config, config_path: Path, *, clock: Clock, boot_id: str, ledger: RecipientLedger
) -> EmailChannel:
    """:raises ConfigError: a file that it names cannot be read, or an address is none."""
    email, kiosk = config.email, config.kiosk
    return EmailChannel(
        host=email.host,
        port=email.port,
        security=email.security,
        sender=email.sender,
        recipients=email.by_severity,
        site=Site(site=kiosk.site, kiosk=kiosk.id, address=kiosk.address, timezone=kiosk.zone_info),
        clock=clock,
        boot_id=boot_id,
        username=email.user,
        password=read_secret(config_path, email.password_file, "email: password_file"),
        ca_file=resolve(config_path, email.ca_file) if email.ca_file else None,
        timeout_s=email.timeout_s,
        ledger=ledger,
    )
