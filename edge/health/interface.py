"""The health seam: what the endpoint asks the appliance."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol


class Status(IntEnum):
    """A check's verdict, worst last."""

    PASS = 0
    WARN = 1
    FAIL = 2

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the health report.

    ``output`` says in words what is wrong and what to do; ``observed`` with ``unit`` is the figure behind the verdict.
    """

    name: str
    status: Status
    output: str = ""
    observed: float | int | str | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole picture: the worst check decides. ``details`` is JSON-ready: frames, incidents, outbox, outputs."""

    checks: tuple[Check, ...]
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        return max((c.status for c in self.checks), default=Status.FAIL)


class HealthSource(Protocol):
    """Answers from memory, at once: a request never waits for a camera, a disk or a network."""

    def live(self) -> tuple[bool, str]:
        """Whether the process makes progress, and why not."""

    def ready(self) -> tuple[bool, str]:
        """Whether the box guards: a frame was judged lately; and why not."""

    def report(self) -> Report: ...
