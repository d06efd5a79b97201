"""The seams: what gives people's behaviour to a scene, and what turns features into a probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edge.behaviour.looks import LookSpec
    from edge.behaviour.windows import WindowSpec
    from edge.types import F32, Features, Frame, Tracks


class Classifier(Protocol):
    """Knows one behaviour.

    Contract: row by row, the same features give the same answer; no rows give no answers.
    """

    @property
    def name(self) -> str:
        """One of ``edge.types.BEHAVIOURS``."""

    @property
    def spec(self) -> WindowSpec | LookSpec: ...

    def probability(self, features: F32) -> F32:
        """(N, the spec's width) -> (N,), 0..1.

        :raises DetectorError: the model cannot be run.
        """


class Behaviour(Protocol):
    """Watches how people move. Frames of one camera, in order."""

    def look(self, frame: Frame) -> None:
        """Take what is needed of a picture in which somebody is likely to be, before it falls out of the cache.

        Not needed for ``update`` with that frame, only quicker.
        """

    def update(self, frame: Frame, tracks: Tracks, features: Features | None) -> tuple[F32 | None, F32]:
        """(M,) how fast each track's limbs move, own heights a second; (M, len(BEHAVIOURS)) how likely what is.

        The first is None where nobody asks for it.

        :param features: what the detector's network makes of the frame; None: the detector did not look, or gives none.

        :raises DetectorError: a model cannot be run.
        """
