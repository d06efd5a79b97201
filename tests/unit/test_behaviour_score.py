"""The rule that sets thresholds, and the figures that go with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from export.behaviour.score import by_round, figures, middle, ranked, threshold


@dataclass(frozen=True)
class Made:
    """What ``export.behaviour.learn.Outcome`` holds; that module needs scikit-learn."""

    shown: float
    silent: float
    scene: int = 0
    clip: Path = Path("made.mp4")


WITH = [Made(0.9, -1, 1), Made(0.8, -1, 1), Made(0.3, 0.1, 2)]
WITHOUT = [Made(-1, 0.6, 3), Made(-1, 0.2, 4), Made(-1, -1, 5)]


def test_the_threshold_is_halfway_between_what_must_stay_silent_and_what_is_found() -> None:
    assert threshold([*WITH, *WITHOUT], allowed=0) == pytest.approx(0.7)
    assert threshold([*WITH, *WITHOUT], allowed=1) == pytest.approx(0.25)


def test_footage_of_another_kind_is_counted_apart() -> None:
    apart = [Made(-1, 0.85), Made(-1, 0.75), Made(0.95, -1)]
    assert threshold([*WITH, *WITHOUT], allowed=0, apart=apart) == pytest.approx(0.875)
    assert threshold([*WITH, *WITHOUT], allowed=0, apart=apart, allowed_apart=1) == pytest.approx(0.775)
    assert threshold([*WITH, *WITHOUT], allowed=0, apart=apart, allowed_apart=2) == pytest.approx(0.7)


def test_a_narrow_gap_is_not_rounded_away() -> None:
    close = threshold([Made(0.8537, -1), Made(-1, 0.8535)], allowed=0)
    assert 0.8535 < close <= 0.8537


def test_where_nothing_stands_out_the_threshold_stays_above_all_that_must_be_silent() -> None:
    assert threshold([Made(0.3, -1), Made(-1, 0.9)], allowed=0) == pytest.approx(0.95)
    assert threshold([Made(0.5, -1)], allowed=0) == pytest.approx(0.25)


def test_figures_count_clips_and_scenes_apart() -> None:
    told = figures([*WITH, *WITHOUT], 0.7, 3600.0)
    assert (told["clips_with"], told["clips_found"]) == (3, 2)
    assert (told["scenes_with"], told["scenes_found"]) == (2, 1)
    assert (told["clips_without"], told["clips_without_silent"], told["false_alarms"]) == (3, 3, 0)
    assert told["false_alarms_per_hour_at_most"] == pytest.approx(3.0)
    assert figures([*WITH, *WITHOUT], 0.5, 3600.0)["false_alarms"] == 1


def test_ranked_is_the_share_of_pairs_in_the_right_order() -> None:
    assert ranked([*WITH, *WITHOUT]) == pytest.approx(8 / 9)
    assert ranked([Made(0.5, -1), Made(-1, 0.5)]) == 0.5
    assert ranked([]) == 0.0


def test_of_several_rounds_each_clip_counts_with_its_median() -> None:
    rounds = [[Made(0.9, -1, 1), Made(-1, 0.2)], [Made(0.3, -1, 1), Made(-1, 0.7)], [Made(0.6, -1, 1), Made(-1, 0.1)]]
    assert middle(rounds) == [Made(0.6, -1, 1), Made(-1, 0.2)]
    assert middle(rounds[:1]) == rounds[0]


def test_how_far_rounds_differ_is_told() -> None:
    rounds = [[Made(0.9, -1), Made(-1, 0.2)], [Made(0.3, -1), Made(-1, 0.7)]]
    told = by_round(rounds, 0.5)
    assert told["clips_found_by_round"] == told["false_alarms_by_round"] == "0 to 1"
    assert told["ranked_right_by_round"] == "0.000 to 1.000"
    assert by_round(rounds[:1], 0.5) == {}
