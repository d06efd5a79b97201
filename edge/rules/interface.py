"""The rule seam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import Observation, Scene, Withheld


class Rule(Protocol):
    """A condition over scenes of one camera.

    Contract: scenes arrive in order of ``frame.t_mono_s`` with gaps of any length; all durations come from those
    timestamps; an empty scene gives no observation; a rule keeps no state of tracks that are gone for good.
    """

    @property
    def name(self) -> str: ...

    def update(self, scene: Scene) -> Sequence[Observation | Withheld]:
        """What is true now. The same (rule, zone) may appear once at the most.

        A ``Withheld`` says what would be true if the rule could be sure, and why it is not.
        """
