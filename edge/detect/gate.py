"""Whether a frame needs the detector at all: in an empty scene where nothing moves, one look now and then is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from edge.types import F32, U8

_CELL = 20  # px of a 1280 px wide picture: the side of the cells whose means are compared
_COLUMNS = 1280 // _CELL
_LEAST = 3.0  # grey levels by which a cell must differ, however quiet the sensor
_TIMES_NOISE = 8.0  # and by so many standard deviations of what all cells differ by
_TO_SIGMA = 1.4826  # median absolute deviation of a normal distribution to its standard deviation


class StillGate:
    """Opens while anything moves or is followed, and every ``look_every_s`` besides.

    Each picture is compared, cell by cell, with the one in which the detector last found nothing; not with the one
    before, to which a slow person differs too little. A person who appears changes cells at once; who is followed keeps
    the gate open, however still; and for ``hold_s`` after the last change the detector sees every frame.

    :param look_every_s: seconds after which a still scene is looked at all the same.
    :param hold_s: seconds for which the gate stays open after a change.
    """

    def __init__(self, *, look_every_s: float = 2.0, hold_s: float = 3.0) -> None:
        self._look_every_s = look_every_s
        self._hold_s = hold_s
        self._image: U8 | None = None  # the picture that was asked about, for as long as it is judged
        self._cells: F32 | None = None  # its cells; None: nobody needed them yet
        self._reference: F32 | None = None  # cells of the last picture in which nothing was found
        self._looked_s = -np.inf
        self._changed_s = -np.inf

    def wants(self, image: U8, t_s: float, *, followed: bool) -> bool:
        """Whether the detector should see this picture.

        :param image: uint8 (H, W, 3) BGR.
        :param t_s: when it was captured, monotonic seconds.
        :param followed: whether anything is tracked at the moment, also what is out of sight for now.
        """
        self._image, self._cells = image, None
        if followed or self._reference is None or differ(self._seen(), self._reference):
            self._changed_s = t_s
        if t_s - self._changed_s < self._hold_s or t_s - self._looked_s >= self._look_every_s:
            self._looked_s = t_s
            return True
        self._image = None
        return False

    def found(self, count: int) -> None:
        """How many objects the detector found in the picture just asked about."""
        if count == 0:
            self._reference = self._seen()
        self._image = None

    def _seen(self) -> F32:
        """The cells of the picture that was asked about."""
        if self._cells is None and self._image is not None:
            self._cells = cells_of(self._image)
        if self._cells is None:
            raise ValueError("no picture was asked about")
        return self._cells


def cells_of(image: U8) -> F32:
    """Mean brightness of cells, float32 (rows, 64): averaging leaves the sensor's noise out."""
    height = max(1, round(image.shape[0] * _COLUMNS / image.shape[1]))
    # Every fourth line is enough, and a quarter of the reading.
    small = cv2.resize(image[::4], (_COLUMNS, height), interpolation=cv2.INTER_AREA)
    grey: F32 = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return grey


def differ(cells: F32, reference: F32) -> bool:
    """Whether some cell changed by more than noise and a light that changes everywhere alike."""
    if cells.shape != reference.shape:
        return True
    change = cells - reference
    change -= _median(change)
    change = np.abs(change)
    noise = _TO_SIGMA * float(_median(change))
    return bool(change.max() > max(_LEAST, _TIMES_NOISE * noise))


def _median(values: F32) -> np.float32:
    """As NumPy's, without its detours; this is asked about every picture of an empty lobby."""
    half = values.size // 2
    ordered = np.partition(values.ravel(), (half - 1, half) if values.size % 2 == 0 else half)
    middle: np.float32 = ordered[half] if values.size % 2 else (ordered[half - 1] + ordered[half]) / np.float32(2)
    return middle
