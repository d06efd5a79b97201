"""Switches and buttons on gpiozero's mock pins, time moved by hand."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import jetson_gpio
from fakes.alarms import make_incident
from fakes.clocks import FakeClock

from edge.alerts.gpio import GpioIndicator, OutputSpec
from edge.alerts.incident_log import Head
from edge.alerts.inputs import GpioInputs, InputSpec
from edge.alerts.jetson import JetsonFactory, open_jetson_factory
from edge.alerts.pins import open_pin_factory
from edge.app.inputs import PANIC, TAMPER, InputActions
from edge.config import Config
from edge.errors import IndicatorError, StateError
from edge.incidents import Incidents
from edge.types import ChangeKind, Severity

PANIC_PIN, DOOR_PIN, KEY_PIN, ACK_PIN, SIREN, LAMP = 5, 6, 13, 19, 17, 27


@pytest.fixture
def pins() -> Any:
    return open_pin_factory("mock")


class Log:
    """An incident log that keeps its records, or refuses them."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.full = False

    def append(self, kind: str, data: dict[str, Any]) -> Head:
        if self.full:
            raise StateError("no space")
        assert kind == "input"
        self.records.append(data)
        return Head(1, "")


class Box:
    """Inputs, what they do, incidents and outputs, as the service composes them."""

    def __init__(self, pins: Any) -> None:
        self.pins = pins
        self.clock = FakeClock()
        self.log = Log()
        self.maintained: list[bool] = []
        ids = iter(f"inc-{i}" for i in range(100))
        self.incidents = Incidents(new_id=lambda: next(ids), close_after_s=5, cooldown_s=120)
        self.indicator = GpioIndicator(
            {
                "siren": OutputSpec(SIREN, severities=frozenset(Severity), silent_rules=frozenset({"loitering"})),
                "lamp": OutputSpec(LAMP, severities=frozenset(Severity), sounds=False),
            },
            pin_factory=pins,
        )
        self.actions = InputActions(
            incidents=self.incidents,
            indicator=self.indicator,
            maintain=self.maintained.append,
            incident_log=self.log,  # type: ignore[arg-type]
            clock=self.clock,
        )
        self.inputs = GpioInputs(
            {
                "button": InputSpec(PANIC_PIN, "panic"),
                "door": InputSpec(DOOR_PIN, "tamper", active_high=True),
                "key": InputSpec(KEY_PIN, "maintenance"),
                "ack": InputSpec(ACK_PIN, "acknowledge"),
            },
            pin_factory=pins,
            clock=self.clock,
            on_change=self.actions.changed,
        )
        self.drive(DOOR_PIN, high=False)  # a closed door closes its contact to ground

    def drive(self, pin: int, *, high: bool) -> None:
        wire = self.pins.pin(pin)
        wire.drive_high() if high else wire.drive_low()

    def press(self, pin: int, seconds: float) -> None:
        self.drive(pin, high=False)
        self.watch(seconds)
        self.drive(pin, high=True)
        self.watch(0.2)

    def watch(self, seconds: float) -> list[Any]:
        changes = []
        for _ in range(round(seconds / 0.02)):
            self.inputs.look()
            changes += self.actions.observe()
            self.indicator.show(self.incidents.open_incidents, now_s=self.clock.monotonic_s())
            self.clock.advance(0.02)
        return changes

    @property
    def open(self) -> list[tuple[str, str]]:
        return [(i.rule, i.severity.label) for i in self.incidents.open_incidents]


@pytest.fixture
def box(pins: Any) -> Box:
    return Box(pins)


def test_a_panic_press_is_one_critical_incident_that_ends_by_itself(box: Box) -> None:
    box.press(PANIC_PIN, 0.12)
    assert box.open == [(PANIC, "critical")]
    changes = box.watch(20)
    assert [c.kind for c in changes] == [ChangeKind.CLOSED]
    # Neither a cooldown nor maintenance holds the next press back.
    box.incidents.alert_queued("inc-0", Severity.CRITICAL)
    box.incidents.silence("maintenance")
    box.press(PANIC_PIN, 0.12)
    assert box.open == [(PANIC, "critical")]


def test_chatter_shorter_than_the_debounce_time_is_nothing(box: Box) -> None:
    for _ in range(20):
        box.drive(PANIC_PIN, high=False)
        box.watch(0.02)
        box.drive(PANIC_PIN, high=True)
        box.watch(0.02)
    assert box.open == []
    assert box.inputs.levels() == {"button": False, "door": False, "key": False, "ack": False}


def test_an_open_enclosure_is_an_incident_until_it_is_closed_but_not_in_maintenance(box: Box) -> None:
    box.watch(1)
    box.drive(DOOR_PIN, high=True)
    box.watch(0.2)
    assert box.open == [(TAMPER, "high")]
    assert box.pins.pin(SIREN).state == 1
    box.watch(30)
    box.drive(DOOR_PIN, high=False)
    assert [c.kind for c in box.watch(8)] == [ChangeKind.CLOSED]
    box.incidents.silence("maintenance")
    box.drive(DOOR_PIN, high=True)
    box.watch(1)
    assert box.open == []


def test_a_switch_that_is_active_at_the_start_is_told(box: Box) -> None:
    box.drive(DOOR_PIN, high=True)
    box.watch(0.2)
    assert box.open == [(TAMPER, "high")]


def test_the_maintenance_key_switches_and_all_is_on_record(box: Box) -> None:
    box.drive(KEY_PIN, high=False)
    box.watch(0.2)
    box.log.full = True
    with pytest.raises(StateError):
        box.actions.chore()
    assert box.maintained == [True]
    box.drive(KEY_PIN, high=True)
    box.watch(0.2)
    box.log.full = False
    box.actions.chore()
    assert box.maintained == [True, False]
    assert [(r["input"], r["role"], r["on"]) for r in box.log.records] == [
        ("key", "maintenance", True),
        ("key", "maintenance", False),
    ]


def test_a_key_that_could_not_be_obeyed_is_obeyed_later(box: Box) -> None:
    def refuse(_: bool) -> None:
        raise StateError("no space")

    box.actions._maintain = refuse
    box.drive(KEY_PIN, high=False)
    box.watch(0.2)
    with pytest.raises(StateError):
        box.actions.chore()
    box.actions._maintain = box.maintained.append
    box.actions.chore()
    assert box.maintained == [True]


def test_acknowledging_silences_what_sounds_until_something_new(box: Box) -> None:
    box.drive(DOOR_PIN, high=True)
    box.watch(0.2)
    assert (box.pins.pin(SIREN).state, box.pins.pin(LAMP).state) == (1, 1)
    box.press(ACK_PIN, 0.1)
    assert (box.pins.pin(SIREN).state, box.pins.pin(LAMP).state) == (0, 1)
    box.watch(3)
    assert box.pins.pin(SIREN).state == 0
    box.press(PANIC_PIN, 0.1)
    assert box.pins.pin(SIREN).state == 1


def test_a_rule_can_be_for_the_lamp_only(box: Box) -> None:
    box.indicator.show([make_incident(rule="loitering")], now_s=1000)
    assert (box.pins.pin(SIREN).state, box.pins.pin(LAMP).state) == (0, 1)


def test_a_taken_pin_is_named_with_the_input(pins: Any) -> None:
    taken = GpioIndicator({"siren": OutputSpec(SIREN)}, pin_factory=pins)
    with pytest.raises(IndicatorError, match=r"input button: pin GPIO17"):
        GpioInputs(
            {"button": InputSpec(SIREN, "panic")}, pin_factory=pins, clock=FakeClock(), on_change=lambda *_: None
        )
    taken.close()


def test_an_input_that_cannot_be_read_is_a_fault_and_the_others_go_on(box: Box) -> None:
    class Broken:
        value = property(lambda _: 1 / 0)

        def close(self) -> None: ...

    box.watch(0.2)
    box.inputs._devices["door"] = Broken()
    box.press(PANIC_PIN, 0.2)
    assert "division" in box.inputs.faults()["door"]
    assert box.open == [(PANIC, "critical")]


def test_closing_gives_the_pins_back(box: Box, pins: Any) -> None:
    box.inputs.start()
    box.inputs.close()
    box.inputs.close()
    GpioIndicator({"siren": OutputSpec(PANIC_PIN)}, pin_factory=pins).close()


def test_by_rule_and_inputs_in_the_configuration() -> None:
    base: dict[str, Any] = {"cameras": [{"name": "lobby", "source": "x.mp4"}]}
    lines = {"panic": {"pin": 5, "role": "panic"}}
    with pytest.raises(ValueError, match=r"need outputs\.driver"):
        Config.model_validate(base | {"inputs": {"lines": lines}})
    with pytest.raises(ValueError, match="used twice: 5"):
        Config.model_validate(
            base | {"outputs": {"driver": "mock", "lines": {"siren": {"pin": 5}}}, "inputs": {"lines": lines}}
        )
    outputs = Config.model_validate(
        base | {"outputs": {"by_rule": {"a": "lamp", "b": "silent", "c": "audible"}}}
    ).outputs
    assert outputs.silent_rules(sounds=True) == {"a", "b"}
    assert outputs.silent_rules(sounds=False) == {"b"}


def test_the_jetson_driver_behind_the_same_interface() -> None:
    jetson_gpio.lines.clear()
    pins = JetsonFactory(jetson_gpio)
    box = GpioIndicator({"siren": OutputSpec(SIREN, active_high=False)}, pin_factory=pins)
    assert jetson_gpio.lines[SIREN] == ("out", 1)  # off, from the first moment on
    box.show([make_incident()], now_s=1000)
    assert jetson_gpio.lines[SIREN] == ("out", 0)
    box.show([], now_s=1001)
    assert jetson_gpio.lines[SIREN] == ("out", 1)
    clock, seen = FakeClock(), []
    inputs = GpioInputs(
        {"button": InputSpec(5, "panic", pull="none")},
        pin_factory=pins,
        clock=clock,
        on_change=lambda name, _, on: seen.append((name, on)),
    )
    for level in (1, 0, 0, 0, 0, 1, 1, 1, 1):
        jetson_gpio.outside[5] = level
        inputs.look()
        clock.advance(0.03)
    assert seen == [("button", True), ("button", False)]
    inputs.close()
    box.close()
    assert jetson_gpio.lines[SIREN][0] == "in"
    with pytest.raises(IndicatorError, match="GPIO99"):
        GpioIndicator({"siren": OutputSpec(99)}, pin_factory=pins)


def test_the_jetson_driver_says_what_is_missing() -> None:
    with pytest.raises(IndicatorError, match=r"Jetson\.GPIO is not installed"):
        open_jetson_factory("no_such_module")
