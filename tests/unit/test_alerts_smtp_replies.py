from __future__ import annotations

import base64
import smtplib
import socket
import ssl

import pytest

from edge.alerts.mail_words import one_line
from edge.alerts.smtp_replies import LineBroke, SizeRefused, auth_error, explain, recipients_error, scrub_secret
from edge.errors import PermanentRefusal, TemporaryRefusal

WHERE = "mail server mx.example:587"


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "kind", "channel_wide"),
    [
        (smtplib.SMTPDataError(451, b"try later"), TemporaryRefusal, False),
        (smtplib.SMTPDataError(450, b"greylisted"), TemporaryRefusal, False),
        (smtplib.SMTPDataError(550, b"no"), PermanentRefusal, False),
        (smtplib.SMTPDataError(554, b"spam"), PermanentRefusal, False),
        (smtplib.SMTPDataError(552, b"too big"), SizeRefused, False),
        (smtplib.SMTPSenderRefused(552, b"too big", "a@b"), SizeRefused, False),
        (smtplib.SMTPSenderRefused(554, b"5.3.4 too big", "a@b"), SizeRefused, False),
        (smtplib.SMTPSenderRefused(550, b"who are you", "a@b"), PermanentRefusal, True),
        (smtplib.SMTPSenderRefused(530, b"5.7.0 authentication required", "a@b"), PermanentRefusal, True),
        (smtplib.SMTPSenderRefused(451, b"later", "a@b"), TemporaryRefusal, False),
        (smtplib.SMTPDataError(421, b"closing"), TemporaryRefusal, True),
        (smtplib.SMTPResponseException(500, "Line too long."), TemporaryRefusal, False),
        (smtplib.SMTPDataError(-1, b""), TemporaryRefusal, False),
        (smtplib.SMTPServerDisconnected("gone"), LineBroke, False),
        (TimeoutError("timed out"), LineBroke, False),
        (ConnectionRefusedError(111, "Connection refused"), LineBroke, False),
        (socket.gaierror(-2, "Name or service not known"), TemporaryRefusal, True),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), LineBroke, False),
        (untrusted(), TemporaryRefusal, True),
        (smtplib.SMTPNotSupportedError("STARTTLS extension not supported by server."), TemporaryRefusal, True),
        (ValueError("odd"), TemporaryRefusal, False),
    ],
)
def test_what_a_failure_means(error: Exception, kind: type[Exception], channel_wide: bool) -> None:
    meant = explain(error, WHERE, scrub=one_line, channel_wide=False)
    assert type(meant) is kind
    assert meant.channel_wide is channel_wide
    assert WHERE in meant.message
    # Before any message was named, it concerns them all.
    if kind is not SizeRefused:
        assert explain(error, WHERE, scrub=one_line, channel_wide=True).channel_wide


def test_a_refused_login_concerns_every_mail() -> None:
    refused = auth_error(smtplib.SMTPAuthenticationError(535, b"5.7.8 no"), WHERE, "kiosk", one_line)
    assert isinstance(refused, PermanentRefusal)
    assert refused.channel_wide
    assert "535" in refused.message
    passing = auth_error(smtplib.SMTPAuthenticationError(454, b"4.7.0 later"), WHERE, "kiosk", one_line)
    assert isinstance(passing, TemporaryRefusal)


def test_recipients_are_named_with_the_servers_words() -> None:
    for_now = recipients_error(WHERE, {"a@b": "450 later", "c@d": "550 no"}, for_now=True)
    assert isinstance(for_now, TemporaryRefusal)
    assert not for_now.channel_wide
    assert "a@b: 450 later" in for_now.message
    assert isinstance(recipients_error(WHERE, {"c@d": "550 no"}, for_now=False), PermanentRefusal)


def test_the_password_is_taken_out_of_a_servers_words() -> None:
    secret, user = "s3cret+/=", "kiosk"
    plain = base64.b64encode(f"\0{user}\0{secret}".encode()).decode()
    login = base64.b64encode(secret.encode()).decode()
    said = scrub_secret(f"got {secret} and {plain} and {login}", user, secret)
    assert said == "got [password] and [password] and [password]"
    assert scrub_secret("nothing to hide", user, "") == "nothing to hide"
