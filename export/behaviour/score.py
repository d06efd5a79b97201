"""From outcomes to a threshold by a stated rule, and to figures with their intervals."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from export.events.score import binomial_interval, poisson_upper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.behaviour.learn import Outcome

RULE = (
    "Out of fold (each scene judged by a model that has not seen it; where several are left out together, the median of nine"
    " draws of which): halfway between the highest answer given to footage"
    " without the behaviour, after as many false alarms as allowed, and the next higher answer given to a clip with it."
    " Of clips of machines and of anything else, other numbers of false alarms are allowed (`allowed` under each"
    " behaviour's figures), and the next higher answer is one given to a clip of machines."
)
_MOST = 0.99


def threshold(
    outcomes: Sequence[Outcome], *, allowed: int, apart: Sequence[Outcome] = (), allowed_apart: int = 0
) -> float:
    """By :data:`RULE`.

    :param allowed: clips without the behaviour that may answer.
    :param apart: clips of another kind, with as many of their own that may.
    """
    floor = max(_floor(outcomes, allowed), _floor(apart, allowed_apart))
    above = [o.shown for o in outcomes if o.shown > floor] or [o.shown for o in apart if o.shown > floor]
    # Four digits: with three it can come out above the very clip that it is to let through.
    return round(min((floor + min(above, default=1.0)) / 2, _MOST), 4)


def _floor(outcomes: Sequence[Outcome], allowed: int) -> float:
    silent = sorted((o.silent for o in outcomes), reverse=True)
    return max(silent[allowed], 0.0) if len(silent) > allowed else 0.0


def figures(outcomes: Sequence[Outcome], limit: float, seconds: float) -> dict[str, float | str]:
    """What is found and what is false at a threshold, by clip and by scene, with 95 % intervals.

    :param seconds: of all footage.
    """
    shown = [o for o in outcomes if o.shown >= 0]
    scenes = {o.scene for o in shown}
    hit = {o.scene for o in shown if o.shown >= limit}
    low, high = binomial_interval(len(hit), len(scenes))
    without = [o for o in outcomes if o.shown < 0]
    false = sum(o.silent >= limit for o in outcomes)
    return {
        "clips_with": len(shown),
        "clips_found": sum(o.shown >= limit for o in shown),
        "scenes_with": len(scenes),
        "scenes_found": len(hit),
        "recall_low": round(low, 3),
        "recall_high": round(high, 3),
        "clips_without": len(without),
        "clips_without_silent": sum(o.silent < limit for o in without),
        "false_alarms": false,
        "hours": round(seconds / 3600, 4),
        "false_alarms_per_hour_at_most": round(poisson_upper(false) / (seconds / 3600), 1),
        "ranked_right": round(ranked(outcomes), 3),
    }


def middle(rounds: Sequence[Sequence[Outcome]]) -> list[Outcome]:
    """Each clip's median answers over all rounds of cross-validation, which have the clips in one order."""
    return [
        replace(several[0], shown=median(one.shown for one in several), silent=median(one.silent for one in several))
        for several in zip(*rounds, strict=True)
    ]


def by_round(rounds: Sequence[Sequence[Outcome]], limit: float) -> dict[str, str]:
    """How far single rounds of cross-validation differ at one threshold: from the lowest to the highest; empty: there is one."""
    if len(rounds) < 2:
        return {}
    found = [sum(o.shown >= limit for o in one) for one in rounds]
    false = [sum(o.silent >= limit for o in one) for one in rounds]
    right = [ranked(one) for one in rounds]
    return {
        "rounds": str(len(rounds)),
        "clips_found_by_round": f"{min(found)} to {max(found)}",
        "false_alarms_by_round": f"{min(false)} to {max(false)}",
        "ranked_right_by_round": f"{min(right):.3f} to {max(right):.3f}",
    }


def ranked(outcomes: Sequence[Outcome]) -> float:
    """How often a clip with the behaviour gets a higher answer than one without (area under the curve), 0..1."""
    shown = [o.shown for o in outcomes if o.shown >= 0]
    silent = [max(o.silent, 0.0) for o in outcomes if o.shown < 0]
    pairs = len(shown) * len(silent)
    return sum((a > b) + 0.5 * (a == b) for a in shown for b in silent) / pairs if pairs else 0.0
