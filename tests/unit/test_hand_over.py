from __future__ import annotations

import pytest
from fakes.alarms import make_change, make_incident, make_ref
from fakes.clocks import FakeClock

from edge.app.hand_over import AlertMaker
from edge.types import ChangeKind, Severity


@pytest.mark.parametrize(
    ("severity", "closed_from", "told"),
    [
        (Severity.LOW, Severity.HIGH, False),
        (Severity.HIGH, Severity.HIGH, True),
        (Severity.CRITICAL, Severity.HIGH, True),
        (Severity.CRITICAL, None, False),
    ],
)
def test_the_end_is_told_of_what_was_bad_enough(severity: Severity, closed_from: Severity | None, told: bool) -> None:
    make = AlertMaker("m 1", "boot-1", FakeClock(), closed_from=closed_from)
    change = make_change(make_incident(severity=severity, closed=True), ChangeKind.CLOSED)
    alert = make(change, (make_ref(),))
    assert (alert is not None) is told
    if alert is not None:
        assert (alert.kind, alert.evidence, alert.extra) == ("closed", (), (("Ended because", "over"),))
    assert make(make_change(make_incident(severity=severity)), (make_ref(),)) is not None
