"""What the demo shows: a live screen on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from demo_verdict import Line

_EVENTS_SHOWN = 12
_PLAIN_STATUS_EVERY_S = 10.0
_STYLES = {"incident": "bold red", "closed": "green", "pin": "yellow", "mail": "cyan", "appliance": "dim"}


class Screen:
    """Shows the state and the events as they come; ``with`` it is open.

    :param outputs: names of the output lines, shown as lamps.
    """

    def __init__(self, console: Console, outputs: dict[str, int]) -> None:
        self._console = console
        self._pins = outputs
        self.levels = dict.fromkeys(outputs, False)
        self.frames_judged = 0
        self.frames_per_s = 0.0
        self.clip_s = 0.0
        self.health_url = ""
        self.health_status = "starting"
        self.mails = 0
        self._events: deque[Text] = deque(maxlen=_EVENTS_SHOWN)
        self._began_s = time.monotonic()
        self._status_due_s = _PLAIN_STATUS_EVERY_S
        self._live: Live | None = None
        self._full_screen = console.is_terminal and not console.is_dumb_terminal

    def __enter__(self) -> Screen:  # noqa: PYI034 - Self is newer than Python 3.10
        self._began_s, self._status_due_s = time.monotonic(), _PLAIN_STATUS_EVERY_S
        self._events.clear()
        if self._full_screen:
            self._live = Live(self.picture(), console=self._console, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.update(self.picture(), refresh=True)
            self._live.stop()
            self._live = None

    def event(self, kind: str, what: str) -> None:
        """One thing that happened; ``kind`` chooses the colour."""
        line = Text(f"{self._elapsed_s:6.1f} s  {kind:9}  {what}", no_wrap=True, overflow="ellipsis")
        line.stylize(_STYLES.get(kind, ""))
        self._events.append(line)
        if not self._live:
            self._console.print(line, soft_wrap=True)

    def refresh(self) -> None:
        """Show the state as it is now; plain output gets a line of it every few seconds."""
        if self._live:
            self._live.update(self.picture())
        elif not self._full_screen and self._elapsed_s >= self._status_due_s:
            self._status_due_s = self._elapsed_s + _PLAIN_STATUS_EVERY_S
            self._console.print(
                f"{self._elapsed_s:6.1f} s  status     {self._status()}", soft_wrap=True, highlight=False
            )

    def picture(self) -> Panel:
        """The whole screen."""
        state = Table.grid(padding=(0, 2))
        state.add_column(style="bold")
        state.add_column()
        state.add_row("frames judged", f"{self.frames_judged}, {self.frames_per_s:.1f} a second")
        lamps = Text()
        for name, pin in self._pins.items():
            on = self.levels.get(name, False)
            lamps.append(f"● {name} (pin {pin}) {'ON ' if on else 'off'}   ", style="bold red" if on else "dim")
        state.add_row("outputs", lamps)
        state.add_row("mails", str(self.mails))
        state.add_row("health", f"{self.health_status}   {self.health_url}")
        shown = Group(state, Text(), *self._events)
        title = "Kiosk Guard: the appliance at work on a lobby clip, simulated outputs, local mailbox"
        return Panel(shown, title=title, title_align="left", box=box.ROUNDED, height=_EVENTS_SHOWN + 7)

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _status(self) -> str:
        lamps = ", ".join(f"{name} {'ON' if on else 'off'}" for name, on in self.levels.items())
        return (
            f"{self.frames_judged} frames judged, {self.frames_per_s:.1f} a second; {lamps}; {self.mails} mails; "
            f"health {self.health_status}"
        )


def show_verdict(console: Console, lines: list[Line]) -> None:
    """The summary, one row a line of the verdict."""
    table = Table(title="Summary", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for heading in ("what", "seen", "expected", ""):
        table.add_column(heading, overflow="fold")
    for line in lines:
        verdict = Text("MISSING", "bold red") if line.missing else Text("ok", "green")
        table.add_row(line.what, line.seen, line.expected, verdict)
    console.print(table)
