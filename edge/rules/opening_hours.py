"""When the lobby is open: a week of opening times, holidays, the site's own time zone."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import tzinfo

MINUTES_A_DAY = 24 * 60
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")

Span = tuple[int, int]
"""Minutes after midnight, from (inclusive) to (exclusive). Beyond 24 h: on the following day."""


def parse_span(text: str) -> Span:
    """Opening hours of a day: "08:00-18:00", "00:00-24:00", or past midnight "20:00-02:00".

    :raises ValueError: anything else; the message says what is allowed.
    """
    match = _SPAN.fullmatch(text)
    start, end = (int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])) if match else (0, 0)
    if not match or end > MINUTES_A_DAY or start == end:
        raise ValueError('from-to as "08:00-18:00", at most to "24:00" (an end before the start is on the next day)')
    return (start, end if end > start else end + MINUTES_A_DAY)


def parse_holiday(text: str) -> tuple[int, int, int]:
    """A holiday: "2026-04-03", or "12-25" for every year; returns (year, month, day), year 0: every year.

    :raises ValueError: anything else; the message says what is allowed.
    """
    parts = text.split("-")
    try:
        if len(parts) == 2 and re.fullmatch(r"\d\d-\d\d", text):
            date(2024, int(parts[0]), int(parts[1]))  # a leap year: 29 February is a day
            return (0, int(parts[0]), int(parts[1]))
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = date.fromisoformat(text)
            return (day.year, day.month, day.day)
    except ValueError:
        pass
    raise ValueError('a date as "2026-04-03", or "12-25" for every year')


class OpeningHours:
    """Whether the lobby is open at a moment. Wall-clock times of the site: the clock change moves nothing.

    :param week: Monday to Sunday, each day's spans; a span past midnight belongs to the day on which it begins.
    :param holidays: as from :func:`parse_holiday`; on these ``holiday_spans`` hold instead of the week's.
    """

    def __init__(
        self,
        *,
        week: Sequence[Sequence[Span]],
        timezone: tzinfo,
        holidays: Collection[tuple[int, int, int]] = (),
        holiday_spans: Sequence[Span] = (),
    ) -> None:
        if len(week) != 7:
            raise ValueError(f"a week has 7 days, not {len(week)}")
        self._week = tuple(tuple(day) for day in week)
        self._timezone = timezone
        self._holidays = frozenset(holidays)
        self._holiday_spans = tuple(holiday_spans)

    @property
    def always(self) -> bool:
        """Open round the clock, every day of the year."""
        spans = [*self._week, *([self._holiday_spans] if self._holidays else [])]
        return all(_covers_a_day(day) for day in spans)

    def open_at(self, utc: datetime) -> bool:
        """Whether it is open at that moment (timezone-aware)."""
        local = utc.astimezone(self._timezone)
        minute = local.hour * 60 + local.minute
        today = local.date()
        return any(a <= minute < b for a, b in self._spans(today)) or any(
            a <= minute + MINUTES_A_DAY < b for a, b in self._spans(today - timedelta(days=1))
        )

    def closed_throughout(self, utc: datetime, *, margin_s: float) -> bool:
        """Whether it is closed at that moment and for ``margin_s`` before and after it, as judged minute by minute."""
        whole, rest = divmod(margin_s, 60)
        offsets = [60.0 * k for k in range(-int(whole), int(whole) + 1)] + ([-margin_s, margin_s] if rest else [])
        return not any(self.open_at(utc + timedelta(seconds=s)) for s in offsets)

    def _spans(self, day: date) -> tuple[Span, ...]:
        if (0, day.month, day.day) in self._holidays or (day.year, day.month, day.day) in self._holidays:
            return self._holiday_spans
        return self._week[day.weekday()]


def _covers_a_day(spans: Sequence[Span]) -> bool:
    reached = 0
    for start, end in sorted(spans):
        if start > reached:
            return False
        reached = max(reached, end)
    return reached >= MINUTES_A_DAY
