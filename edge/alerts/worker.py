"""Delivery: one thread that drains the outbox through one channel."""

from __future__ import annotations

import contextlib
import logging
import math
import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.alerts import delivery_log
from edge.alerts.flood import fold_waiting
from edge.alerts.outbox_rows import WAITING, Entry
from edge.alerts.pause import ChannelPause
from edge.alerts.schedule import Backoff
from edge.errors import ChannelError, OutboxError, PermanentRefusal
from edge.types import Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.alerts.flood import FloodGate
    from edge.alerts.interface import Channel, Listener, Memory
    from edge.alerts.outbox import Outbox
    from edge.clock import Clock
    from edge.types import Alert, EvidenceRef

log = logging.getLogger(__name__)

_LOOK_PAST = 50  # held-back alerts that are looked past for one that may go: a test mail, a heartbeat
_WHY_DROPPED = "too many, too old, by command, or the disk did not take them"
IN_MEMORY = -1  # row number of an alert that has none
IDLE_S = 5.0  # a technician's command beside the service cannot wake it, and does not want to wait long
STORE_TROUBLE_S = 5.0
_MEND_S = 0.2
EXPIRE_EVERY_S = 3600.0
STEP_S = 15.0  # the longest honest step without a send
SEND_S = 300.0  # with one: the conversation's own limit, finding the server's address, and parting


class DeliveryWorker:
    """Sends what is due: critical first, then oldest; one bad message never blocks the rest.

    A refusal that concerns one alert delays that alert. A refusal that concerns the channel (no route, bad password)
    pauses all, by the same backoff, so that ten thousand waiting alerts do not each wait for a timeout; a new critical
    alert is tried at once all the same, and while any critical one waits the pause is at most ``critical_pause_s``. The
    first success ends the pause for everything.

    :param resolve: a picture's file, or None where it is missing or damaged.
    :param pace_s: seconds between two mails of a backlog; critical alerts do not wait.
    :param flood: holds back what would be too much; None: nothing is.
    :param on_delivered: told after each delivery, with the alert and the seconds it waited.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        channel: Channel,
        resolve: Callable[[EvidenceRef], Path | None],
        clock: Clock,
        rng: random.Random | None = None,
        backoff: Backoff | None = None,
        pace_s: float = 0.2,
        critical_pause_s: float = 15.0,
        flood: FloodGate | None = None,
        on_delivered: Callable[[Alert, float], None] | None = None,
    ) -> None:
        self._outbox = outbox
        self._channel = channel
        self._resolve = resolve
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, no secret
        self._backoff = backoff or Backoff()
        self._pace_s = pace_s
        self._critical_pause_s = critical_pause_s
        self._flood = flood
        self._on_delivered = on_delivered
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._pause = ChannelPause(clock=clock, backoff=self._backoff, rng=self._rng, critical_s=critical_pause_s)
        self._expire_at_s = 0.0
        # What a failing disk would not take: when to try again (monotonic seconds), infinity: it was delivered.
        self._unstored: dict[str, float] = {}
        self._memory: Memory | None = None
        self._listener: Listener | None = None
        self._trouble = ""
        self._beat_s = clock.monotonic_s()
        self._due_s = self._beat_s + STEP_S
        self._back_s = -math.inf  # when the network came back last

    @property
    def channel_error(self) -> str:
        """Why the whole channel is paused; empty while it works."""
        return self._pause.error

    @property
    def due_s(self) -> float:
        """Monotonic time by which the thread moves again unless it hangs; a send in flight may take its time-outs."""
        return self._due_s

    def start(self) -> None:
        """Start the thread."""
        if self._listener is not None:
            self._listener.start()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something was enqueued."""
        self._wake.set()

    def hurry(self) -> None:
        """A technician asks: try everything now. :raises OutboxError: not stored."""
        self._pause.end()
        self._outbox.retry()
        self._wake.set()

    def line_is_back(self) -> None:
        """Try what only waits for the network, and spare what was refused for good: a bad password stays one.

        :raises OutboxError: the waiting ones are not due yet; the pause is over all the same.
        """
        self._back_s = self._clock.monotonic_s()
        self._pause.end_passing()
        self._wake.set()
        self._outbox.line_is_back()
        self._wake.set()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Stop after the send in flight; True if the thread has ended within ``timeout_s``."""
        if self._listener is not None:
            self._listener.stop()
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def listen(self, listener: Listener) -> None:
        """Something that tells when the network is back; it starts and stops with the thread. Call it before."""
        self._listener = listener

    def also_deliver(self, memory: Memory) -> None:
        """Alerts that the disk refuses go out from memory: late proof is better than a late police."""
        self._memory = memory

    def step(self) -> float:
        """Deliver at most one alert; returns the seconds to wait before the next step. Never raises."""
        self._beat_s = self._clock.monotonic_s()
        self._due_s = self._beat_s + STEP_S
        entry: Entry | None = None
        wait_s = IDLE_S
        try:
            if self._beat_s >= self._expire_at_s:
                self._expire_at_s = self._beat_s + EXPIRE_EVERY_S
                self._outbox.given_up.expire()
            self._store_late()
            if self._outbox.retry_asked():
                self._pause.end()
            pause_s = self._pause.left_s(critical_waits=self._outbox.critical_waits()) if self._pause else 0.0
            entry, held_back = self._choose(urgent_only=pause_s > 0)
            if entry is None:
                next_s = IDLE_S if held_back else self._outbox.next_due_in_s()
                wait_s = IDLE_S if next_s is None else min(IDLE_S, max(next_s, pause_s))
                if wait_s <= 0:  # something is due, and cannot be had
                    self._mend()
                    wait_s = _MEND_S
            self._trouble = ""
        except OutboxError as error:
            wait_s = STORE_TROUBLE_S
            if error.message != self._trouble:
                log.error(  # noqa: TRY400 - the message says it all
                    f"the outbox cannot be used: {error.message}",
                    extra={"kg": {"event": "outbox_trouble", "error": error.message}},
                )
            self._trouble = error.message
        except Exception as error:  # a row that no code of ours has written: the others must go
            log.exception("the outbox cannot be read", extra={"kg": {"event": "outbox_fault", "error": str(error)}})
            wait_s = self._mend()
        if entry is None:
            entry = self._from_memory()
        if entry is not None and entry.alert is not None:
            return self._deliver(entry, entry.alert)
        in_memory = self._unstored or (self._memory is not None and self._memory.unstored())
        return STORE_TROUBLE_S if in_memory else wait_s

    def _mend(self) -> float:
        """Look after damaged rows; returns the seconds to wait before the next step."""
        with contextlib.suppress(OutboxError):
            if self._outbox.mend():
                return _MEND_S
        return STORE_TROUBLE_S

    def _run(self) -> None:
        while True:
            self._wake.clear()
            if self._stopping.is_set():  # looked at after the clearing, so that no stop() is missed
                return
            wait_s = self.step()
            if wait_s > 0:
                self._due_s = self._clock.monotonic_s() + wait_s + STEP_S
                self._clock.wait(self._wake, wait_s)

    def _choose(self, *, urgent_only: bool) -> tuple[Entry | None, bool]:
        """The alert to try now, and whether there are others that wait for a digest. :raises OutboxError: no access."""
        few = 1 + len(self._unstored)
        if self._flood is not None and self._flood.digest_in_s() is not None:
            few += _LOOK_PAST
            if not urgent_only and self._flood.digest_in_s() == 0:
                fold_waiting(self._outbox, self._flood, but=self._unstored, clock=self._clock)
        held_back = False
        for entry in self._outbox.due(limit=few, urgent_only=urgent_only):
            if self._unstored.get(entry.alert_id, 0.0) > self._beat_s:
                continue
            if self._flood is None or entry.alert is None or self._flood.lets_pass(entry.alert):
                return entry, held_back
            held_back = True
        return None, held_back

    def _from_memory(self) -> Entry | None:
        """An alert that could not be stored, if one is to be tried now."""
        if self._memory is None:
            return None
        waiting: set[tuple[str, bool]] = set()  # incident, and whether a critical alert of it waits
        for alert in self._memory.unstored():
            urgent = alert.severity is Severity.CRITICAL
            paused = not urgent and self._pause.left_s(critical_waits=False) > 0
            due = self._unstored.get(alert.alert_id, 0.0) <= self._beat_s and not paused
            led = (alert.incident_id, True) in waiting or (not urgent and (alert.incident_id, False) in waiting)
            if due and not led and not self._follows(alert):
                now_utc = self._clock.utc_now()
                return Entry(IN_MEMORY, alert.alert_id, alert, alert.severity, WAITING, 0, "", now_utc, now_utc, None)
            if alert.incident_id:
                waiting.add((alert.incident_id, urgent))
        return None

    def _follows(self, alert: Alert) -> bool:
        try:
            return self._outbox.follows(alert)
        except OutboxError:  # then nothing that is on disk will go before it
            return False

    def _deliver(self, entry: Entry, alert: Alert) -> float:
        began_s = self._clock.monotonic_s()
        waited_s = self._outbox.waited_s(alert)
        drops = self._untold_drops()
        told = alert
        if drops:
            words = f"{drops} alert{'' if drops == 1 else 's'} given up since the last mail: {_WHY_DROPPED}"
            told = replace(alert, extra=(*alert.extra, ("Dropped", words)))
        self._due_s = self._clock.monotonic_s() + SEND_S
        try:
            self._channel.send(told, self._pictures(alert), waited_s=waited_s)
        except ChannelError as error:
            self._failed(entry, error, outdated=self._back_s > began_s)
            return 0.0
        except Exception as error:
            # A fault of ours with this one alert must not stop the others.
            log.exception(
                f"alert {alert.alert_id} could not be sent by {self._channel.name}",
                extra={"kg": {"event": "alert_fault", "alert_id": alert.alert_id}},
            )
            self._mark_failed(entry, f"{type(error).__name__}: {error}", permanent=False, channel_wide=False)
            return 0.0
        self._delivered(entry, alert, waited_s)
        if self._flood is not None:
            self._flood.sent(alert)
        try:
            if drops:
                self._outbox.given_up.told(drops)
            return 0.0 if self._outbox.critical_waits() else self._pace_s
        except OutboxError:
            return self._pace_s

    def _untold_drops(self) -> int:
        try:
            return self._outbox.given_up.untold()
        except OutboxError:  # it will be told another time
            return 0

    def _delivered(self, entry: Entry, alert: Alert, waited_s: float) -> None:
        self._due_s = self._clock.monotonic_s() + STEP_S
        self._pause.end()
        delivery_log.delivered(alert, self._channel.name, waited_s=waited_s, attempts=entry.attempts + 1)
        if entry.seq == IN_MEMORY and self._memory is not None:
            self._memory.forget(alert.alert_id)
            self._unstored.pop(alert.alert_id, None)
        else:
            try:
                self._outbox.mark_delivered(alert.alert_id)
            except OutboxError as error:
                self._unstored[alert.alert_id] = math.inf
                delivery_log.not_noted(alert.alert_id, error)
        if self._on_delivered is not None:
            try:
                self._on_delivered(alert, waited_s)
            except Exception:  # a listener must not stop the mail
                log.exception("a listener failed", extra={"kg": {"event": "listener_fault"}})

    def _failed(self, entry: Entry, error: ChannelError, *, outdated: bool) -> None:
        """:param outdated: the network came back while this was tried: it says nothing about now."""
        self._due_s = self._clock.monotonic_s() + STEP_S
        permanent = isinstance(error, PermanentRefusal)
        outdated = outdated and error.channel_wide and not permanent
        # A critical alert that only waits for the line goes as soon as the channel is tried again.
        longest_s = self._critical_pause_s if entry.severity is Severity.CRITICAL and error.channel_wide else math.inf
        delay_s = self._mark_failed(
            entry,
            str(error),
            permanent=permanent,
            channel_wide=error.channel_wide,
            longest_s=0.0 if outdated else longest_s,
        )
        if error.channel_wide and not outdated:
            self._pause.begin(str(error), permanent=permanent)
        delivery_log.refused(entry, self._channel.name, error, permanent=permanent, next_s=delay_s)

    def _mark_failed(
        self, entry: Entry, error: str, *, permanent: bool, channel_wide: bool, longest_s: float = math.inf
    ) -> float:
        if entry.seq == IN_MEMORY:
            self._unstored[entry.alert_id] = self._clock.monotonic_s() + self._critical_pause_s
            return self._critical_pause_s
        try:
            return self._outbox.mark_failed(
                entry.alert_id, error, permanent=permanent, channel_wide=channel_wide, longest_s=longest_s
            )
        except OutboxError as problem:
            delay_s = self._backoff.longest_s
            self._unstored[entry.alert_id] = self._clock.monotonic_s() + delay_s
            delivery_log.not_noted(entry.alert_id, problem)
            return delay_s

    def _store_late(self) -> None:
        """Try to write down what the disk would not take; what it still does not take stays in memory."""
        for alert_id, until_s in list(self._unstored.items()):
            if until_s == math.inf:
                try:
                    self._outbox.mark_delivered(alert_id)
                except OutboxError:
                    return
            if until_s == math.inf or until_s <= self._beat_s:
                del self._unstored[alert_id]

    def _pictures(self, alert: Alert) -> list[Path]:
        found = [self._resolve(ref) for ref in alert.evidence]
        return [path for path in found if path is not None]
