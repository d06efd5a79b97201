"""Email to the security desk over SMTP: verified TLS, a timeout everywhere, every refusal told apart."""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING

from edge.alerts.clock_set import clock_shift
from edge.alerts.ledger import MemoryLedger
from edge.alerts.mail import compose, read_pictures
from edge.alerts.mail_words import Moment, one_line
from edge.alerts.smtp_replies import LineBroke, SizeRefused, recipients_error, reply_words
from edge.alerts.smtp_session import SmtpServer
from edge.errors import ConfigError, PermanentRefusal, TemporaryRefusal
from edge.hosts import MAIL_ADDRESS_WANTED, is_mail_address

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.alerts.ledger import RecipientLedger
    from edge.alerts.mail import Picture
    from edge.alerts.mail_words import Site
    from edge.alerts.smtp_session import Security
    from edge.clock import Clock
    from edge.types import Alert, Severity

log = logging.getLogger(__name__)

PICTURE_ATTEMPTS = 3
_MOST_BROKEN = 1_000


class EmailChannel:
    """Sends each alert as one mail.

    Several recipients: one transaction. Whom the server took is remembered in ``ledger``; when some were refused for
    now, the next attempt goes to those alone. Recipients refused for good while others got the mail are logged and
    listed in :attr:`refused_recipients`; the alert counts as delivered.

    :param security: starttls or tls, both verified against the system's authorities or ``ca_file``; there is no
        fallback to an unencrypted line. none: for a relay on this machine or a test.
    :param username: empty: no login.
    :param sender: address of the From line and the envelope.
    :param recipients: addresses; or addresses by the least severity they want.
    :param site: what the desk reads about the place.
    :param boot_id: this boot; allows to correct times that were taken before the clock was set.
    :param site_domain: right side of Message-IDs; empty: the sender's domain.
    :param timeout_s: for each step of the conversation.
    :param deadline_s: for a whole mail: a server that answers byte by byte does not hold the queue for ever.
    :param max_message_bytes: larger pictures stay behind, the clean one first; the mail says so. So do all of them when the
        line broke under the mail ``PICTURE_ATTEMPTS`` times.
    :raises ConfigError: an address is no address, a file of authorities cannot be read, or a password would travel
        unencrypted to another machine.
    """

    name = "email"

    def __init__(
        self,
        *,
        host: str,
        port: int,
        security: Security,
        sender: str,
        recipients: Sequence[str] | Mapping[Severity, Sequence[str]],
        site: Site,
        clock: Clock,
        boot_id: str,
        username: str = "",
        password: str = "",
        ca_file: Path | None = None,
        site_domain: str = "",
        timeout_s: float = 30.0,
        deadline_s: float = 180.0,
        max_message_bytes: int = 8 * 1024 * 1024,
        ledger: RecipientLedger | None = None,
    ) -> None:
        self._sender = _address(sender)
        self._recipients = recipients
        self._site = site
        self._clock = clock
        self._boot_id = boot_id
        self._domain = site_domain or self._sender.rpartition("@")[2]
        self._max_message_bytes = max_message_bytes
        self._ledger = ledger or MemoryLedger()
        self._refused: dict[str, str] = {}
        self._broke: dict[str, int] = {}  # how often the line broke under an alert's mail
        for address in recipients if not isinstance(recipients, Mapping) else chain(*recipients.values()):
            _address(address)
        self._server = SmtpServer(
            host=host,
            port=port,
            security=security,
            username=username,
            password=password,
            hello=f"{site.kiosk}.{self._domain}",
            ca_file=ca_file,
            timeout_s=timeout_s,
            deadline_s=deadline_s,
        )

    @property
    def refused_recipients(self) -> dict[str, str]:
        """Recipients that the server refused for good at the last mail to them, and its words; for health."""
        return dict(self._refused)

    def try_login(self) -> None:
        """Connect, encrypt and log in, and send nothing. :raises ChannelError: the server cannot be used, and why."""
        with self._server.session():
            pass

    def __repr__(self) -> str:
        return f"EmailChannel({self._server!r})"

    def send(self, alert: Alert, pictures: Sequence[Path], *, waited_s: float) -> None:
        """See :class:`edge.alerts.interface.Channel`."""
        everyone = self._recipients_for(alert)
        accepted = self._ledger.accepted(alert.alert_id)
        remaining = [r for r in everyone if r not in accepted]
        if not everyone:
            raise PermanentRefusal(
                f"nobody is to be told about {alert.severity.label} alerts",
                hint="Name recipients for this severity in the configuration.",
            )
        if not remaining:
            return
        found = read_pictures(alert, pictures, max_bytes=self._max_message_bytes)
        if self._broke.get(alert.alert_id, 0) >= PICTURE_ATTEMPTS:
            found = []  # a line that carries no pictures shall not keep the news as well
        try:
            refused = self._send(alert, found, everyone, remaining, waited_s)
        except LineBroke:
            self._broke[alert.alert_id] = self._broke.pop(alert.alert_id, 0) + 1
            while len(self._broke) > _MOST_BROKEN:
                del self._broke[next(iter(self._broke))]
            raise
        except SizeRefused as error:
            if not found:
                raise PermanentRefusal(str(error)) from error
            log.warning(
                f"{self._server} refuses the size of alert {alert.alert_id}: sent again without pictures",
                extra={"kg": {"event": "mail_too_large", "alert_id": alert.alert_id}},
            )
            try:
                refused = self._send(alert, [], everyone, remaining, waited_s)
            except SizeRefused as again:
                raise PermanentRefusal(str(again)) from again
        self._broke.pop(alert.alert_id, None)
        self._settle(alert, remaining, refused, anyone_has_it=bool(accepted))

    def _send(
        self,
        alert: Alert,
        pictures: Sequence[Picture],
        everyone: Sequence[str],
        remaining: Sequence[str],
        waited_s: float,
    ) -> dict[str, tuple[int, bytes]]:
        """One SMTP transaction; returns the recipients that were refused, all of them perhaps."""
        message = compose(
            alert,
            pictures,
            site=self._site,
            moment=self._moment(alert, waited_s),
            sender=self._sender,
            recipients=everyone,
            domain=self._domain,
            date=self._clock.utc_now().astimezone(self._site.timezone),
        ).as_bytes()
        with self._server.session() as smtp:
            try:
                return smtp.sendmail(self._sender, list(remaining), message)
            except smtplib.SMTPRecipientsRefused as error:
                if any(code == 421 for code, _ in error.recipients.values()):
                    raise TemporaryRefusal(f"{self._server} is closing down (421)", channel_wide=True) from error
                return dict(error.recipients)

    def _settle(
        self,
        alert: Alert,
        asked: Sequence[str],
        refused: Mapping[str, tuple[int, bytes]],
        *,
        anyone_has_it: bool,
    ) -> None:
        """Remember who has it; raise if somebody is still to get it, or if nobody ever will."""
        took = [r for r in asked if r not in refused]
        for address in took:
            self._refused.pop(address, None)
        for_good = {r: reply for r, reply in refused.items() if 500 <= reply[0] < 600}
        self._refused.update({r: self._server.scrub(reply_words(reply)) for r, reply in for_good.items()})
        for_now = {r: reply for r, reply in refused.items() if r not in for_good}
        if for_now:
            self._ledger.accept(alert.alert_id, [*took, *for_good] if took or anyone_has_it else took)
        if for_now or not (took or anyone_has_it):
            raise recipients_error(
                str(self._server),
                {r: self._server.scrub(reply_words(v)) for r, v in refused.items()},
                for_now=bool(for_now),
            )
        for address, reply in for_good.items():
            log.error(
                f"{self._server} refuses mail for {address}: {self._refused[address]}; the others got it",
                extra={"kg": {"event": "recipient_refused", "alert_id": alert.alert_id, "code": reply[0]}},
            )

    def _recipients_for(self, alert: Alert) -> list[str]:
        if not isinstance(self._recipients, Mapping):
            return list(dict.fromkeys(self._recipients))
        if alert.kind == "test":
            return list(dict.fromkeys(chain(*self._recipients.values())))
        wanted = (a for least, who in self._recipients.items() if alert.severity >= least for a in who)
        return list(dict.fromkeys(wanted))

    def _moment(self, alert: Alert, waited_s: float) -> Moment:
        shift = clock_shift(alert, clock=self._clock, boot_id=self._boot_id)
        if shift is None:
            return Moment(waited_s=waited_s, trusted=False)
        return Moment(waited_s=waited_s, shift=shift)


def _address(text: str) -> str:
    """:raises ConfigError: not an address that plain SMTP carries."""
    if not is_mail_address(text):
        raise ConfigError(f"{one_line(text)!r} is not a mail address", hint=f"Wanted: {MAIL_ADDRESS_WANTED}.")
    return text
