"""From configuration to the local alarm: outputs, and the switches and buttons beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.alerts.gpio import GpioIndicator, NoIndicator, OutputSpec
from edge.alerts.inputs import GpioInputs, InputSpec
from edge.alerts.pins import open_pin_factory
from edge.app.inputs import InputActions
from edge.health.interface import Status
from edge.types import Severity

if TYPE_CHECKING:
    from edge.alerts.gpio import Status as LightStatus
    from edge.alerts.incident_log import IncidentLog
    from edge.alerts.maintenance_store import MaintenanceStore
    from edge.clock import Clock
    from edge.config import Config
    from edge.incidents import Incidents

KEY_REASON = "the maintenance key was turned"


def build_pins(config: Config) -> Any:
    """The pin factory, None: there are no pins. :raises IndicatorError: they cannot be had."""
    driver = config.outputs.driver
    return None if driver == "none" else open_pin_factory(driver)


def build_indicator(config: Config, pins: Any, *, clock: Clock) -> NoIndicator | GpioIndicator:
    """The outputs, all off. :raises IndicatorError: a pin cannot be had."""
    if pins is None:
        return NoIndicator()
    outputs = config.outputs
    specs = {
        name: OutputSpec(
            pin=line.pin,
            active_high=line.active_high,
            pattern=line.pattern,
            on_s=line.on_s,
            off_s=line.off_s,
            max_on_s=line.max_on_s,
            role=line.role,
            severities=frozenset(Severity.of(s) for s in line.severities),
            rules=frozenset(line.rules),
            sounds=line.sounds,
            silent_rules=outputs.silent_rules(sounds=line.sounds),
        )
        for name, line in outputs.lines.items()
    }
    return GpioIndicator(specs, pin_factory=pins, clock=clock)


def light(status: Status, *, maintenance: bool) -> LightStatus:
    """The status light's pattern: a fault is a fault in maintenance, too."""
    if status is Status.FAIL:
        return "fault"
    return "maintenance" if maintenance else "healthy"


def build_inputs(
    config: Config,
    pins: Any,
    *,
    incidents: Incidents,
    indicator: NoIndicator | GpioIndicator,
    maintenance: MaintenanceStore,
    incident_log: IncidentLog,
    clock: Clock,
) -> tuple[GpioInputs, InputActions] | None:
    """The inputs, not watched yet, and what they do; None: there are none. :raises IndicatorError: a pin cannot be had."""
    if pins is None or not config.inputs.lines:
        return None

    def maintain(on: bool) -> None:  # noqa: FBT001 - a callback
        if on:
            maintenance.begin(minutes=config.inputs.maintenance_min, reason=KEY_REASON)
        else:
            maintenance.end(reason="the maintenance key was turned back")

    actions = InputActions(
        incidents=incidents, indicator=indicator, maintain=maintain, incident_log=incident_log, clock=clock
    )
    specs = {
        name: InputSpec(line.pin, line.role, line.pull, line.active_high, line.debounce_s)
        for name, line in config.inputs.lines.items()
    }
    return GpioInputs(specs, pin_factory=pins, clock=clock, on_change=actions.changed), actions
