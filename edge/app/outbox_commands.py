"""``kiosk-guard outbox`` and ``test-mail``: what the technician asks of the outbox, the service running or not."""

from __future__ import annotations

import json
import logging
import secrets
from typing import TYPE_CHECKING

from edge import __version__
from edge.alerts.alert_json import encode_alert
from edge.alerts.database import open_database
from edge.alerts.ledger import StoredLedger
from edge.alerts.look import OutboxLook
from edge.alerts.mail_words import duration, evidence_sentence, one_line
from edge.alerts.outbox import Outbox
from edge.alerts.outbox_rows import DELIVERED
from edge.app.evidence_commands import record_command
from edge.app.mail_channel import build_channel
from edge.app.state import RunLock, as_owner, existing_state
from edge.clock import SystemClock, boot_id
from edge.errors import EX_NOINPUT, EX_OK, EX_UNAVAILABLE, ChannelError, ConfigError, KioskError
from edge.types import Alert, Severity

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from edge.alerts.email import EmailChannel
    from edge.alerts.outbox_rows import Entry
    from edge.clock import Clock
    from edge.config import Config

log = logging.getLogger(__name__)

_POLL_S = 0.5


class UnknownAlert(KioskError):  # noqa: N818 - reads as the fact it states
    """The outbox holds no alert of that id."""

    exit_code = EX_NOINPUT


def list_alerts(config: Config, config_path: Path, *, limit: int, everything: bool, as_json: bool) -> Iterator[str]:
    """What waits, newest first, in lines; with ``everything`` also what was delivered. Writes nothing.

    :raises StateError, OutboxError: it cannot be read.
    """
    look = OutboxLook(existing_state(config, config_path))
    entries = look.entries(limit=limit, undelivered_only=not everything)
    if as_json:
        yield from (json.dumps(_facts(entry)) for entry in entries)
        return
    stats = look.stats()
    yield (
        f"{stats.waiting} waiting, {stats.held} refused for good, {stats.corrupt} damaged, "
        f"{stats.delivered} delivered so far, {stats.dropped} dropped so far"
    )
    if stats.last_error:
        yield f"last refusal: {one_line(stats.last_error)}"
    for entry in entries:
        rule = entry.alert.rule if entry.alert else "?"
        yield (
            f"{entry.state:9}  {entry.severity.label:8}  {entry.stored_utc:%Y-%m-%d %H:%M:%S}  "
            f"tries {entry.attempts:<3}  {one_line(rule):16}  {one_line(entry.alert_id)}"
        )
    if len(entries) == limit:
        yield f"only the newest {limit} are shown; more with --limit"


def show_alert(config: Config, config_path: Path, alert_id: str) -> Iterator[str]:
    """All about one alert. Writes nothing. :raises UnknownAlert: there is none of that id."""
    folder = existing_state(config, config_path)
    entry = _known(OutboxLook(folder).entry(alert_id), alert_id)
    rows = {
        "id": entry.alert_id,
        "state": {"held": "held: refused for good, tried again every hour"}.get(entry.state, entry.state),
        "severity": entry.severity.label,
        "stored": f"{entry.stored_utc:%Y-%m-%d %H:%M:%S} UTC",
        "delivered": f"{entry.delivered_utc:%Y-%m-%d %H:%M:%S} UTC" if entry.delivered_utc else "",
        "tries": str(entry.attempts),
        "next try": f"{entry.next_utc:%Y-%m-%d %H:%M:%S} UTC" if entry.state != DELIVERED else "",
        "last refusal": one_line(entry.last_error),
    }
    alert = entry.alert
    if alert is not None:
        rows |= {
            "kind": alert.kind,
            "incident": alert.incident_id,
            "rule": alert.rule,
            "camera": alert.camera,
            "zone": alert.zone,
            "began": f"{alert.opened_utc:%Y-%m-%d %H:%M:%S} UTC",
            "evidence": evidence_sentence(alert),
            "model": alert.model,
            "software": alert.software,
        }
        for ref in alert.evidence:
            there = (folder / "evidence" / ref.path).is_file()
            rows[f"picture, {ref.role}"] = f"{ref.path}{'' if there else ' (missing)'}"
    yield from (f"{one_line(label):18} {one_line(text)}" for label, text in rows.items() if text)


def retry(config: Config, config_path: Path, alert_id: str | None, *, clock: Clock | None = None) -> str:
    """Make one alert, or all, due now; the running service takes note within seconds.

    :raises UnknownAlert: none of that id waits.
    """
    clock = clock or SystemClock()
    folder = existing_state(config, config_path)
    with as_owner(folder):
        database = open_database(folder, clock=clock)
        try:
            done = Outbox(database, clock=clock, boot_id=boot_id(), adopt_schedules=False).retry(alert_id)
        finally:
            database.close()
    if alert_id is not None and not done:
        _known(None, alert_id)
    return f"{done} alert{'' if done == 1 else 's'} will be tried now; the service must be running"


def drop(config: Config, config_path: Path, alert_id: str, *, clock: Clock | None = None) -> str:
    """Give up one alert; counted, logged, and told in the next mail. :raises UnknownAlert: none of that id waits."""
    clock = clock or SystemClock()
    folder = existing_state(config, config_path)
    with as_owner(folder):
        database = open_database(folder, clock=clock)
        try:
            done = Outbox(database, clock=clock, boot_id=boot_id(), adopt_schedules=False).drop(alert_id)
            if done:
                record_command(folder, "dropped", {"alert_id": alert_id, "why": "by command"}, clock=clock)
        finally:
            database.close()
    if not done:
        _known(None, alert_id)
    log.warning(
        f"alert {alert_id} was dropped by a technician",
        extra={"kg": {"event": "alert_dropped", "alert_id": alert_id, "reason": "dropped by a technician"}},
    )
    return f"alert {alert_id} was dropped"


def send_test_mail(
    config: Config,
    config_path: Path,
    *,
    timeout_s: float,
    say: Callable[[str], object],
    cancel: threading.Event,
    clock: Clock | None = None,
) -> int:
    """Send an alert of kind "test" through the outbox, and say what the server said; returns the exit code.

    While the service runs, that one delivers it; else this command does.

    :raises ConfigError: mail is switched off, or the channel cannot be built.
    """
    clock = clock or SystemClock()
    if not config.email.enabled:
        raise ConfigError(
            f"{config_path}: [email] enabled = false: there is nobody to mail to",
            hint="set enabled = true, with host, sender and recipients",
        )
    folder = existing_state(config, config_path)
    with as_owner(folder):
        database = open_database(folder, clock=clock)
    lock = RunLock(folder)
    try:
        channel = None
        with as_owner(folder):
            alone = lock.take()
        if alone:  # the secrets are read before anything is stored: an alert that nobody can send helps nobody
            channel = build_channel(config, config_path, clock=clock, boot_id=boot_id(), ledger=StoredLedger(database))
        outbox = Outbox(database, clock=clock, boot_id=boot_id(), adopt_schedules=False)
        alert = test_alert(clock)
        outbox.enqueue(alert)
        say(f"test mail {alert.alert_id} is in the outbox, for {', '.join(config.email.everyone)}")
        if channel is not None:
            say(f"the service does not run here: sending it now, by {config.email.host} port {config.email.port}")
            return _send(alert, channel, outbox, say)
        outbox.retry(alert.alert_id)
        say(f"the service sends it; waiting up to {duration(timeout_s)}")
        return _watch(alert, OutboxLook(folder), outbox, say, clock=clock, cancel=cancel, timeout_s=timeout_s)
    finally:
        lock.release()
        database.close()


def _send(alert: Alert, channel: EmailChannel, outbox: Outbox, say: Callable[[str], object]) -> int:
    try:
        channel.send(alert, [], waited_s=0.0)
    except ChannelError as error:
        outbox.drop(alert.alert_id, counted=False)
        say(f"not sent: {error}")
        return EX_UNAVAILABLE
    outbox.mark_delivered(alert.alert_id)
    for address, words in channel.refused_recipients.items():
        say(f"refused: {address}: {words}")
    say("the mail server has accepted it; look into the mailbox")
    return EX_OK


def _watch(
    alert: Alert,
    look: OutboxLook,
    outbox: Outbox,
    say: Callable[[str], object],
    *,
    clock: Clock,
    cancel: threading.Event,
    timeout_s: float,
) -> int:
    until_s = clock.monotonic_s() + timeout_s
    while clock.monotonic_s() < until_s:
        entry = look.entry(alert.alert_id)
        if entry is not None and entry.state == DELIVERED:
            waited_s = max(0.0, clock.monotonic_s() - alert.created_mono_s)
            say(f"the mail server has accepted it after {waited_s:.1f} s; look into the mailbox")
            return EX_OK
        if entry is not None and entry.attempts:
            say(f"not sent: {entry.last_error}")
            outbox.drop(alert.alert_id, counted=False)  # it has said what it was to say
            return EX_UNAVAILABLE
        if clock.wait(cancel, _POLL_S):
            break
    stats = look.stats()
    say(f"not sent within {duration(timeout_s)}; {stats.waiting + stats.held} alerts wait")
    if stats.last_error:
        say(f"last refusal: {one_line(stats.last_error)}")
    return EX_UNAVAILABLE


def test_alert(clock: Clock) -> Alert:
    """A mail that says that nothing happened."""
    now = clock.utc_now()
    return Alert(
        alert_id=f"test-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
        kind="test",
        incident_id="",
        severity=Severity.INFO,
        camera="",
        rule="test",
        zone="",
        opened_utc=now,
        closed_utc=None,
        created_utc=now,
        created_mono_s=clock.monotonic_s(),
        boot_id=boot_id(),
        clock_synced=clock.synchronised(),
        what="",
        value=0.0,
        threshold=0.0,
        unit="",
        model="",
        software=f"kiosk-guard {__version__}",
    )


def _known(entry: Entry | None, alert_id: str) -> Entry:
    if entry is None:
        raise UnknownAlert(
            f"no alert {one_line(alert_id)!r} is there, or none that waits",
            hint="`kiosk-guard outbox list --all` shows the ids.",
        )
    return entry


def _facts(entry: Entry) -> dict[str, object]:
    def time(at: datetime | None) -> str | None:
        return at.isoformat() if at else None

    return {
        "id": entry.alert_id,
        "state": entry.state,
        "severity": entry.severity.label,
        "attempts": entry.attempts,
        "last_error": entry.last_error,
        "stored": time(entry.stored_utc),
        "next": time(entry.next_utc),
        "delivered": time(entry.delivered_utc),
        "alert": json.loads(encode_alert(entry.alert)) if entry.alert else None,
    }
