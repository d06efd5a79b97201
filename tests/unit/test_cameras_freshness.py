"""Which frames are fresh, and a file's times, as arithmetic."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras.freshness import BurstFilter, RateLimit, Timeline


def judged(arrivals: list[float], fps: float = 10.0) -> list[bool]:
    burst = BurstFilter(fps)
    return [burst.fresh(t) for t in arrivals]


def test_buffered_frames_after_opening_are_stale_until_two_had_to_be_waited_for() -> None:
    buffered = [0.0, 0.002, 0.004, 0.006, 0.008]
    live = [0.1, 0.2, 0.3]
    assert judged(buffered + live) == [False] * 6 + [True] * 2


def test_a_hiccup_within_the_burst_does_not_end_it() -> None:
    buffered = [0.0, 0.002, 0.062, 0.064, 0.066]
    assert judged([*buffered, 0.2, 0.3]) == [False] * 6 + [True]


def test_a_stream_without_a_burst_costs_two_frames() -> None:
    assert judged([0.0, 0.1, 0.2, 0.3]) == [False, False, True, True]


def test_what_piled_up_during_a_pause_is_stale() -> None:
    flowing = [i / 10 for i in range(20)]
    thawed = [5.0, 5.001, 5.002, 5.003]
    assert judged([*flowing, *thawed, 5.1, 5.2, 5.3])[20:] == [False] * 5 + [True] * 2


def test_jitter_drops_nothing() -> None:
    arrivals = [i / 10 + (0.04 if i % 2 else 0.0) for i in range(100)]
    assert sum(not fresh for fresh in judged(arrivals)) == 2


@pytest.mark.parametrize("fps", [0.0, -1.0, 90000.0, math.nan, math.inf])
def test_a_nonsensical_rate_does_no_harm(fps: float) -> None:
    assert all(judged([i / 10 for i in range(50)], fps)[2:])


def test_a_source_that_is_always_fast_is_believed_in_the_end() -> None:
    verdicts = judged([i / 1000 for i in range(8000)])
    assert not any(verdicts[:4999])
    assert all(verdicts[5001:])


def test_a_slow_camera_is_no_pause() -> None:
    burst = BurstFilter(10.0)
    verdicts = [burst.fresh(float(t)) for t in range(0, 60, 1)]
    assert sum(not v for v in verdicts) <= 3


@pytest.mark.parametrize(("rate", "wanted"), [(25.0, 5.0), (30.0, 10.0), (10.0, 10.0), (15.0, 2.0), (10.0, 25.0)])
def test_thinned_to_the_wanted_rate(rate: float, wanted: float) -> None:
    limit = RateLimit(wanted)
    passed = sum(limit.due(i / rate) for i in range(int(rate * 20)))
    assert passed / 20 == pytest.approx(min(rate, wanted), rel=0.06)


def test_no_limit_passes_all_and_a_pause_causes_no_burst() -> None:
    assert all(RateLimit(None).due(t / 100) for t in range(50))
    limit = RateLimit(5.0)
    assert limit.due(0.0)
    assert [limit.due(10.0 + i / 25) for i in range(5)] == [True, False, False, False, False]


def test_good_times_are_kept() -> None:
    timeline = Timeline(0.1)
    assert [timeline.place(t) for t in (0.0, 0.1, 0.25, 0.9, 5.0)] == [0.0, 0.1, 0.25, 0.9, 5.0]


def test_a_restart_of_the_times_goes_on_where_it_was() -> None:
    timeline = Timeline(0.1)
    assert [timeline.place(t) for t in (0.0, 0.1, 0.2, 0.0, 0.1)] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_a_file_without_times_runs_at_its_stated_rate() -> None:
    timeline = Timeline(0.04)
    assert [timeline.place(-0.001) for _ in range(4)] == pytest.approx([0.0, 0.04, 0.08, 0.12])


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=2, max_size=50), st.floats(-1.0, 100.0))
def test_times_only_grow_and_stay_finite_whatever_the_file_says(claimed: list[float], interval_s: float) -> None:
    timeline = Timeline(interval_s)
    placed = [timeline.place(t) for t in claimed]
    assert all(math.isfinite(t) for t in placed)
    assert all(0.0 < b - a <= 61.0 for a, b in pairwise(placed))
