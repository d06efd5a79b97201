"""Privacy masks: parts of a camera's picture that nobody is to see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import F32, U8, Frame


@dataclass(frozen=True, slots=True)
class Mask:
    """A polygon in one camera's picture, float32 (K, 2), normalised 0..1.

    ``seen``: the detector may see what is under it, in memory; False: black before anything looks.
    """

    camera: str
    polygon: F32
    seen: bool


class Masks:
    """What is hidden in one camera's pictures.

    Pictures are withheld altogether while nobody knows whether the masks still lie where they should.

    :param masks: masks of all cameras; those of other cameras are left out.
    """

    def __init__(self, camera: str, masks: Sequence[Mask] = ()) -> None:
        self._camera = camera
        self.redraw(masks)
        self.withheld = False  # set by the pipeline, and by whoever confirms; read by any thread
        self.doubted = False  # the camera may be moving just now; set by the pipeline
        self.drawn_anew = False  # since the pipeline last looked

    def redraw(self, masks: Sequence[Mask]) -> None:
        """Other masks from now on; any thread. What was hidden from people is hidden until the new ones are."""
        own = [m for m in masks if m.camera == self._camera]
        self._all = [m.polygon for m in own]
        self._unseen = [m.polygon for m in own if not m.seen]
        self.drawn_anew = True

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def polygons(self) -> list[F32]:
        """Of all kinds, each float32 (K, 2), normalised 0..1."""
        return list(self._all)

    @property
    def shut(self) -> bool:
        """Whether nobody gets a picture now."""
        return self.withheld or self.doubted

    def for_detector(self, frame: Frame) -> Frame:
        """The frame as the detector and the rules may see it."""
        return _blackened(frame, self._unseen) if self._unseen else frame

    def for_people(self, frame: Frame) -> Frame:
        """The frame as it may be stored, shown or mailed; all black while nobody gets a picture."""
        if self.shut:
            return replace(frame, image=np.zeros_like(frame.image))
        return _blackened(frame, self._all) if self._all else frame


def _blackened(frame: Frame, polygons: Sequence[F32]) -> Frame:
    image: U8 = frame.image.copy()
    width, height = frame.size
    for polygon in polygons:
        # Rounded outwards by up to a pixel: what is under the edge is hidden, too.
        corners = np.rint(polygon * (width, height)).astype(np.int32)
        cv2.fillPoly(image, [corners], (0, 0, 0))
        cv2.polylines(image, [corners], isClosed=True, color=(0, 0, 0), thickness=3)
    return replace(frame, image=image)
