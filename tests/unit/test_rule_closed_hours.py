"""Opening hours: weeks, nights, holidays, clock changes, and a clock that nobody set."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from fakes.scenes import PERSON, Thing, scene
from hypothesis import given
from hypothesis import strategies as st

from edge.rules.closed_hours import CLOCK_UNKNOWN, ClosedHours
from edge.rules.opening_hours import OpeningHours, parse_holiday, parse_span
from edge.types import Observation, Withheld

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = [["08:00-18:00"]] * 5 + [["09:00-12:00", "13:00-14:30"], []]


def hours(week: list[list[str]], holidays: tuple[str, ...] = (), on_holidays: tuple[str, ...] = ()) -> OpeningHours:
    return OpeningHours(
        week=[[parse_span(s) for s in day] for day in week],
        timezone=BERLIN,
        holidays=[parse_holiday(h) for h in holidays],
        holiday_spans=[parse_span(s) for s in on_holidays],
    )


def local(text: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(timezone.utc)


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-03-02 07:59:59", False),  # a Monday
        ("2026-03-02 08:00:00", True),
        ("2026-03-02 17:59:59", True),
        ("2026-03-02 18:00:00", False),
        ("2026-03-07 12:30", False),  # Saturday, between two spans
        ("2026-03-07 14:29", True),
        ("2026-03-08 12:00", False),  # Sunday
        ("2026-07-06 08:00", True),  # in summer the same by the clock on the wall
        ("2026-07-06 07:59", False),
    ],
)
def test_a_week_in_local_time(when: str, is_open: bool) -> None:
    assert hours(OFFICE).open_at(local(when)) is is_open


@pytest.mark.parametrize(
    ("when", "fold", "is_open"),
    [
        ("2026-03-29 01:59", 0, False),  # the hour from 2 to 3 does not exist on this day
        ("2026-03-29 03:00", 0, True),
        ("2026-10-25 02:30", 0, True),  # this one comes twice
        ("2026-10-25 02:30", 1, True),
        ("2026-10-25 04:00", 0, False),
    ],
)
def test_the_change_of_the_clock(when: str, fold: int, is_open: bool) -> None:
    assert hours([["02:00-04:00"]] * 7).open_at(local(when, fold=fold)) is is_open


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    night = hours([[], [], [], [], ["20:00-02:00"], [], []])  # Friday
    assert not night.open_at(local("2026-03-06 19:59"))
    assert night.open_at(local("2026-03-06 23:00"))
    assert night.open_at(local("2026-03-07 01:59"))
    assert not night.open_at(local("2026-03-07 02:00"))
    assert not night.open_at(local("2026-03-06 01:00"))


def test_holidays_of_one_year_and_of_every_year() -> None:
    closed = hours(OFFICE, ("2026-04-03", "12-25"))
    assert not closed.open_at(local("2026-04-03 10:00"))
    assert closed.open_at(local("2028-04-03 10:00"))
    assert not closed.open_at(local("2026-12-25 10:00"))
    assert not closed.open_at(local("2028-12-25 10:00"))
    assert hours(OFFICE, ("12-25",), ("10:00-11:00",)).open_at(local("2026-12-25 10:30"))


def test_open_round_the_clock() -> None:
    assert hours([["00:00-24:00"]] * 7).always
    assert hours([["00:00-12:00", "12:00-24:00"]] * 7).always
    assert not hours(OFFICE).always
    assert not hours([["00:00-24:00"]] * 7, ("12-25",)).always


@pytest.mark.parametrize("text", ["8-18", "08:00-24:01", "25:00-26:00", "08:00-08:00", "08:00", "08:60-09:00", ""])
def test_spans_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="08:00-18:00"):
        parse_span(text)


@pytest.mark.parametrize("text", ["2026-2-3", "13-01", "2026-02-30", "02-30", "christmas", ""])
def test_holidays_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="every year"):
        parse_holiday(text)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), st.integers(0, 3600))  # noqa: DTZ001 - made UTC below
def test_the_margin_only_ever_shortens_the_closed_time(when: datetime, margin_s: int) -> None:
    utc, week = when.replace(tzinfo=timezone.utc), hours(OFFICE)
    closed = week.closed_throughout(utc, margin_s=margin_s)
    around = [utc + timedelta(seconds=s) for s in (-margin_s, 0, margin_s)]
    assert not closed or not any(week.open_at(t) for t in around)
    assert week.closed_throughout(utc, margin_s=0) is not week.open_at(utc)


def rule(week: list[list[str]] | None = None, **kwargs: float) -> ClosedHours:
    limits = {"dwell_s": 3.0, "margin_s": 0.0, **kwargs}
    return ClosedHours(person_classes={PERSON}, hours=hours(week or OFFICE), **limits)


def stay(
    closed: ClosedHours, since: datetime, seconds: int = 10, *, synced: bool = True, from_s: float = 0.0
) -> list[tuple[float, Observation | Withheld]]:
    said = []
    for k in range(seconds * 5):
        t = k * 0.2
        now = scene(from_s + t, Thing(1), t_utc=since + timedelta(seconds=t), clock_synced=synced)
        said += [(t, o) for o in closed.update(now)]
    return said


def test_a_person_out_of_hours_is_told_after_some_seconds() -> None:
    said = stay(rule(), local("2026-03-08 03:00"))
    assert said[0][0] == pytest.approx(3.2)
    assert isinstance(said[0][1], Observation)
    assert said[0][1].zone == "picture"


def test_nobody_is_out_of_hours_while_it_is_open_or_nearly_so() -> None:
    assert stay(rule(), local("2026-03-02 10:00")) == []
    assert stay(rule(margin_s=300), local("2026-03-02 18:04")) == []
    assert stay(rule(margin_s=300), local("2026-03-02 07:55:30")) == []
    assert stay(rule(margin_s=300), local("2026-03-02 18:05:30")) != []


def test_whoever_is_still_inside_at_closing_time_is_told_then() -> None:
    said = stay(rule(), local("2026-03-02 17:59:55"))
    assert said[0][0] == pytest.approx(5.0)


def test_while_nobody_knows_the_time_it_is_silent_and_says_why() -> None:
    said = stay(rule(), local("2026-03-02 10:00"), synced=False)
    assert said
    assert all(isinstance(o, Withheld) and o.reason == CLOCK_UNKNOWN for _, o in said)


def test_open_round_the_clock_needs_no_clock() -> None:
    assert stay(rule([["00:00-24:00"]] * 7), local("2026-03-08 03:00"), synced=False) == []


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_jumps_by_a_day_changes_no_dwell(days: int) -> None:
    """Daily hours, so that the answer is the same on both days; the stay is measured in monotonic time."""
    closed = rule([["08:00-18:00"]] * 7)
    before = stay(closed, local("2026-03-03 03:00"), 2)
    after = stay(closed, local("2026-03-03 03:00:02") + timedelta(days=days), 8, from_s=2.0)
    assert before == []
    assert after[0][0] == pytest.approx(1.2)
    assert [o.value for _, o in after if isinstance(o, Observation)] == pytest.approx(
        [2 + t for t, _ in after], abs=0.01
    )
