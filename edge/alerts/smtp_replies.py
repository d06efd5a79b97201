"""What a mail server's answer means: try later, or do not bother."""

from __future__ import annotations

import base64
import smtplib
import socket
import ssl
from typing import TYPE_CHECKING

from edge.errors import ChannelError, PermanentRefusal, TemporaryRefusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class SizeRefused(PermanentRefusal):
    """The server takes no mail this large; without pictures it may."""


class LineBroke(TemporaryRefusal):
    """The connection ended, or nothing moved on it any more, while the mail was on its way."""


def explain(  # noqa: PLR0911 - one line per kind of failure
    error: Exception, where: str, *, scrub: Callable[[str], str], channel_wide: bool
) -> ChannelError:
    """The error of the delivery seam that stands for one of smtplib, of the socket or of TLS.

    :param where: the server, in words.
    :param scrub: cleans a server's words of line breaks and of the password.
    :param channel_wide: it happened before the message itself was named.
    """
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return TemporaryRefusal(
            f"{where} does not offer STARTTLS",
            hint='Nothing is sent unencrypted. Check the port, or use security = "tls".',
            channel_wide=True,
        )
    if isinstance(error, smtplib.SMTPResponseException):
        return _reply(error, where, scrub=scrub, channel_wide=channel_wide)
    if isinstance(error, ssl.SSLCertVerificationError):
        return TemporaryRefusal(
            f"{where}: its certificate is not trusted: {scrub(error.verify_message or str(error))}",
            hint="Check the host name, this machine's date, and ca_file for a private authority.",
            channel_wide=True,
        )
    if isinstance(error, ssl.SSLError):
        return _broke(
            f"{where}: the encrypted connection failed: {scrub(str(error))}",
            hint='Check port and security: 587 goes with "starttls", 465 with "tls".',
            channel_wide=channel_wide,
        )
    # smtplib turns a timeout while reading into a lost connection, and says so only in words.
    if isinstance(error, TimeoutError) or (
        isinstance(error, smtplib.SMTPServerDisconnected) and str(error).endswith("timed out")
    ):
        return _broke(f"{where} does not answer in time", hint=_NETWORK, channel_wide=channel_wide)
    if isinstance(error, socket.gaierror):
        return TemporaryRefusal(
            f"{where}: the name cannot be resolved: {error.strerror}", hint=_NETWORK, channel_wide=True
        )
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return _broke(f"{where} closed the connection: {scrub(str(error))}", hint="", channel_wide=channel_wide)
    if isinstance(error, OSError):
        return _broke(
            f"{where} cannot be reached: {scrub(error.strerror or str(error))}",
            hint=_NETWORK,
            channel_wide=channel_wide,
        )
    return TemporaryRefusal(f"{where}: {type(error).__name__}: {scrub(str(error))}", channel_wide=channel_wide)


def auth_error(error: smtplib.SMTPException, where: str, username: str, scrub: Callable[[str], str]) -> ChannelError:
    """What a refused login means; it concerns every mail."""
    if isinstance(error, smtplib.SMTPResponseException) and 400 <= error.smtp_code < 500:
        return TemporaryRefusal(f"{where} cannot check the login now: {scrub(words(error))}", channel_wide=True)
    said = words(error) if isinstance(error, smtplib.SMTPResponseException) else str(error)
    return PermanentRefusal(
        f"{where} refuses the login of {username!r}: {scrub(said)}",
        hint="Check user and password file; mails wait until it is accepted.",
        channel_wide=True,
    )


def recipients_error(where: str, refused: Mapping[str, str], *, for_now: bool) -> ChannelError:
    """Some recipients are still to get the mail (``for_now``), or none ever will."""
    listed = "; ".join(f"{address}: {said}" for address, said in sorted(refused.items()))
    if for_now:
        return TemporaryRefusal(f"{where} does not take the mail for some recipients now: {listed}")
    return PermanentRefusal(f"{where} refuses every recipient: {listed}", hint="Check the addresses of the recipients.")


def words(error: smtplib.SMTPResponseException) -> str:
    """Code and text of a reply."""
    return reply_words((error.smtp_code, error.smtp_error))


def reply_words(reply: tuple[int, bytes | str]) -> str:
    """Code and text of a reply."""
    code, text = reply
    return f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"


def scrub_secret(text: str, username: str, password: str) -> str:
    """Text without the password in the forms in which SMTP carries it."""
    if not password:
        return text
    plain = f"\0{username}\0{password}".encode("utf-8", "surrogatepass")
    forms = [password, *(base64.b64encode(b).decode() for b in (plain, password.encode("utf-8", "surrogatepass")))]
    for form in forms:
        text = text.replace(form, "[password]")
    return text


_NETWORK = "Alerts wait in the outbox. Check cable, router and firewall, and host and port in the configuration."


def _broke(message: str, *, hint: str, channel_wide: bool) -> TemporaryRefusal:
    return TemporaryRefusal(message, hint=hint, channel_wide=True) if channel_wide else LineBroke(message, hint=hint)


def _reply(
    error: smtplib.SMTPResponseException, where: str, *, scrub: Callable[[str], str], channel_wide: bool
) -> ChannelError:
    code, said = error.smtp_code, scrub(words(error))
    if code in {523, 552} or " 5.3.4 " in said:
        return SizeRefused(f"{where} takes no mail of this size: {said}")
    if code == 421:
        return TemporaryRefusal(f"{where} is closing down: {said}", channel_wide=True)
    if code == 530:
        return PermanentRefusal(f"{where} wants a login: {said}", hint="Set user and password file.", channel_wide=True)
    # smtplib itself says 500 for a line that is no SMTP at all; that is a broken server, not a verdict.
    if 500 <= code < 600 and type(error) is not smtplib.SMTPResponseException:
        if isinstance(error, smtplib.SMTPSenderRefused):
            return PermanentRefusal(f"{where} refuses the sender: {said}", hint="Check sender.", channel_wide=True)
        return PermanentRefusal(f"{where} refuses: {said}", channel_wide=channel_wide)
    return TemporaryRefusal(f"{where} does not take it now: {said}", channel_wide=channel_wide)
