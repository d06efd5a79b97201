"""A mailbox on this machine: takes every mail over SMTP and keeps it as a file, its pictures beside it."""

from __future__ import annotations

import asyncio
import email
import email.policy
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ENDINGS = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


@dataclass(frozen=True)
class Mail:
    """One mail that arrived. ``file``: the mail itself; ``pictures``: files taken out of it.

    ``kind``: what step of an incident it tells: opened, sheet, closed.
    """

    subject: str
    recipients: tuple[str, ...]
    file: Path
    pictures: tuple[Path, ...]
    kind: str = "opened"


class Mailbox:
    """An SMTP server on loopback, on any free port; ``on_mail`` is called in the server's thread.

    :param folder: where the mails go; must exist.
    """

    def __init__(self, folder: Path, on_mail: Callable[[Mail], None]) -> None:
        self._folder, self._on_mail = folder, on_mail
        self._count = 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: SMTP(self, hostname="demo.invalid", loop=self._loop), "127.0.0.1", 0)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, name="mailbox", daemon=True)
        self._thread.start()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take responsibility for one mail (called by aiosmtpd)."""
        self._count += 1
        file = self._folder / f"{self._count:03d}.eml"
        file.write_bytes(envelope.content)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        pictures = []
        for part in message.walk():
            ending = _ENDINGS.get(part.get_content_type())
            if ending:
                picture = self._folder / f"{file.stem}-{len(pictures) + 1}{ending}"
                picture.write_bytes(part.get_payload(decode=True))
                pictures.append(picture)
        kind = str(message["X-Kiosk-Guard"] or "?").split()[0]
        self._on_mail(Mail(str(message["Subject"]), tuple(envelope.rcpt_tos), file, tuple(pictures), kind))
        return "250 taken"

    def close(self) -> None:
        """Stop listening."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
