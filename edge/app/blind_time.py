"""When did the box not watch, and why: seconds per reason, kept over restarts; a mail after it was dark."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from edge import __version__
from edge.alerts.blind_store import POWER, STOPPED, UPGRADE, BlindStore, Gap
from edge.alerts.identity import alert_id
from edge.alerts.mail_words import duration, utc_time
from edge.errors import KioskError
from edge.types import Alert, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.cameras.interface import Camera
    from edge.clock import Clock
    from edge.pipeline import Vitals

log = logging.getLogger(__name__)

CAMERA, MAINTENANCE, OVERLOAD = "camera", "maintenance", "overload"
REASONS = (POWER, CAMERA, MAINTENANCE, UPGRADE, OVERLOAD, STOPPED)
DARK = "dark"  # the rule in the mail
SAVE_EVERY_S = 600.0
_AWAIT_CLOCK_S = 900.0  # the network sets the clock within minutes of a start, or not soon
_RESTART_S = 60.0  # a crash that systemd mends at once needs no mail: its log has it
_SLOWEST_S = 0.5  # a frame that takes longer leaves fewer than the two a second that people can be followed at


class Lookout:
    """Says whether the box is blind now: (reason, since when, monotonic seconds), or None.

    A second is blind for one reason: maintenance before camera before overload. With several cameras one blind camera is enough.

    :param maintenance: whether the rules are silent.
    :param fresh_s: camera name -> a judged picture older than this, in seconds, is none.
    """

    def __init__(
        self,
        *,
        vitals: Vitals,
        cameras: Sequence[Camera],
        fresh_s: Mapping[str, float],
        maintenance: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._vitals = vitals
        self._cameras = list(cameras)
        self._fresh_s = dict(fresh_s)
        self._maintenance = maintenance
        self._clock = clock
        self._started_s = clock.monotonic_s()

    def __call__(self) -> tuple[str, float] | None:
        now = self._clock.monotonic_s()
        if self._maintenance():
            return MAINTENANCE, now
        for camera in self._cameras:
            since = self._vitals.captured_mono_s.get(camera.name, self._started_s)
            if now - since > self._fresh_s[camera.name] and camera.status().state != "ended":
                return CAMERA, since
        if self._vitals.step_s * len(self._cameras) > _SLOWEST_S:
            return OVERLOAD, now
        return None


class BlindTime:
    """Adds up the seconds, writes them a few times an hour, and mails after the box was dark.

    :param enqueue: stores a mail; raises ``OutboxError``, then it is tried again. None: mail is switched off.
    :param model: the detector's name and version, for the mail.
    :raises OutboxError: the database cannot be read or written.
    """

    def __init__(
        self,
        *,
        store: BlindStore,
        enqueue: Callable[[Alert], object] | None,
        clock: Clock,
        boot_id: str,
        model: str,
        version: str = __version__,
    ) -> None:
        self._store = store
        self._enqueue = enqueue
        self._clock = clock
        self._boot_id = boot_id
        self.model = model
        self._version = version
        self._lock = threading.Lock()  # totals() is asked from other threads
        self._new: dict[str, float] = {}
        self._began_s = self._looked_s = self._saved_s = clock.monotonic_s()
        self._counted_s = self._began_s  # up to here all that was blind is counted
        gap = store.begin(version=version)
        self._stored = store.totals()
        self._unsettled = True
        self._stopped = False
        if gap is not None:
            self._log_gap(gap)

    def saved(self) -> dict[str, float]:
        """As :meth:`totals`, without what a power cut would take away: as a metric it must never go back."""
        with self._lock:
            return {r: self._stored.get(r, 0.0) for r in REASONS}

    def totals(self) -> dict[str, float]:
        """Seconds per reason since the first start of all, every reason of :data:`REASONS` among them."""
        with self._lock:
            return {r: self._stored.get(r, 0.0) + self._new.get(r, 0.0) for r in REASONS}

    def rows(self) -> list[tuple[str, str]]:
        """The same for the heartbeat: label and text."""
        told = [f"{reason} {duration(s)}" for reason, s in self.totals().items() if s >= 1.0]
        return [("Not watching so far", ", ".join(told) or "never")]

    def look(self, blind: tuple[str, float] | None) -> None:
        """One turn, every few seconds. ``blind``: what a :class:`Lookout` says.

        :raises OutboxError: a mail or the totals could not be stored; they are tried again.
        """
        now = self._clock.monotonic_s()
        if blind is not None:
            reason, since_s = blind
            start_s = max(min(since_s, self._looked_s), self._counted_s)
            with self._lock:
                self._new[reason] = self._new.get(reason, 0.0) + now - start_s
            self._counted_s = now
        self._looked_s = now
        if self._unsettled:
            self._settle(now)
        if now - self._saved_s >= SAVE_EVERY_S and not self._stopped:
            self._saved_s = now  # even if it fails: not at every turn, the card may be full
            self._save(clean=False)

    def stop(self) -> None:
        """The service ends because it was told to. Never raises: what cannot be stored is logged."""
        self._stopped = True  # no further sign of life: the last one says that all is well
        try:
            self._save(clean=True)
        except KioskError as error:
            log.warning(
                f"the last sign of life cannot be stored: {error.message}",
                extra={"kg": {"event": "alive_not_stored", "error": error.message}},
            )

    def _save(self, *, clean: bool) -> None:
        with self._lock:
            new = dict(self._new)
        self._store.save(new, clean=clean, version=self._version)
        with self._lock:
            for reason, seconds in new.items():
                self._stored[reason] = self._stored.get(reason, 0.0) + seconds
                self._new[reason] -= seconds

    def _settle(self, now: float) -> None:
        """Find out how long the box was dark, once the clock is right, and tell it."""
        patient = now - self._began_s < _AWAIT_CLOCK_S
        open_gaps = self._store.open_gaps()
        for before in open_gaps:
            gap = self._store.settle(before)
            if gap.seconds is not None and before.seconds is None:
                with self._lock:
                    self._stored[gap.reason] = self._stored.get(gap.reason, 0.0) + gap.seconds
            if not gap.told and (gap.seconds is not None or not patient):
                if self._is_news(gap) and self._enqueue is not None:
                    self._enqueue(self._alert(gap))
                self._store.mark_told(gap)
        # What an earlier boot left unknown stays so: only a gap that ends in this boot is worth waiting for.
        self._unsettled = patient and any(
            g.seconds is None and g.until_boot_id == self._boot_id for g in self._store.open_gaps()
        )

    @staticmethod
    def _is_news(gap: Gap) -> bool:
        return not gap.clean and (gap.seconds is None or gap.reason == POWER or gap.seconds >= _RESTART_S)

    def _alert(self, gap: Gap) -> Alert:
        sure = gap.seconds is not None
        last = utc_time(gap.from_utc) + ("" if gap.from_synced else ", by a clock that was not set")
        latest = utc_time(gap.from_utc + timedelta(seconds=SAVE_EVERY_S))
        back = utc_time(gap.until_utc) + ("" if gap.until_synced else ", by a clock that is not set")
        incident_id = f"{DARK}-{gap.until_utc:%Y%m%d-%H%M%S}-{gap.number}"
        return Alert(
            alert_id=alert_id(incident_id, "opened", Severity.HIGH),
            kind="opened",
            incident_id=incident_id,
            severity=Severity.HIGH,
            camera="",
            rule=DARK,
            zone="",
            # Only a time of this boot can be corrected later: where the length is not known, that of the start is told.
            opened_utc=gap.from_utc if sure else gap.until_utc,
            closed_utc=gap.until_utc if sure else None,
            created_utc=self._clock.utc_now(),
            created_mono_s=self._clock.monotonic_s(),
            boot_id=self._boot_id,
            clock_synced=gap.until_synced if sure else self._clock.synchronised(),
            what="without a sign of life" if sure else "",
            value=round((gap.seconds or 0.0) / 60, 1),
            threshold=0.0,
            unit="min",
            model=self.model,
            software=f"kiosk-guard {self._version}",
            extra=(
                ("Last sign of life", f"{last} (one is given every {duration(SAVE_EVERY_S)})"),
                ("Dark since", f"at the latest {latest}" if sure and (gap.seconds or 0) > SAVE_EVERY_S else ""),
                ("Back since", back),
                ("Cause", _CAUSES[gap.reason]),
            ),
        )

    @staticmethod
    def _log_gap(gap: Gap) -> None:
        lasted = "an unknown time" if gap.seconds is None else duration(gap.seconds)
        log.log(
            logging.INFO if gap.clean else logging.WARNING,
            f"not watching for {lasted} until now ({gap.reason}); the last sign of life was at {utc_time(gap.from_utc)}",
            extra={
                "kg": {
                    "event": "was_dark",
                    "reason": gap.reason,
                    "seconds": gap.seconds,
                    "from": gap.from_utc.isoformat(),
                    "clean": gap.clean,
                }
            },
        )


_CAUSES = {
    POWER: "the power was cut, or the computer was reset, without notice",
    STOPPED: "the service ended without being told to",
    UPGRADE: "the software was changed meanwhile",
}
