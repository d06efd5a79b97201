"""One run of the appliance, watched: log lines, health and mails become the screen's events and the verdict's facts."""

from __future__ import annotations

import contextlib
import queue
import time
from typing import TYPE_CHECKING, Any

from demo_appliance import health
from demo_mailbox import Mail

if TYPE_CHECKING:
    from demo_appliance import Appliance
    from demo_screen import Screen
    from demo_verdict import Seen

POLL_HEALTH_S = 1.0


class Show:
    """One run of the appliance: everything that happens goes into ``seen`` and onto the screen.

    :param news: what other threads hear: the appliance's events and the mailbox's mails.
    """

    def __init__(self, screen: Screen, seen: Seen, news: queue.Queue[dict[str, Any] | Mail]) -> None:
        self.screen, self.seen, self.news = screen, seen, news
        self._began_s = 0.0

    def watch(self, appliance: Appliance, until_s: float | None) -> int | None:
        """Show what happens until the appliance ends; returns its exit code, ``None`` if it did not end in time.

        :param until_s: monotonic seconds; ``None``: for as long as it runs.
        """
        asked_s = 0.0
        while True:
            code = appliance.exit_code
            with contextlib.suppress(queue.Empty):
                self._take(self.news.get(timeout=0.2))
                while True:
                    self._take(self.news.get_nowait())
            now_s = time.monotonic()
            if code is None and now_s - asked_s >= POLL_HEALTH_S:
                asked_s = now_s
                self._ask_health(now_s)
            self.screen.refresh()
            if code is not None and self.news.empty():
                return code
            if until_s is not None and now_s > until_s:
                return None

    def _ask_health(self, now_s: float) -> None:
        report = health(self.screen.health_url + "health") if self.screen.health_url else None
        details = report.get("details", {}) if report else {}
        # Before the first picture and after the last one there is nothing to say about the guarding.
        if report and any(camera.get("state") == "live" for camera in details.get("cameras", {}).values()):
            self.screen.health_status = self.seen.health_status = str(report.get("status", ""))
            self.seen.health_words = str(report.get("output", ""))
            self._count(int(details.get("frames_judged", 0)), now_s)

    def _count(self, frames: int, now_s: float) -> None:
        self.seen.frames_judged = self.screen.frames_judged = frames
        self.seen.watched_s = now_s - self._began_s
        self.screen.frames_per_s = frames / self.seen.watched_s if self.seen.watched_s > 0 else 0.0

    def _take(self, news: dict[str, Any] | Mail) -> None:
        if isinstance(news, Mail):
            self.seen.mails.append(news)
            self.screen.mails = len(self.seen.mails)
            pictures = f"{len(news.pictures)} picture{'' if len(news.pictures) == 1 else 's'}"
            self.screen.event("mail", f"{pictures}, to {', '.join(news.recipients)}: {news.subject}")
            return
        take = getattr(self, f"_on_{news['event']}", None)
        if take:
            take(news)

    def _on_started(self, news: dict[str, Any]) -> None:
        self._began_s = time.monotonic()
        self.screen.health_url = str(news.get("health_url", ""))
        self.screen.event("appliance", f"kiosk-guard {news.get('version')} guards with {news.get('model')}")

    def _on_incident(self, news: dict[str, Any]) -> None:
        self.seen.incidents.append(news)
        where = f" in {news['zone']}" if news["zone"] else ""
        if news["change"] == "closed":
            self.screen.event("closed", f"{news['rule']}{where}")
            return
        self.screen.event(
            "incident",
            f"{news['change']}: {news['rule']}{where} ({news['severity']}): "
            f"{news['what']} {news['value']:.1f} {news['unit']}, limit {news['threshold']:g}",
        )

    def _on_output(self, news: dict[str, Any]) -> None:
        name, on = str(news["name"]), bool(news["on"])
        self.screen.levels[name] = on
        self.seen.pins.append((name, on))
        self.screen.event("pin", f"{name} {'ON' if on else 'off'}")

    def _on_alert_failed(self, news: dict[str, Any]) -> None:
        self.screen.event("mail", f"not delivered: {news.get('error')}")

    def _on_camera(self, news: dict[str, Any]) -> None:
        self.screen.event(
            "appliance", f"camera {news.get('camera')}: {news.get('state')} {news.get('detail', '')}".rstrip()
        )

    def _on_stopped(self, news: dict[str, Any]) -> None:
        if "frames" in news:
            self._count(int(news["frames"]), time.monotonic())
        self.screen.event("appliance", f"stopped after {news.get('frames')} frames")
