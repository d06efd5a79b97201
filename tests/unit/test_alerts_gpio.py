from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from fakes.alarms import make_incident
from gpiozero.pins.mock import MockFactory, MockPin

from edge.alerts.gpio import GpioIndicator, NoIndicator, OutputSpec
from edge.alerts.pins import find_header_chip, open_pin_factory, outputs_outlive_us
from edge.app.build_local import light
from edge.clock import SystemClock
from edge.errors import IndicatorError
from edge.health.interface import Status
from edge.types import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.types import Incident

SIREN, LAMP, LIGHT = 17, 27, 22


@pytest.fixture
def factory() -> Iterator[Any]:
    factory = open_pin_factory("mock")
    yield factory
    factory.reset()


def high(factory: Any, pin: int) -> bool:
    return bool(factory.pin(pin).state)


def test_critical_is_silent_by_default_and_high_is_loud(factory: Any) -> None:
    box = GpioIndicator({"siren": OutputSpec(SIREN)}, pin_factory=factory)
    box.show([make_incident(severity=Severity.CRITICAL)], now_s=1000)
    assert not high(factory, SIREN)
    box.show([make_incident(severity=Severity.HIGH)], now_s=1001)
    assert high(factory, SIREN)
    box.show([], now_s=1002)
    assert not high(factory, SIREN)


def test_rules_choose_among_the_severities(factory: Any) -> None:
    spec = OutputSpec(LAMP, severities=frozenset({Severity.LOW, Severity.HIGH}), rules=frozenset({"crowding"}))
    box = GpioIndicator({"lamp": spec}, pin_factory=factory)
    for rule, severity, on in (
        ("crowding", Severity.LOW, True),
        ("loitering", Severity.LOW, False),
        ("crowding", Severity.CRITICAL, False),
    ):
        box.show([make_incident(rule=rule, severity=severity)], now_s=1000)
        assert box.levels() == {"lamp": on}


def test_a_relay_that_is_active_low_is_off_while_nothing_is_wrong(factory: Any) -> None:
    box = GpioIndicator({"siren": OutputSpec(SIREN, active_high=False)}, pin_factory=factory)
    assert high(factory, SIREN)
    box.show([make_incident()], now_s=1000)
    assert not high(factory, SIREN)
    assert box.levels() == {"siren": True}


def test_sounding_ends_per_incident_and_a_new_one_sounds_again(factory: Any) -> None:
    box = GpioIndicator({"siren": OutputSpec(SIREN, max_on_s=10)}, pin_factory=factory)
    first, second = make_incident("a", opened_s=1000), make_incident("b", opened_s=1020)
    on = []
    for now_s, incidents in (
        (1000, [first]),
        (1009.9, [first]),
        (1010, [first]),
        (1020, [first, second]),
        (1030, [first, second]),
    ):
        box.show(incidents, now_s=now_s)
        on.append(high(factory, SIREN))
    assert on == [True, True, False, True, False]


def test_after_a_restart_an_old_incident_does_not_sound_again(factory: Any) -> None:
    spec = {"siren": OutputSpec(SIREN, max_on_s=10)}
    old = make_incident("a", opened_s=1000)
    box = GpioIndicator(spec, pin_factory=factory)
    box.show([old], now_s=1060)
    assert not high(factory, SIREN)


def test_an_incident_that_escalates_into_an_output_sounds_from_then_on(factory: Any) -> None:
    box = GpioIndicator({"siren": OutputSpec(SIREN, max_on_s=10)}, pin_factory=factory)
    low = make_incident("a", severity=Severity.LOW, opened_s=1000)
    box.show([low], now_s=1000)
    box.show([replace(low, severity=Severity.HIGH)], now_s=1060)
    assert high(factory, SIREN)
    box.show([replace(low, severity=Severity.HIGH)], now_s=1069.9)
    assert high(factory, SIREN)
    box.show([replace(low, severity=Severity.HIGH)], now_s=1070)
    assert not high(factory, SIREN)


def test_beeping_follows_time_and_counts_as_on_all_along(factory: Any) -> None:
    changes: list[tuple[str, bool]] = []
    box = GpioIndicator(
        {"buzzer": OutputSpec(SIREN, pattern="beep", on_s=0.2, off_s=0.8)},
        pin_factory=factory,
        on_change=lambda name, on: changes.append((name, on)),
    )
    levels = []
    for tenth in range(20):
        box.show([make_incident()], now_s=1000 + tenth / 10 + 0.01)
        levels.append(high(factory, SIREN))
        assert box.levels() == {"buzzer": True}
    assert levels == ([True] * 2 + [False] * 8) * 2
    box.show([], now_s=1010)
    assert changes == [("buzzer", True), ("buzzer", False)]


def test_the_status_light_has_a_pattern_per_state_and_no_incident_moves_it(factory: Any) -> None:
    box = GpioIndicator({"light": OutputSpec(LIGHT, role="status")}, pin_factory=factory)
    seen = {}
    for status in ("booting", "healthy", "maintenance", "fault", "off"):
        box.set_status(status)
        samples = []
        for step in range(40):
            box.show([make_incident()], now_s=1000 + step * 0.05)
            samples.append(high(factory, LIGHT))
        seen[status] = tuple(samples)
    assert len(set(seen.values())) == 5
    assert all(seen["healthy"])
    assert not any(seen["off"])


@pytest.mark.parametrize(
    ("status", "maintenance", "pattern"),
    [
        (Status.PASS, False, "healthy"),
        (Status.WARN, True, "maintenance"),
        (Status.PASS, True, "maintenance"),
        (Status.FAIL, True, "fault"),
    ],
)
def test_the_status_light_shows_maintenance(status: Status, maintenance: bool, pattern: str) -> None:
    assert light(status, maintenance=maintenance) == pattern


def test_closing_switches_off_and_gives_the_pins_back(factory: Any) -> None:
    changes: list[tuple[str, bool]] = []
    box = GpioIndicator({"siren": OutputSpec(SIREN)}, pin_factory=factory, on_change=lambda *c: changes.append(c))
    box.show([make_incident()], now_s=1000)
    box.close()
    box.close()
    box.show([make_incident()], now_s=1001)
    assert not high(factory, SIREN)
    assert changes == [("siren", True), ("siren", False)]
    GpioIndicator({"siren": OutputSpec(SIREN)}, pin_factory=factory).close()


def test_a_pin_that_is_taken_or_unknown_is_named(factory: Any) -> None:
    taken = GpioIndicator({"siren": OutputSpec(SIREN)}, pin_factory=factory)
    with pytest.raises(IndicatorError, match=r"lamp.*GPIO17") as error:
        GpioIndicator({"light": OutputSpec(LIGHT), "lamp": OutputSpec(SIREN)}, pin_factory=factory)
    assert "group gpio" in error.value.hint
    # What it had opened before the failure is given back.
    GpioIndicator({"light": OutputSpec(LIGHT)}, pin_factory=factory).close()
    taken.close()
    with pytest.raises(IndicatorError, match="GPIO99"):
        GpioIndicator({"siren": OutputSpec(99)}, pin_factory=factory)


class BrokenPin(MockPin):  # type: ignore[misc]  # gpiozero is untyped
    """A pin whose line fails when it is switched on."""

    def _set_state(self, value: Any) -> None:
        if value:
            raise OSError(5, "Input/output error")
        super()._set_state(value)


def test_a_line_that_fails_is_named_and_does_not_stop_the_others() -> None:
    factory = MockFactory(revision="c03114", pin_class=MockPin)
    factory.pin(SIREN, pin_class=BrokenPin)
    box = GpioIndicator({"siren": OutputSpec(SIREN), "lamp": OutputSpec(LAMP)}, pin_factory=factory)
    with pytest.raises(IndicatorError, match=r"siren.*GPIO17"):
        box.show([make_incident()], now_s=1000)
    assert high(factory, LAMP)
    assert box.levels() == {"siren": False, "lamp": True}
    box.close()
    assert not high(factory, LAMP)


class WornPin(MockPin):  # type: ignore[misc]  # gpiozero is untyped
    """A pin whose line fails from some moment on."""

    worn = False

    def _set_state(self, value: Any) -> None:
        if self.worn:
            raise OSError(5, "Input/output error")
        super()._set_state(value)


def test_a_light_that_fails_for_good_does_not_hold_up_the_siren_nor_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    factory, clock = MockFactory(revision="c03114", pin_class=MockPin), SystemClock()
    light = factory.pin(LIGHT, pin_class=WornPin)
    specs = {"light": OutputSpec(LIGHT, role="status"), "siren": OutputSpec(SIREN)}
    box = GpioIndicator(specs, pin_factory=factory, clock=clock)
    incident = make_incident(opened_s=clock.monotonic_s())
    light.worn = True
    box.set_status("fault")  # blinks: its thread meets with the fault at every beat

    def show(*incidents: Incident) -> None:
        with pytest.raises(IndicatorError, match=r"light.*GPIO22"):
            box.show(incidents, now_s=clock.monotonic_s())

    until_s = clock.monotonic_s() + 5
    while not caplog.records and clock.monotonic_s() < until_s:
        time.sleep(0.01)
    time.sleep(0.3)  # a fault lasts also while the rhythm asks for nothing new
    for _ in range(3):
        time.sleep(0.12)
        show(incident)
        assert high(factory, SIREN)
    time.sleep(0.12)
    show()
    assert not high(factory, SIREN)
    assert [r.message for r in caplog.records if "light" in r.message and r.levelname == "ERROR"] == [
        "output light (pin GPIO22) cannot be switched: [Errno 5] Input/output error"
    ]
    light.worn = False
    time.sleep(0.5)
    box.show([incident], now_s=clock.monotonic_s())
    box.close()


def test_an_output_that_cannot_be_switched_at_the_start_leaves_no_pin_taken() -> None:
    factory, clock = MockFactory(revision="c03114", pin_class=MockPin), SystemClock()
    light = factory.pin(LIGHT, pin_class=BrokenPin)
    specs = {"siren": OutputSpec(SIREN), "light": OutputSpec(LIGHT, role="status")}
    with pytest.raises(IndicatorError, match=r"light.*GPIO22"):
        GpioIndicator(specs, pin_factory=factory, clock=clock)
    assert light.state == 0
    GpioIndicator({"siren": OutputSpec(SIREN)}, pin_factory=factory).close()  # it can be tried again


def test_with_a_clock_sounding_ends_even_when_nobody_calls_again(factory: Any) -> None:
    ended = threading.Event()
    clock = SystemClock()
    box = GpioIndicator(
        {"siren": OutputSpec(SIREN, max_on_s=0.15)},
        pin_factory=factory,
        clock=clock,
        on_change=lambda _, on: None if on else ended.set(),
    )
    now_s = clock.monotonic_s()
    box.show([make_incident(opened_s=now_s)], now_s=now_s)
    assert high(factory, SIREN)
    assert ended.wait(5)
    assert not high(factory, SIREN)
    box.close()
    assert not any(t.name == "indicator" for t in threading.enumerate())


def test_no_indicator_has_no_outputs() -> None:
    box = NoIndicator()
    box.show([make_incident()], now_s=1)
    box.set_status("fault")
    assert box.levels() == {}
    box.close()


def test_there_is_no_fallback_without_the_driver_or_the_chip(tmp_path: Path) -> None:
    with pytest.raises(IndicatorError) as error:
        open_pin_factory("gpiozero", dev=tmp_path)
    assert "lgpio" in error.value.message or "no GPIO chip" in error.value.message
    assert error.value.hint


def test_a_machine_without_the_header_says_what_it_found(tmp_path: Path) -> None:
    with pytest.raises(IndicatorError, match="none at all"):
        find_header_chip(tmp_path)
    (tmp_path / "gpiochip0").touch()  # no GPIO chip answers here
    with pytest.raises(IndicatorError, match="no GPIO chip"):
        find_header_chip(tmp_path)


def test_the_mock_does_not_listen_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_MOCK_REVISION", "nonsense")
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "nonsense")
    assert isinstance(open_pin_factory("mock"), MockFactory)


@pytest.mark.parametrize(("text", "keeps"), [("Y", True), ("N", False), (None, False)])
def test_a_kernel_that_keeps_outputs_after_a_crash_is_noticed(tmp_path: Path, text: str | None, keeps: bool) -> None:
    if text:
        file = tmp_path / "pinctrl_rp1" / "parameters" / "persist_gpio_outputs"
        file.parent.mkdir(parents=True)
        file.write_text(f"{text}\n")
    assert outputs_outlive_us(tmp_path) is keeps
