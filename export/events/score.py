"""Scoring in time: which events an incident answers, which incidents nothing asked for, and how sure the figures are."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

LATE_S = 3.0  # an incident may open this long after the event's end
_ONE_SCENE = re.compile(r"(?<=\d)[a-z]$")


@dataclass(frozen=True, slots=True)
class Event:
    """What happens in a clip; seconds from its start."""

    what: str
    start_s: float
    end_s: float

    def covers(self, t_s: float) -> bool:
        return self.start_s <= t_s <= self.end_s + LATE_S


@dataclass(frozen=True, slots=True)
class Opened:
    """An incident that the product opened."""

    rule: str
    t_s: float
    severity: str = ""


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip's truth and what the product made of it."""

    name: str
    scene: str
    length_s: float
    events: tuple[Event, ...]
    opened: tuple[Opened, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """One event: answered by ``rule`` after ``delay_s`` from its start; None: missed."""

    event: Event
    rule: str | None
    delay_s: float | None


@dataclass(frozen=True, slots=True)
class ClipScore:
    """``beside``: opened during an event that it does not fit; ``false``: opened outside every event."""

    clip: Clip
    found: tuple[Found, ...]
    beside: tuple[Opened, ...]
    false: tuple[Opened, ...]

    @property
    def hit(self) -> bool:
        return any(f.rule is not None for f in self.found)


@dataclass(frozen=True, slots=True)
class Total:
    """A set of clips. A scene counts once: found if any of its clips is, and a rule's false alarm in it counts once.

    ``recall_low``/``recall_high``: 95 % interval of the scenes' recall; ``false_per_hour_high``: 95 % upper bound of
    the rate of false alarms. Delays in seconds, of events that were found; NaN: none was.
    """

    clips_with_events: int
    clips_hit: int
    scenes: int
    scenes_hit: int
    recall_low: float
    recall_high: float
    events: int
    events_found: int
    delay_p50_s: float
    delay_p95_s: float
    false_alarms: int
    false_alarms_by_scene: int
    normal_clips: int
    normal_clips_silent: int
    hours: float
    false_per_hour_high: float


def scene_of(stem: str) -> str:
    """Clips that differ in a letter behind a number show one scene: ``abnormal_36a`` and ``abnormal_36b``."""
    return _ONE_SCENE.sub("", stem)


def score_clip(clip: Clip, fits: Mapping[str, Collection[str]] | None) -> ClipScore:
    """Score one clip. ``fits``: label -> rules that answer it; None: every rule answers every label."""
    found = []
    fitting: set[int] = set()
    for event in clip.events:
        rules = None if fits is None else fits.get(event.what, ())
        hits = [i for i, o in enumerate(clip.opened) if event.covers(o.t_s) and (rules is None or o.rule in rules)]
        fitting.update(hits)
        first = min((clip.opened[i] for i in hits), key=lambda o: o.t_s, default=None)
        found.append(
            Found(event, first.rule, first.t_s - event.start_s) if first is not None else Found(event, None, None)
        )
    during = [any(e.covers(o.t_s) for e in clip.events) for o in clip.opened]
    return ClipScore(
        clip,
        tuple(found),
        beside=tuple(o for i, o in enumerate(clip.opened) if during[i] and i not in fitting),
        false=tuple(o for i, o in enumerate(clip.opened) if not during[i]),
    )


def total(scores: Sequence[ClipScore]) -> Total:
    """All clips together."""
    with_events = [s for s in scores if s.clip.events]
    scenes = {s.clip.scene for s in with_events}
    hit = {s.clip.scene for s in with_events if s.hit}
    found = [f for s in with_events for f in s.found]
    delays = [f.delay_s for f in found if f.delay_s is not None]
    normal = [s for s in scores if not s.clip.events]
    false = [(s.clip.scene, o.rule) for s in scores for o in s.false]
    hours = sum(s.clip.length_s for s in scores) / 3600.0
    low, high = binomial_interval(len(hit), len(scenes))
    return Total(
        clips_with_events=len(with_events),
        clips_hit=sum(s.hit for s in with_events),
        scenes=len(scenes),
        scenes_hit=len(hit),
        recall_low=low,
        recall_high=high,
        events=len(found),
        events_found=len(delays),
        delay_p50_s=quantile(delays, 0.5),
        delay_p95_s=quantile(delays, 0.95),
        false_alarms=len(false),
        false_alarms_by_scene=len(set(false)),
        normal_clips=len(normal),
        normal_clips_silent=sum(not s.clip.opened for s in normal),
        hours=hours,
        false_per_hour_high=poisson_upper(len(false)) / hours if hours else math.inf,
    )


def binomial_interval(hits: int, n: int, *, sure: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of a proportion; (0, 1) where there is nothing to count.

    >>> [round(x, 3) for x in binomial_interval(0, 10)]
    [0.0, 0.308]
    """
    if n == 0:
        return 0.0, 1.0
    tail = (1.0 - sure) / 2.0

    def at_most(k: int, p: float) -> float:
        return sum(math.comb(n, i) * p**i * (1.0 - p) ** (n - i) for i in range(k + 1))

    low = 0.0 if hits == 0 else _falling(lambda p: at_most(hits - 1, p) - (1.0 - tail), 0.0, 1.0)
    high = 1.0 if hits == n else _falling(lambda p: at_most(hits, p) - tail, 0.0, 1.0)
    return low, high


def poisson_upper(count: int, *, sure: float = 0.95) -> float:
    """Exact one-sided upper bound of a Poisson mean of which ``count`` was seen.

    >>> round(poisson_upper(0), 3)
    2.996
    """

    def at_most(mean: float) -> float:
        return sum(math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(count + 1))

    return _falling(lambda mean: at_most(mean) - (1.0 - sure), 1e-12, 10.0 * count + 20.0)


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest value that at least a share ``q`` of all does not exceed; NaN for none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else math.nan


def _falling(f: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function passes zero."""
    for _ in range(100):
        middle = (low + high) / 2.0
        low, high = (middle, high) if f(middle) > 0.0 else (low, middle)
    return (low + high) / 2.0
