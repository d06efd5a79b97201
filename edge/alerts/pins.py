"""Opening the GPIO pins: exactly the driver that was asked for, or an error that says what is missing."""

from __future__ import annotations

import fcntl
import grp
import logging
import os
import struct
from pathlib import Path
from typing import Any, Literal

from gpiozero.exc import GPIOZeroError
from gpiozero.pins.mock import MockFactory, MockPin

from edge.alerts.jetson import open_jetson_factory
from edge.errors import IndicatorError

log = logging.getLogger(__name__)

Driver = Literal["mock", "gpiozero", "jetson"]

# The 40-pin header by the name its chip gives itself: a Pi 5's moved from gpiochip4 to gpiochip0 between kernels.
HEADER_LABELS = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835", "raspberrypi,pinctrl-bcm2711")
_GPIO_GET_CHIPINFO = 0x8044B401  # struct gpiochip_info: name[32], label[32], lines (u32); linux/gpio.h


def open_pin_factory(driver: Driver, *, dev: Path = Path("/dev")) -> Any:
    """A gpiozero pin factory.

    gpiozero's own search (lgpio, RPi.GPIO, pigpio, native, one after the other) is not used: what drives a siren must
    not depend on what happens to be importable.

    :param driver: "mock": simulated pins; "gpiozero": the machine's own, through lgpio; "jetson": experimental.
    :param dev: where the gpiochip devices are.
    :raises IndicatorError: the driver or the chip is missing, or may not be used.
    """
    if driver == "mock":
        # Named in full, so that no environment variable changes it.
        return MockFactory(revision="c03114", pin_class=MockPin)
    if driver == "jetson":
        return open_jetson_factory()
    try:
        from gpiozero.pins.lgpio import LGPIOFactory  # noqa: PLC0415 - only where pins are real
    except ImportError as error:
        raise IndicatorError(
            f"the pin driver lgpio is not installed: {error}",
            hint='Install it (apt-get install python3-lgpio, or the extra kiosk-guard[pi]), or set driver = "none".',
        ) from error
    chip = find_header_chip(dev)
    if outputs_outlive_us():
        log.warning(
            "this kernel leaves a pin as it is when the service dies: a siren that sounds then goes on until the restart;"
            " add dtparam=strict_gpiod to config.txt",
            extra={"kg": {"event": "pins_outlive_service"}},
        )
    try:
        return LGPIOFactory(chip=chip)
    except GPIOZeroError as error:
        raise IndicatorError(
            f"the GPIO pins cannot be used: {error}",
            hint='driver = "gpiozero" needs a Raspberry Pi; on other boards set driver = "none".',
        ) from error
    except Exception as error:
        raise IndicatorError(
            f"{dev}/gpiochip{chip} cannot be opened: {error}",
            hint=_permission_hint(dev / f"gpiochip{chip}"),
        ) from error


def outputs_outlive_us(modules: Path = Path("/sys/module")) -> bool:
    """Whether the kernel keeps an output's level after its process died, as Raspberry Pi's own kernels do by default."""
    for name in ("pinctrl_rp1", "pinctrl_bcm2835"):
        try:
            keeps = (modules / name / "parameters" / "persist_gpio_outputs").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if keeps.upper() in {"Y", "1"}:
            return True
    return False


def find_header_chip(dev: Path = Path("/dev")) -> int:
    """Number of the gpiochip that carries the 40-pin header, found by its label.

    :raises IndicatorError: there is none, or it may not be opened.
    """
    labels: dict[str, str] = {}
    refused: list[Path] = []
    for path in sorted(dev.glob("gpiochip*")):
        try:
            label = _label(path)
        except PermissionError:
            refused.append(path)
            continue
        except OSError:
            continue
        number = path.name.removeprefix("gpiochip")
        if label in HEADER_LABELS and number.isdigit():
            return int(number)
        labels[path.name] = label
    if refused:
        raise IndicatorError(f"{refused[0]} may not be opened", hint=_permission_hint(refused[0]))
    found = ", ".join(f"{name} ({label})" for name, label in labels.items()) or "none at all"
    raise IndicatorError(
        f"no GPIO chip of a Raspberry Pi header in {dev}; found: {found}",
        hint='On other boards set driver = "none"; on a Pi check that the kernel offers /dev/gpiochip*.',
    )


def _label(path: Path) -> str:
    """:raises OSError: not a GPIO chip, or not to be opened."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        info = fcntl.ioctl(descriptor, _GPIO_GET_CHIPINFO, bytes(68))
    finally:
        os.close(descriptor)
    _, label, _ = struct.unpack("32s32sI", info)
    return bytes(label).split(b"\0", 1)[0].decode("ascii", "replace")


def _permission_hint(path: Path) -> str:
    try:
        owner = grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        owner = "gpio"
    return f"The service's user must be in group {owner}, and no other program may hold the pin (see gpioinfo)."
