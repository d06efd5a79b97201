"""Stands in for the module Jetson.GPIO: numbered lines in memory."""

from __future__ import annotations

BCM, IN, OUT, HIGH, LOW = "BCM", "in", "out", 1, 0
lines: dict[int, tuple[str, int]] = {}
outside: dict[int, int] = {}  # what a switch puts onto an input
mode = ""


def setwarnings(flag: bool) -> None:
    pass


def setmode(value: str) -> None:
    global mode  # noqa: PLW0603 - it is a module that is stood in for
    mode = value


def setup(number: int, direction: str, initial: int = LOW) -> None:
    if number > 27:
        raise ValueError(f"Channel {number} is invalid")
    lines[number] = (direction, initial)


def output(number: int, value: int) -> None:
    assert lines[number][0] == OUT
    lines[number] = (OUT, value)


def input(number: int) -> int:  # noqa: A001 - the original's name
    return lines[number][1] if lines[number][0] == OUT else outside.get(number, 1)


def cleanup(number: int) -> None:
    lines[number] = (IN, LOW)
