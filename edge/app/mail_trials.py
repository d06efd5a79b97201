"""Test mails asked for on the page: through the outbox like an alarm, with the server's words at the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from edge.alerts.outbox_rows import DELIVERED
from edge.app.outbox_commands import test_alert
from edge.health.acts import ActRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.alerts.look import OutboxLook
    from edge.alerts.outbox import Outbox
    from edge.clock import Clock

_REMEMBERED = 20
WAITING, ACCEPTED, FAILED = "waiting", "delivered", "failed"


class MailTrials:
    """The last test mails and how they ended.

    :param look: reads the outbox; ``wake``: tells the delivery; None: mail is switched off.
    :param channel_error: why no mail at all gets through; "": it does.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        look: OutboxLook,
        recipients: Sequence[str],
        wake: Callable[[], object] | None,
        channel_error: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._outbox = outbox
        self._look = look
        self._recipients = list(recipients)
        self._wake = wake
        self._channel_error = channel_error
        self._clock = clock
        self._lock = threading.Lock()
        self._began_s: dict[str, float] = {}
        self._ended: dict[str, dict[str, Any]] = {}

    @property
    def proof(self) -> str:
        """The last one that ended, in words; "": none did."""
        with self._lock:
            last = next(reversed(self._ended.values()), None)
        return "" if last is None else f"{last['state']} after {last['waited_s']} s: {last['words']}"

    def send(self) -> dict[str, Any]:
        """Put one into the outbox, due now. :raises ActRefused: mail is switched off. :raises OutboxError: not stored."""
        if self._wake is None:
            raise ActRefused(
                "mail is switched off", hint="Set [email] enabled = true, with host, sender and recipients.", status=409
            )
        alert = test_alert(self._clock)
        self._outbox.enqueue(alert)
        self._outbox.retry(alert.alert_id)
        with self._lock:
            self._began_s[alert.alert_id] = self._clock.monotonic_s()
            while len(self._began_s) > _REMEMBERED:
                gone = next(iter(self._began_s))
                del self._began_s[gone]
                self._ended.pop(gone, None)
        self._wake()
        return self.state(alert.alert_id)

    def retry_all(self) -> int:
        """Every undelivered alert is due now; returns how many. :raises OutboxError: not stored."""
        tried = self._outbox.retry()
        if self._wake is not None:
            self._wake()
        return tried

    def state(self, mail_id: str) -> dict[str, Any]:
        """As ``Acts.test_mail_state``. :raises ActRefused: it was not sent from here, or long ago."""
        with self._lock:
            began_s, ended = self._began_s.get(mail_id), self._ended.get(mail_id)
        if ended is not None:
            return ended
        if began_s is None:
            raise ActRefused(f"there is no test mail {mail_id[:80]!r}", hint="Send a new one.", status=404)
        entry = self._look.entry(mail_id)
        state, words = WAITING, self._channel_error().partition("\n")[0] or "on its way to the mail server"
        if entry is None:
            state, words = FAILED, "it is not in the outbox any more"
        elif entry.state == DELIVERED:
            state, words = ACCEPTED, entry.last_error or "the mail server has accepted it; look into the mailbox"
        elif entry.attempts:
            state, words = FAILED, entry.last_error
        answer = {
            "id": mail_id,
            "state": state,
            "words": words,
            "waited_s": round(self._clock.monotonic_s() - began_s, 1),
            "recipients": self._recipients,
        }
        if state != WAITING:
            with self._lock:
                self._ended[mail_id] = answer
            if state == FAILED:
                self._outbox.drop(mail_id, counted=False)  # it has said what it was to say
        return answer
