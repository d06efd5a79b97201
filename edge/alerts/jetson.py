"""A Jetson's header as a gpiozero pin factory. Experimental: proven against a stand-in for Jetson.GPIO, on no board yet.

gpiozero itself refuses boards that are no Raspberry Pi, so the few things that our outputs and inputs ask of a pin are
translated here.
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from dataclasses import dataclass
from typing import Any

from gpiozero.exc import GPIOZeroError, PinInvalidState
from gpiozero.pins import Factory, Pin

from edge.errors import IndicatorError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Info:
    """What gpiozero asks for: the name under which a line is reserved."""

    name: int


class _Board:
    """Every line that is asked for; whether it exists the library says when it is set up."""

    @staticmethod
    def find_pin(name: int) -> list[tuple[None, _Info]]:
        return [(None, _Info(name))]


class JetsonPin(Pin):  # type: ignore[misc]
    """One line, by its BCM number, as the header of a Raspberry Pi would number it."""

    def __init__(self, gpio: Any, number: int) -> None:
        self._gpio = gpio
        self._number = number
        self._function = "input"
        self._pull = "floating"
        gpio.setup(number, gpio.IN)

    @property
    def info(self) -> _Info:
        """The line's name."""
        return _Info(self._number)

    def output_with_state(self, state: int) -> None:
        """Drive the line at that level from the first moment on."""
        self._gpio.setup(self._number, self._gpio.OUT, initial=self._gpio.HIGH if state else self._gpio.LOW)
        self._function = "output"

    def close(self) -> None:
        """Give the line back as an input: nothing drives it any more."""
        self._gpio.cleanup(self._number)

    def _get_function(self) -> str:
        return self._function

    def _set_function(self, value: str) -> None:
        if value == "output":
            self.output_with_state(0)
        elif value == "input":
            self._gpio.setup(self._number, self._gpio.IN)
            self._function = value
        else:
            raise PinInvalidState(f"no function {value}")

    def _get_state(self) -> int:
        return int(self._gpio.input(self._number))

    def _set_state(self, value: int) -> None:
        self._gpio.output(self._number, self._gpio.HIGH if value else self._gpio.LOW)

    def _get_pull(self) -> str:
        return self._pull

    def _set_pull(self, value: str) -> None:
        if value != "floating":
            # Jetson.GPIO ignores pull-ups: the wiring must have a resistor of its own.
            log.warning(
                f"GPIO{self._number}: a Jetson's pins have no switchable resistor; the wiring must have one",
                extra={"kg": {"event": "no_pull", "pin": self._number}},
            )
        self._pull = value


class JetsonFactory(Factory):  # type: ignore[misc]
    """Makes the pins.

    :param gpio: the module Jetson.GPIO, or a stand-in for it.
    """

    def __init__(self, gpio: Any) -> None:
        super().__init__()
        self._gpio = gpio
        self._pins: dict[int, JetsonPin] = {}
        gpio.setwarnings(False)  # noqa: FBT003 - the library's own form
        gpio.setmode(gpio.BCM)

    def pin(self, name: int) -> JetsonPin:
        """The line of that BCM number, made at the first question. :raises GPIOZeroError: there is none."""
        if name not in self._pins:
            try:
                self._pins[name] = JetsonPin(self._gpio, name)
            except ValueError as error:
                raise GPIOZeroError(f"the board has no such line: {error}") from error
        return self._pins[name]

    def _get_board_info(self) -> _Board:
        return _Board()

    def close(self) -> None:
        """Give all lines back."""
        for pin in self._pins.values():
            pin.close()
        self._pins.clear()

    def ticks(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    @staticmethod
    def ticks_diff(later: float, earlier: float) -> float:
        """Seconds between two of them."""
        return later - earlier


def open_jetson_factory(module: str = "Jetson.GPIO") -> JetsonFactory:
    """:raises IndicatorError: the library is missing, the board is none it knows, or the pins may not be used."""
    try:
        gpio = importlib.import_module(module)
        factory = JetsonFactory(gpio)
    except ImportError as error:
        raise IndicatorError(
            f"the pin driver Jetson.GPIO is not installed: {error}",
            hint='Install it (pip install Jetson.GPIO), or set driver = "none".',
        ) from error
    except Exception as error:
        raise IndicatorError(
            f"the GPIO pins of this board cannot be used: {error}",
            hint=f'Is it a Jetson, and user {os.getuid()} in group gpio? On a Raspberry Pi set driver = "gpiozero".',
        ) from error
    log.warning('driver = "jetson" is experimental', extra={"kg": {"event": "experimental_driver", "driver": "jetson"}})
    return factory
