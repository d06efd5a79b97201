from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.alerts.identity import alert_id, is_valid_id, message_id, opening_alert_id
from edge.alerts.schedule import Backoff, remaining_s
from edge.types import Severity

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@given(st.integers(0, 10_000))
def test_delays_start_at_5_to_15_s_double_and_stay_below_300_s(seed: int) -> None:
    rng, backoff, delays = random.Random(seed), Backoff(), []
    for _ in range(12):
        delays.append(backoff.next_s(delays[-1] if delays else 0.0, rng))
    assert 5 <= delays[0] <= 15
    assert all(1.5 * a <= b <= 2.5 * a for a, b in pairwise(delays) if b < 300)
    assert delays[-1] == 300
    assert 2880 <= backoff.refused(rng) <= 4320


def test_kiosks_do_not_call_at_the_same_second() -> None:
    firsts = {round(Backoff().next_s(0, random.Random(seed)), 3) for seed in range(50)}
    assert len(firsts) > 45


@pytest.mark.parametrize(
    ("jump_s", "left_s"),
    [(0, 40), (39, 1), (41, 0), (10 * 365 * 86400, 0), (-30 * 365 * 86400, 60)],
)
def test_after_a_reboot_a_delay_is_never_longer_than_it_was(jump_s: float, left_s: float) -> None:
    left = remaining_s(next_utc=NOW + timedelta(seconds=40), delay_s=60, now_utc=NOW + timedelta(seconds=jump_s))
    assert left == left_s


def test_names_follow_from_the_incident_alone() -> None:
    assert alert_id("i-1", "opened", Severity.LOW) == alert_id("i-1", "opened", Severity.CRITICAL) == "i-1.opened"
    assert alert_id("i-1", "opened", Severity.LOW) == opening_alert_id("i-1")
    # An incident may escalate twice.
    assert alert_id("i-1", "escalated", Severity.HIGH) != alert_id("i-1", "escalated", Severity.CRITICAL)


@given(st.text(min_size=1, max_size=50))
def test_no_name_breaks_out_of_a_message_id(incident: str) -> None:
    name = alert_id(incident, "opened", Severity.LOW)
    assert is_valid_id(name)
    assert message_id(name, "bank.example") == f"<{name}@bank.example>"


@pytest.mark.parametrize("bad", ["", "a b", "a\nb", "a>b", "ä", "x" * 201])
def test_other_names_are_not_valid(bad: str) -> None:
    assert not is_valid_id(bad)
