"""Incidents against the truth of a clip: found, missed, beside, false; and how sure the figures are."""

from __future__ import annotations

import math

import pytest

from export.events.score import (
    Clip,
    Event,
    Opened,
    binomial_interval,
    poisson_upper,
    quantile,
    scene_of,
    score_clip,
    total,
)

FITS = {"helmet": ["helmet"], "crowd": ["crowding"]}


def clip(name: str, events: list[Event], opened: list[Opened], length_s: float = 60.0) -> Clip:
    return Clip(name, scene_of(name), length_s, tuple(events), tuple(opened))


def test_an_event_is_found_until_three_seconds_after_its_end() -> None:
    event = Event("helmet", 10.0, 20.0)
    for t_s, fits in ((9.9, False), (10.0, True), (23.0, True), (23.1, False)):
        score = score_clip(clip("a", [event], [Opened("helmet", t_s)]), FITS)
        assert (score.found[0].rule == "helmet") == fits
        assert len(score.false) == (not fits)
        if fits:
            assert score.found[0].delay_s == pytest.approx(t_s - 10.0)


def test_the_first_fitting_incident_counts() -> None:
    score = score_clip(clip("a", [Event("helmet", 0, 30)], [Opened("helmet", 9.0), Opened("helmet", 4.0)]), FITS)
    assert score.found[0].delay_s == pytest.approx(4.0)
    assert score.beside == score.false == ()


def test_an_incident_of_another_kind_during_an_event_is_neither_found_nor_false() -> None:
    score = score_clip(clip("a", [Event("helmet", 0, 30)], [Opened("crowding", 9.0)]), FITS)
    assert not score.hit
    assert [o.rule for o in score.beside] == ["crowding"]
    assert score.false == ()


def test_before_the_onset_an_incident_is_a_false_alarm() -> None:
    score = score_clip(clip("a", [Event("helmet", 10, 30)], [Opened("helmet", 2.0), Opened("helmet", 12.0)]), FITS)
    assert score.hit
    assert [o.t_s for o in score.false] == [2.0]


def test_the_baseline_answers_every_label() -> None:
    score = score_clip(clip("a", [Event("helmet", 0, 30)], [Opened("loitering", 2.0)]), None)
    assert score.hit


def test_clips_of_one_scene_count_once() -> None:
    assert scene_of("abnormal_36a") == scene_of("abnormal_36c") == "abnormal_36"
    assert scene_of("lobby") == "lobby"
    event = Event("helmet", 0, 10)
    scores = [
        score_clip(clip("robbery_1a", [event], [Opened("helmet", 1.0), Opened("crowding", 40.0)]), FITS),
        score_clip(clip("robbery_1b", [event], [Opened("crowding", 50.0)]), FITS),
        score_clip(clip("robbery_2", [event], []), FITS),
        score_clip(clip("normal_1", [], []), FITS),
        score_clip(clip("normal_2", [], [Opened("crowding", 5.0)]), FITS),
    ]
    got = total(scores)
    assert (got.clips_with_events, got.clips_hit) == (3, 1)
    assert (got.scenes, got.scenes_hit) == (2, 1)
    assert (got.events, got.events_found) == (3, 1)
    assert (got.false_alarms, got.false_alarms_by_scene) == (3, 2)
    assert (got.normal_clips, got.normal_clips_silent) == (2, 1)
    assert got.hours == pytest.approx(5 / 60)
    assert got.false_per_hour_high == pytest.approx(7.7537 * 12, rel=1e-4)


def test_intervals_are_the_exact_ones() -> None:
    assert binomial_interval(0, 10) == pytest.approx((0.0, 0.30850), abs=1e-5)
    assert binomial_interval(10, 10) == pytest.approx((0.69150, 1.0), abs=1e-5)
    assert binomial_interval(7, 15) == pytest.approx((0.21267, 0.73414), abs=1e-5)
    assert binomial_interval(0, 0) == (0.0, 1.0)
    assert [poisson_upper(n) for n in (0, 1, 3, 10)] == pytest.approx([2.9957, 4.7439, 7.7537, 16.9622], abs=1e-4)


def test_quantiles_are_values_that_occurred() -> None:
    values = [5.0, 1.0, 3.0, 2.0]
    assert quantile(values, 0.5) == 2.0
    assert quantile(values, 0.95) == 5.0
    assert math.isnan(quantile([], 0.5))
