"""What a correct system raises, worked out from the exact truth and the scenario's thresholds.

Every rule here answers: in which stretches of time does its condition hold, and when has it held for long enough?
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge.types import ZoneKind
from export.scenes.actor import RATE_HZ
from export.scenes.props import HELD, WORN
from export.scenes.truth import Expected
from export.scenes.view import contains

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.types import Bool
    from export.scenes.actor import Actor
    from export.scenes.rooms import Area
    from export.scenes.scenario import FaultTable, RulesTable
    from export.scenes.truth import FrameTruth, Visit

_GRACE_S = 1.0
_WALKING_M_S = 0.5  # who is slower stands
WEAPON_LABELS = ("firearm", "knife", "tool")


def expected(
    *, rules: RulesTable, areas: Sequence[Area], actors: Sequence[Actor], visits: Sequence[Visit],
    frames: Sequence[FrameTruth], faults: Sequence[FaultTable], fps: float, seconds: float,
) -> list[Expected]:  # fmt: skip
    """Every incident, in order of opening."""
    found = [
        *_dwell(rules, areas, visits),
        *_crowding(rules, areas, actors),
        *_revisits(rules, areas, visits),
        *_close_behind(rules, areas, actors),
        *_doing(rules, areas, actors),
        *_objects(rules, frames, fps),
        *_closed(rules, areas, visits),
        *_tamper(rules, faults, seconds),
    ]
    found = [_to_the_end(e, seconds) for e in found if e.opens_s < seconds]
    return sorted(found, key=lambda e: (e.opens_s, e.rule, e.zone))


def _to_the_end(entry: Expected, seconds: float) -> Expected:
    """What lasts to the clip's last moment has no end in it."""
    lasts = entry.closes_s is not None and entry.closes_s >= seconds - 0.02
    return replace(entry, closes_s=None) if lasts else entry


def _stretches(holds: Bool, rate: float, *, grace_s: float = 0.0) -> Iterator[tuple[float, float]]:
    """Stretches (from, to) in seconds where ``holds``; gaps up to ``grace_s`` are bridged."""
    change = np.diff(np.concatenate([[0], holds.astype(np.int8), [0]]))
    runs = [
        list(run) for run in zip(np.flatnonzero(change == 1) / rate, np.flatnonzero(change == -1) / rate, strict=True)
    ]
    merged: list[list[float]] = []
    for run in runs:
        if merged and run[0] - merged[-1][1] <= grace_s:
            merged[-1][1] = run[1]
        else:
            merged.append(run)
    for start, end in merged:
        yield float(start), float(end)


def _say(  # noqa: PLR0917 - one line of a table
    rule: str, zone: str, persons: Sequence[int], opens: float, closes: float | None, what: str
) -> Expected:
    one = persons[0] if len(persons) == 1 else 0
    return Expected(rule, zone, one, list(persons), round(opens, 2), None if closes is None else round(closes, 2), what)


def _dwell(rules: RulesTable, areas: Sequence[Area], visits: Sequence[Visit]) -> Iterator[Expected]:
    kinds = {a.name: a.kind for a in areas}
    wanted = {
        ZoneKind.LOBBY: ("loitering", rules.loitering_s),
        ZoneKind.RESTRICTED: ("restricted_area", rules.restricted_s),
    }
    for visit in visits:
        if kinds[visit.zone] in wanted:
            rule, limit = wanted[kinds[visit.zone]]
            if visit.dwell_s > limit:
                what = f"stays {visit.dwell_s:.1f} s, more than {limit:g} s"
                yield _say(rule, visit.zone, [visit.person], visit.entered_s + limit, visit.left_s, what)


def _there(actor: Actor) -> Bool:
    """At 100 Hz: is the actor in the scene."""
    there = np.zeros(len(actor.x), bool)
    there[actor.sample(actor.from_s) : actor.sample(actor.to_s) + 1] = True
    return there


def _inside(area: Area, actor: Actor) -> Bool:
    """At 100 Hz: is the actor there and in the area."""
    there = _there(actor)
    x0, y0 = np.min(area.floor, 0)
    x1, y1 = np.max(area.floor, 0)
    near: Bool = there & (actor.x >= x0) & (actor.x <= x1) & (actor.y >= y0) & (actor.y <= y1)
    for i in np.flatnonzero(near):
        near[i] = contains(area.floor, float(actor.x[i]), float(actor.y[i]))
    return near


def _crowding(rules: RulesTable, areas: Sequence[Area], actors: Sequence[Actor]) -> Iterator[Expected]:
    for area in areas:
        if area.kind is ZoneKind.LOBBY and len(actors) > rules.crowding_persons:
            count = np.sum([_inside(area, a) for a in actors], axis=0)
            for start, end in _stretches(count > rules.crowding_persons, RATE_HZ, grace_s=_GRACE_S):
                if end - start > rules.crowding_s:
                    most = int(count[int(start * RATE_HZ) : int(end * RATE_HZ)].max())
                    what = f"{most} persons, more than {rules.crowding_persons}"
                    yield _say("crowding", area.name, [], start + rules.crowding_s, end, what)


def _revisits(rules: RulesTable, areas: Sequence[Area], visits: Sequence[Visit]) -> Iterator[Expected]:
    for area in areas:
        if area.kind is not ZoneKind.LOBBY:
            continue
        for person in sorted({v.person for v in visits}):
            entries = [v for v in visits if v.person == person and v.zone == area.name]
            if len(entries) >= rules.revisit_entries:
                last = entries[rules.revisit_entries - 1]
                if last.entered_s - entries[0].entered_s <= rules.revisit_window_s:
                    what = f"enters for the {rules.revisit_entries}th time"
                    yield _say("loitering", area.name, [person], last.entered_s, last.left_s, what)


def _close_behind(rules: RulesTable, areas: Sequence[Area], actors: Sequence[Actor]) -> Iterator[Expected]:
    """Two who stand within arm's reach, one of them at the machine, whatever their hands do there."""
    standing = [_there(a) & (a.speed_m_s < _WALKING_M_S) & (np.array(a.action) != "lie") for a in actors]
    for area in areas:
        if area.kind is not ZoneKind.MACHINE:
            continue
        at_machine = [s & _inside(area, a) for s, a in zip(standing, actors, strict=True)]
        pairs = {
            (one.person_id, other.person_id): (at_machine[i] & standing[k] | at_machine[k] & standing[i])
            & (np.hypot(one.x - other.x, one.y - other.y) < rules.close_behind_m)
            for i, one in enumerate(actors)
            for k, other in enumerate(actors)
            if i < k
        }
        if not pairs:
            continue
        for start, end in _stretches(np.any(list(pairs.values()), axis=0), RATE_HZ, grace_s=0.5):
            if end - start > rules.close_behind_s:
                during = slice(int(start * RATE_HZ), int(end * RATE_HZ))
                who = sorted({p for both, holds in pairs.items() if holds[during].any() for p in both})
                what = f"a second person within {rules.close_behind_m:g} m of the one at the machine"
                yield _say("crowding", area.name, who, start + rules.close_behind_s, end, what)


def _doing(rules: RulesTable, areas: Sequence[Area], actors: Sequence[Actor]) -> Iterator[Expected]:
    zone = next((a.name for a in areas if a.kind is ZoneKind.LOBBY), "")
    for action, rule, limit in (
        ("lie", "person_down", rules.person_down_s),
        ("struggle", "assault", rules.struggle_s),
        ("pry", "machine_tampering", rules.prying_s),
        ("snatch", "assault", 0.0),
    ):
        curves = [(a.person_id, np.array([x == action for x in a.action])) for a in actors]
        holds = np.any([c for _, c in curves], axis=0) if curves else np.zeros(1, bool)
        for start, end in _stretches(holds, RATE_HZ, grace_s=_GRACE_S):
            if end - start > limit:
                who = [p for p, c in curves if c[int(start * RATE_HZ) : int(end * RATE_HZ)].any()]
                yield _say(rule, zone, who, start + limit, end, f"{action} for {end - start:.1f} s")


def _objects(rules: RulesTable, frames: Sequence[FrameTruth], fps: float) -> Iterator[Expected]:
    labels = {h.label for h in HELD.values()} & set(WEAPON_LABELS) | set(WORN.values())
    for label in sorted(labels):
        holds = np.array([any(o.label == label and o.visibility > 0.35 for o in f.objects) for f in frames], bool)
        for start, end in _stretches(holds, fps, grace_s=_GRACE_S):
            if end - start > rules.object_s:
                who = sorted({o.person for f in frames if start <= f.t_s < end for o in f.objects if o.label == label})
                yield _say(label, "", who, start + rules.object_s, end, f"a {label.replace('_', ' ')} in sight")


def _closed(rules: RulesTable, areas: Sequence[Area], visits: Sequence[Visit]) -> Iterator[Expected]:
    if rules.closed:
        names = {a.name for a in areas if a.kind is ZoneKind.LOBBY}
        for visit in visits:
            if visit.zone in names:
                yield _say(
                    "closed_hours", visit.zone, [visit.person], visit.entered_s, visit.left_s, "a person while closed"
                )


def _tamper(rules: RulesTable, faults: Sequence[FaultTable], seconds: float) -> Iterator[Expected]:
    for fault in faults:
        end = min(fault.to_s, seconds)
        if end - fault.from_s > rules.tamper_s:
            closes = None if fault.to_s >= seconds else fault.to_s
            yield _say("camera_tamper", "", [], fault.from_s + rules.tamper_s, closes, f"the camera is {fault.kind}")
