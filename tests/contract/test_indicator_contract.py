"""What edge.alerts.interface.Indicator promises, for every implementation."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest
from fakes.alarms import make_incident
from fakes.indicators import FakeIndicator

from edge.alerts.gpio import GpioIndicator, NoIndicator, OutputSpec
from edge.alerts.interface import Indicator
from edge.alerts.pins import open_pin_factory
from edge.types import Severity

if TYPE_CHECKING:
    from collections.abc import Callable


def gpio() -> Indicator:
    outputs = {
        "siren": OutputSpec(17, max_on_s=30),
        "lamp": OutputSpec(27, pattern="blink", severities=frozenset(Severity)),
        "relay": OutputSpec(22, active_high=False, rules=frozenset({"knife"})),
    }
    return GpioIndicator(outputs, pin_factory=open_pin_factory("mock"))


@pytest.fixture(params=[gpio, NoIndicator, FakeIndicator])
def make(request: pytest.FixtureRequest) -> Callable[[], Indicator]:
    maker: Callable[[], Indicator] = request.param
    return maker


INCIDENTS = [
    make_incident("a", severity=Severity.HIGH, opened_s=1000),
    make_incident("b", severity=Severity.CRITICAL, rule="knife", opened_s=1001),
]


def test_it_has_the_methods_of_the_interface(make: Callable[[], Indicator]) -> None:
    for name in ("show", "levels", "close"):
        wanted = list(inspect.signature(getattr(Indicator, name)).parameters)[1:]
        assert list(inspect.signature(getattr(make(), name)).parameters) == wanted


def test_nothing_is_on_before_anything_is_open(make: Callable[[], Indicator]) -> None:
    assert not any(make().levels().values())


def test_outputs_follow_from_what_is_open_now_alone(make: Callable[[], Indicator]) -> None:
    box = make()
    box.show(INCIDENTS, now_s=1002)
    both = box.levels()
    for _ in range(3):
        box.show(INCIDENTS, now_s=1002)
        assert box.levels() == both
    box.show(list(reversed(INCIDENTS)), now_s=1002)
    assert box.levels() == both
    box.show([], now_s=1003)
    assert not any(box.levels().values())


def test_a_restart_recomputes_the_same_outputs(make: Callable[[], Indicator]) -> None:
    before = make()
    for now_s in (1002, 1010, 1020):
        before.show(INCIDENTS, now_s=now_s)
    after = make()
    after.show(INCIDENTS, now_s=1020)
    assert after.levels() == before.levels()


def test_the_names_of_the_outputs_do_not_change(make: Callable[[], Indicator]) -> None:
    box = make()
    names = set(box.levels())
    box.show(INCIDENTS, now_s=1002)
    assert set(box.levels()) == names
    box.close()
    assert set(box.levels()) == names


def test_closing_leaves_every_output_off_for_good(make: Callable[[], Indicator]) -> None:
    box = make()
    box.show(INCIDENTS, now_s=1002)
    box.close()
    box.close()
    assert not any(box.levels().values())
    box.show(INCIDENTS, now_s=1003)
    assert not any(box.levels().values())
