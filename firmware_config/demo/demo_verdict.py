"""What the demo saw, held against the ground truth of the clip."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from demo_mailbox import Mail

TOLERANCE_S = 1.0
MIN_JUDGED_PER_S = 1.0  # slower than this, a short visit to a zone can be missed


@dataclass
class Seen:
    """All that happened, in order."""

    incidents: list[dict[str, Any]] = field(default_factory=list)  # the appliance's "incident" events
    pins: list[tuple[str, bool]] = field(default_factory=list)  # name, on
    mails: list[Mail] = field(default_factory=list)
    frames_judged: int = 0
    watched_s: float = 0.0  # how long the appliance guarded
    health_status: str = ""  # the last one that was asked for while it guarded
    health_words: str = ""  # why it is not "pass"
    replayed: list[dict[str, Any]] = field(default_factory=list)  # incident changes of the replay, times in the clip

    def incident(self, change: str) -> list[tuple[str, str]]:
        """(rule, zone) of each incident that was ``opened`` (or ``closed``) live."""
        return [(str(e["rule"]), str(e["zone"])) for e in self.incidents if e["change"] == change]


@dataclass(frozen=True)
class Line:
    """One line of the verdict; ``missing`` is empty when all is as expected."""

    what: str
    seen: str
    expected: str
    missing: str = ""


def judge(
    seen: Seen, truth: dict[str, Any], outputs: Iterable[str], *, exit_code: int | None, video: Path
) -> list[Line]:
    """The verdict, line by line.

    :param truth: lobby.truth.json.
    :param outputs: names of the output lines, each of which has to go on and off again.
    :param exit_code: of ``kiosk-guard run``; ``None`` if it did not end by itself.
    :param video: the annotated video.
    """
    expected = [(str(e["rule"]), str(e["zone"])) for e in truth["expected"]]
    lines = [
        Line("kiosk-guard run", f"exit code {exit_code}", "exit code 0", "a clean end" if exit_code != 0 else ""),
        _frames(seen, truth),
        _health(seen),
    ]
    for change in ("opened", "closed"):
        got = seen.incident(change)
        lines.append(
            Line(
                f"incidents {change}, live", _names(got), _names(expected), _difference(Counter(expected), Counter(got))
            )
        )
    lines.append(_replay(seen, truth))
    lines.extend(_pin(name, seen) for name in outputs)
    lines.append(_mails(seen, len(expected)))
    size = video.stat().st_size if video.is_file() else 0
    lines.append(Line("annotated video", f"{size / 1e6:.1f} MB", "some", "" if size else str(video)))
    return lines


def _frames(seen: Seen, truth: dict[str, Any]) -> Line:
    least = int(truth["duration_s"] * MIN_JUDGED_PER_S)
    missing = "" if seen.frames_judged >= least else f"{least - seen.frames_judged} frames judged"
    rate = seen.frames_judged / seen.watched_s if seen.watched_s else 0.0
    return Line("frames judged, live", f"{seen.frames_judged} ({rate:.1f} a second)", f"{least} or more", missing)


def _health(seen: Seen) -> Line:
    # "warn" is fine: this machine's clock may not be set from the network, for one.
    missing = "" if seen.health_status in {"pass", "warn"} else "a health report that says pass or warn"
    words = f": {seen.health_words}" if seen.health_words else ""
    return Line(
        "health", f"{seen.health_status}{words}" if seen.health_status else "no answer", "pass or warn", missing
    )


def _replay(seen: Seen, truth: dict[str, Any]) -> Line:
    got = [(str(e["rule"]), str(e["zone"]), float(e["t_s"])) for e in seen.replayed if e["change"] == "opened"]
    wanted = [(str(e["rule"]), str(e["zone"]), float(e["opens_s"])) for e in truth["expected"]]
    missing = []
    for rule, zone, opens_s in wanted:
        match = next((g for g in got if g[:2] == (rule, zone) and abs(g[2] - opens_s) <= TOLERANCE_S), None)
        if match:
            got.remove(match)
        else:
            missing.append(f"{rule} in {zone} at {opens_s:.1f} s")
    missing.extend(f"no {rule} in {zone} at {at_s:.1f} s" for rule, zone, at_s in got)
    shown = [f"{e['rule']} {float(e['t_s']):.1f} s" for e in seen.replayed if e["change"] == "opened"]
    return Line(
        "incidents opened, replay",
        ", ".join(shown) or "none",
        ", ".join(f"{rule} {at_s:.1f} s" for rule, _, at_s in wanted) + f" (within {TOLERANCE_S:g} s)",
        "; ".join(missing),
    )


def _pin(name: str, seen: Seen) -> Line:
    changes = ["on" if on else "off" for pin, on in seen.pins if pin == name]
    fine = "on" in changes and changes[-1] == "off"
    return Line(
        f"pin changes, {name}", ", ".join(changes) or "none", "on, then off", "" if fine else f"{name} on and off"
    )


def _mails(seen: Seen, wanted: int) -> Line:
    opened = [m for m in seen.mails if m.kind == "opened"]  # what follows in its thread is shown, not counted
    with_picture = sum(bool(m.pictures) for m in opened)
    missing = ""
    if len(opened) != wanted:
        missing = f"{wanted} mails, not {len(opened)}"
    elif with_picture != wanted:
        missing = f"pictures in {wanted - with_picture} mails"
    return Line("opening mails, with pictures", f"{len(opened)}, {with_picture}", f"{wanted}, {wanted}", missing)


def _names(items: list[tuple[str, str]]) -> str:
    return ", ".join(rule for rule, _ in items) or "none"


def _difference(wanted: Counter[tuple[str, str]], got: Counter[tuple[str, str]]) -> str:
    lacking = [f"{rule} in {zone}" for rule, zone in (wanted - got).elements()]
    surplus = [f"no {rule} in {zone or 'the picture'}" for rule, zone in (got - wanted).elements()]
    return "; ".join(lacking + surplus)
