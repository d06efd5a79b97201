"""One conversation with a mail server, up to the point where a message can be named."""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, Literal

from edge.alerts.mail_words import one_line
from edge.alerts.smtp_replies import LineBroke, auth_error, explain, scrub_secret
from edge.errors import ConfigError, PermanentRefusal
from edge.hosts import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Security = Literal["starttls", "tls", "none"]
PARTING_S = (
    2.0  # a mail that is accepted is not noted as such before; a server that hangs then must not hold up the next one
)
CONNECT_S = 10.0  # for the connection itself, per address; the server may then take its time
# A time-out is meant for a line on which nothing moves. Python's is for all that is handed over at once, and what the kernel
# has taken is not on its way yet: so little is handed over at a time, and little is taken.
_PART_BYTES = 8 * 1024
_SEND_BUFFER_BYTES = 32 * 1024
_UNSAFE_HOST = re.compile(r"[^A-Za-z0-9.-]+")


class _PatientOnceThere:
    """A connection is there within seconds or not at all: what hangs longer began before the network was back.

    A slow line may then take as long as the whole conversation may.
    """

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock: socket.socket = super()._get_socket(host, port, min(timeout, CONNECT_S))  # type: ignore[misc]
        sock.settimeout(timeout)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        return sock

    def send(self, s: Any) -> None:
        data: bytes = s.encode(self.command_encoding) if isinstance(s, str) else bytes(s)  # type: ignore[attr-defined]
        for at in range(0, len(data), _PART_BYTES):
            super().send(data[at : at + _PART_BYTES])  # type: ignore[misc]


class _Client(_PatientOnceThere, smtplib.SMTP):
    pass


class _TlsClient(_PatientOnceThere, smtplib.SMTP_SSL):
    pass


class SmtpServer:
    """How to reach one server.

    :param security: starttls or tls, both verified; there is no fallback to an unencrypted line.
    :param hello: what this machine calls itself.
    :param ca_file: authorities to trust instead of the system's.
    :param timeout_s: for each step, for the connection at most ``CONNECT_S``.
    :param deadline_s: for the whole conversation: a server that answers byte by byte does not hold the queue for ever.
    :raises ConfigError: the file of authorities cannot be used, or a password would travel unencrypted to another
        machine.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        security: Security,
        username: str,
        password: str,
        hello: str,
        ca_file: Path | None,
        timeout_s: float,
        deadline_s: float,
    ) -> None:
        self._host = host
        self._port = port
        self._security = security
        self._username = username
        self._password = password
        # Named explicitly: the default asks the DNS for this machine's name, and waits while the network is away.
        self._hello = _UNSAFE_HOST.sub("-", hello).strip("-.") or "kiosk"
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._context = None if security == "none" else _context(ca_file)
        if username and security == "none" and not is_loopback(host):
            raise ConfigError(
                f"{self} would get the password unencrypted", hint='Use security "starttls" or "tls", or no login.'
            )

    def __str__(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"mail server {host}:{self._port}"

    def __repr__(self) -> str:
        return f"SmtpServer({self._host}:{self._port}, {self._security})"

    @contextlib.contextmanager
    def session(self) -> Iterator[smtplib.SMTP]:
        """A connection, encrypted and logged in.

        :raises TemporaryRefusal: try later.
        :raises PermanentRefusal: trying again alone does not help.
        """
        smtp = self._client()
        cut = threading.Event()
        deadline = threading.Timer(self._deadline_s, _cut, [smtp, cut])
        deadline.daemon = True
        deadline.start()
        ready = False
        try:
            self._connect(smtp)
            ready = True
            yield smtp
        except (smtplib.SMTPException, OSError, ValueError) as error:
            # Before the first message command it concerns every mail, after it perhaps this one only.
            found = explain(error, str(self), scrub=self.scrub, channel_wide=not ready)
            if cut.is_set() and ready:
                found = LineBroke(f"{self} did not have the mail after {self._deadline_s:g} s", hint=found.hint)
            raise found from None
        finally:
            deadline.cancel()
            # The mail is accepted or refused by now; a server that cannot part properly changes nothing.
            with contextlib.suppress(smtplib.SMTPException, OSError, ValueError):
                if smtp.sock is not None:
                    smtp.sock.settimeout(min(self._timeout_s, PARTING_S))
                smtp.quit()
            smtp.close()

    def scrub(self, text: str) -> str:
        """A server's words on one line, without the password in any form it travels in."""
        return scrub_secret(one_line(text), self._username, self._password)

    def _client(self) -> smtplib.SMTP:
        if self._security == "tls":
            client: smtplib.SMTP = _TlsClient(
                local_hostname=self._hello, timeout=self._timeout_s, context=self._context
            )
        else:
            client = _Client(local_hostname=self._hello, timeout=self._timeout_s)
        # A client made without an address does not connect yet, and so does not learn the name that TLS must verify.
        client._host = self._host  # type: ignore[attr-defined]  # noqa: SLF001
        return client

    def _connect(self, smtp: smtplib.SMTP) -> None:
        code, reply = smtp.connect(self._host, self._port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, reply)
        smtp.ehlo_or_helo_if_needed()
        if self._context is not None and self._security == "starttls":
            smtp.starttls(context=self._context)
            smtp.ehlo_or_helo_if_needed()
        if not self._username:
            return
        try:
            smtp.login(self._username, self._password)
        except UnicodeError:
            raise PermanentRefusal(
                f"{self}: user name or password contain characters that SMTP does not carry",
                hint="Use ASCII characters.",
                channel_wide=True,
            ) from None
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPException as error:
            raise auth_error(error, str(self), self._username, self.scrub) from None


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the file of certificate authorities {ca_file} cannot be used: {error}",
            hint="It must hold certificates in PEM form, readable for the service's user.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _cut(smtp: smtplib.SMTP, cut: threading.Event) -> None:
    """End a conversation that takes too long, from another thread: the waiting read returns at once."""
    cut.set()
    sock = smtp.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            # TLS's own shutdown would wait for the other side.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
