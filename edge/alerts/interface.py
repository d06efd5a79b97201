"""The alert seams: local indicators, and channels that deliver what the outbox keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from edge.types import Alert, Incident


class Indicator(Protocol):
    """A local alarm: siren, lamp.

    Contract: level-triggered. ``show`` gets all incidents open now, as often as the caller likes; the outputs follow
    from that alone, so a restart recomputes them and nothing late is ever played. ``show`` never blocks on a network
    or a disk. ``close`` leaves every output off and may be called twice.
    """

    def show(self, open_incidents: Collection[Incident], *, now_s: float) -> None:
        """Drive the outputs for these incidents; ``now_s``: monotonic seconds.

        :raises IndicatorError: an output cannot be driven.
        """

    def levels(self) -> dict[str, bool]:
        """Each output's name and whether it is on."""

    def close(self) -> None: ...


class Channel(Protocol):
    """A way to the security desk. Reached through the outbox only."""

    @property
    def name(self) -> str: ...

    def send(self, alert: Alert, pictures: Sequence[Path], *, waited_s: float) -> None:
        """Deliver one alert; returns when the far end has taken responsibility.

        :param pictures: files of ``alert.evidence``, same order; one that is missing is left out by the caller.
        :param waited_s: seconds since the alert was made, for the late note; 0 or more, or not a number: unknown, there
            was a restart of the machine in between.
        :raises TemporaryRefusal: try later.
        :raises PermanentRefusal: trying again alone does not help.
        """


class Memory(Protocol):
    """Alerts that could not be stored: the writer's."""

    def unstored(self) -> tuple[Alert, ...]: ...

    def forget(self, alert_id: str) -> None: ...


class Listener(Protocol):
    """Tells the delivery when the network is back; starts and stops with it."""

    def start(self) -> None: ...

    def stop(self) -> None: ...
