"""A way to the security desk that keeps what it is given, or refuses it as a test says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.types import Alert


@dataclass(frozen=True)
class Sent:
    alert: Alert
    pictures: tuple[Path, ...]
    waited_s: float


class FakeChannel:
    """Implements edge.alerts.interface.Channel.

    :param refuse: asked before each alert is taken; what it returns is raised.
    """

    name = "fake"

    def __init__(self, refuse: Callable[[Alert], Exception | None] = lambda _: None) -> None:
        self.refuse = refuse
        self.sent: list[Sent] = []
        self.attempts: list[str] = []

    @property
    def ids(self) -> list[str]:
        return [s.alert.alert_id for s in self.sent]

    def send(self, alert: Alert, pictures: Sequence[Path], *, waited_s: float) -> None:
        self.attempts.append(alert.alert_id)
        error = self.refuse(alert)
        if error is not None:
            raise error
        self.sent.append(Sent(alert, tuple(pictures), waited_s))
