"""A real SMTP server on loopback with a mailbox, certificates and faults on demand."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, syntax

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

# Self-signed for "localhost" alone, made for these tests and trusted by nobody; valid for a hundred years.
CERTIFICATE = Path(__file__).with_name("localhost.pem")
_KEY = Path(__file__).with_name("localhost.key")


class Mail:
    """One message. ``confirmed``: the server said that it has it; ``at_s``: when it had it, monotonic seconds."""

    def __init__(self, recipients: list[str], content: bytes, *, encrypted: bool) -> None:
        self.recipients = recipients
        self.content = content
        self.encrypted = encrypted
        self.confirmed = False
        self.at_s = time.monotonic()

    @property
    def message(self) -> EmailMessage:
        return cast("EmailMessage", email.message_from_bytes(self.content, policy=email.policy.SMTP))


class Mailbox:
    """The far end's state. ``answers``: stage or address -> reply, "drop" or "hang".

    Stages: connect, starttls (also "garbage"), mail, middle (in the middle of the message), data (all of it is there), end
    (it is stored), after (the server has said so; only "drop": it dies at once), quit (it is to part).
    """

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.answers: dict[str, str] = {}
        self.logins: list[tuple[str, str]] = []
        self.connections = 0

    @property
    def ids(self) -> list[str]:
        return [m.message["Message-ID"] for m in self.mails]

    def wait_for(self, count: int, timeout_s: float = 10.0) -> None:
        until = time.monotonic() + timeout_s
        while len(self.mails) < count:
            assert time.monotonic() < until, f"{len(self.mails)} of {count} mails after {timeout_s} s"
            time.sleep(0.01)


class _Handler:
    def __init__(self, box: Mailbox) -> None:
        self.box = box

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        reply = await _play(self.box, server, "mail")
        if reply is None:
            envelope.mail_from = address
        return reply or "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        reply = await _play(self.box, server, address)
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        reply = await _play(self.box, server, "data")
        if reply is not None:
            return reply
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        mail = Mail(envelope.rcpt_tos, envelope.content, encrypted=encrypted)
        self.box.mails.append(mail)
        refusal = await _play(self.box, server, "end")
        mail.confirmed = refusal is None
        return refusal or "250 2.0.0 stored"


async def _play(box: Mailbox, server: Any, stage: str) -> str | None:
    answer = box.answers.get(stage)
    if answer == "drop":
        server.transport.abort()
        raise asyncio.CancelledError
    if answer == "hang":
        try:
            await asyncio.sleep(3600)
        finally:  # the client gave up, or the server stops: since Python 3.12 it waits for its last connection
            if server.transport is not None:
                server.transport.abort()
    return answer


class _Server(SMTP):
    async def _handle_client(self) -> None:
        box = self.event_handler.box
        box.connections += 1
        reply = await _play(box, self, "connect")
        if reply is not None:
            await self.push(reply)
            self.transport.close()
            return
        await super()._handle_client()

    @syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        if self.event_handler.box.answers.get("starttls") == "garbage":
            await self.push("220 go ahead")
            await self.push("I cannot encrypt at all")
            self.transport.close()
            return
        reply = await _play(self.event_handler.box, self, "starttls")
        if reply is not None:
            await self.push(reply)
            return
        await super().smtp_STARTTLS(arg)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802
        reply = await _play(self.event_handler.box, self, "quit")
        if reply is not None:
            await self.push(reply)
            return
        await super().smtp_QUIT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        box = self.event_handler.box
        if "middle" in box.answers:
            await self.push("354 go ahead")
            await self._reader.readexactly(300)
            await _play(box, self, "middle")
            return
        await super().smtp_DATA(arg)
        if box.answers.get("after") == "drop":
            self.transport.close()  # what was said is still sent


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Server(self.handler, **self.SMTP_kwargs)

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # asked for 0: any free one
        super()._trigger_server()
        self.handler.box.connections = 0


@contextmanager
def mail_server(
    *,
    port: int = 0,
    box: Mailbox | None = None,
    tls: str = "none",
    login: tuple[str, str] | None = None,
    size_limit: int = 33_554_432,
    host: str = "127.0.0.1",
) -> Iterator[tuple[Mailbox, int]]:
    """Serve until the block ends; yields the mailbox and the port."""
    box = box or Mailbox()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, _KEY)

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        box.logins.append(given)
        return AuthResult(success=given == login, handled=False)

    options: dict[str, Any] = {"data_size_limit": size_limit}
    if login is not None:
        starttls = tls == "starttls"  # aiosmtpd does not count implicit TLS as TLS
        options |= {"auth_required": starttls, "authenticator": check, "auth_require_tls": starttls}
    if tls == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    controller = _Controller(
        _Handler(box),
        hostname=host,
        port=port,
        ssl_context=context if tls == "tls" else None,
        **options,
    )
    controller.start()
    try:
        yield box, controller.port
    finally:
        controller.stop()
