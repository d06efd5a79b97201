"""A local alarm that writes down what it would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import Incident


class FakeIndicator:
    """Implements edge.alerts.interface.Indicator with one output that is on while anything is open."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, tuple[str, ...]]] = []
        self.closed = False
        self._on = False

    def show(self, open_incidents: Collection[Incident], *, now_s: float) -> None:
        if self.closed:
            return
        self.shown.append((now_s, tuple(i.incident_id for i in open_incidents)))
        self._on = bool(open_incidents)

    def levels(self) -> dict[str, bool]:
        return {"alarm": self._on}

    def close(self) -> None:
        self.closed = True
        self._on = False
