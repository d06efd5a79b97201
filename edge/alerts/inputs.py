"""Switches and buttons on GPIO pins: enclosure tamper, panic, maintenance key, acknowledge. Debounced, watched by a thread."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gpiozero import InputDevice

from edge.errors import IndicatorError, KioskError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.clock import Clock

log = logging.getLogger(__name__)

Role = Literal["tamper", "panic", "maintenance", "acknowledge"]
LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input line.

    ``pin``: BCM number. ``pull``: the pin's own resistor, "none" where the wiring has one. ``active_high``: which level
    means pressed, opened, turned. ``debounce_s``: a level counts when it has held for so long, seconds.
    """

    pin: int
    role: Role
    pull: Literal["up", "down", "none"] = "up"
    active_high: bool = False
    debounce_s: float = 0.05


@dataclass(slots=True)
class _State:
    on: bool = False
    candidate: bool = False
    since_s: float = 0.0


class GpioInputs:
    """Watches input lines through gpiozero.

    Polled rather than told by interrupts: a line that chatters costs no more than one that rests, and what holds for
    ``debounce_s`` is never missed.

    :param inputs: name and specification of each line.
    :param pin_factory: from :func:`edge.alerts.pins.open_pin_factory`.
    :param on_change: told name, role and whether it is active now, from the thread; also once at the start for what is
        active then. Must not block.
    :raises IndicatorError: a pin does not exist, is taken, or may not be used.
    """

    def __init__(
        self,
        inputs: Mapping[str, InputSpec],
        *,
        pin_factory: Any,
        clock: Clock,
        on_change: Callable[[str, Role, bool], None],
    ) -> None:
        self._specs = dict(inputs)
        self._clock = clock
        self._on_change = on_change
        self._states = {name: _State() for name in self._specs}
        self._devices: dict[str, Any] = {}
        self._fault: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            for name, spec in self._specs.items():
                self._devices[name] = _open(name, spec, pin_factory)
        except IndicatorError:
            self.close()
            raise

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="inputs", daemon=True)
        self._thread.start()

    def levels(self) -> dict[str, bool]:
        """Each input and whether it is active, debounced."""
        return {name: state.on for name, state in self._states.items()}

    def faults(self) -> dict[str, str]:
        """Inputs that cannot be read, and why."""
        return dict(self._fault)

    def look(self) -> None:
        """Read every line once. Never raises: an input that cannot be read keeps its last level and is a fault."""
        now_s = self._clock.monotonic_s()
        for name, device in list(self._devices.items()):
            try:
                level = bool(device.value)
            except Exception as error:  # the other inputs must be read all the same
                if name not in self._fault:
                    log.exception(
                        f"input {name} cannot be read",
                        extra={"kg": {"event": "input_fault", "input": name, "error": str(error)}},
                    )
                self._fault[name] = f"pin GPIO{self._specs[name].pin}: {error}"
                continue
            self._fault.pop(name, None)
            self._take(name, self._states[name], level=level, now_s=now_s)

    def close(self) -> None:
        """Stop watching and give the pins back; may be called twice."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)
        for name in list(self._devices):
            with contextlib.suppress(Exception):  # the others must be given back all the same
                self._devices.pop(name).close()

    def _take(self, name: str, state: _State, *, level: bool, now_s: float) -> None:
        if level != state.candidate:
            state.candidate, state.since_s = level, now_s
        if state.candidate == state.on or now_s - state.since_s < self._specs[name].debounce_s:
            return
        state.on = state.candidate
        spec = self._specs[name]
        log.warning(
            f"input {name} ({spec.role}) {'on' if state.on else 'off'}",
            extra={"kg": {"event": "input", "name": name, "role": spec.role, "pin": spec.pin, "on": state.on}},
        )
        try:
            self._on_change(name, spec.role, state.on)
        except Exception:  # a listener must not stop the watching
            log.exception("a listener failed", extra={"kg": {"event": "listener_fault"}})

    def _run(self) -> None:
        while not self._clock.wait(self._stop, LOOK_EVERY_S):
            self.look()


def _open(name: str, spec: InputSpec, pin_factory: Any) -> Any:
    pull_up = {"up": True, "down": False, "none": None}[spec.pull]
    try:
        # gpiozero derives the active level from the resistor; ours is a choice of its own (a normally closed contact).
        device = InputDevice(
            spec.pin,
            pull_up=pull_up,
            active_state=spec.active_high if pull_up is None else None,
            pin_factory=pin_factory,
        )
        device._active_state = spec.active_high  # noqa: SLF001 - see above
        device._inactive_state = not spec.active_high  # noqa: SLF001 - see above
    except Exception as error:
        if isinstance(error, KioskError):
            raise
        raise IndicatorError(
            f"input {name}: pin GPIO{spec.pin} cannot be opened: {error}",
            hint="Is the pin on the header, used by nothing else (gpioinfo shows who), and the service's user in group gpio?",
        ) from error
    return device
