"""What the camera makes of the light: exposure, tone, blur, noise, infrared, JPEG; and what is done to the camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from edge.types import F32, U8
    from export.scenes.scenario import FaultTable, SensorTable

_TARGET = 0.36  # mean linear light that the exposure aims at
_SETTLE_S = 0.7
_GRAIN_FIELDS = 6


class Sensor:
    """One camera; frames must come in order.

    :param seed: of the noise. The same seed and frames give the same pictures.
    """

    def __init__(self, table: SensorTable, *, width: int, height: int, seed: int) -> None:
        self._table = table
        self._rng = np.random.default_rng(seed)
        size = (height, width)
        luma = self._rng.normal(0, 1, (_GRAIN_FIELDS, *size, 1)).astype(np.float32)
        chroma = self._rng.normal(0, 0.9, (_GRAIN_FIELDS, *size, 3)).astype(np.float32)
        self._grain = [y + cv2.GaussianBlur(c, (0, 0), 0.8) for y, c in zip(luma, chroma, strict=True)]
        yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
        radius2 = ((xx - width / 2) ** 2 + (yy - height / 2) ** 2) / (width / 2) ** 2
        self._vignette = (1 - 0.18 * radius2)[..., None]
        self._gain: float | None = None

    def picture(self, light: F32, *, step_s: float) -> U8:
        """Linear RGB light (H, W, 3) to a picture, uint8 (H, W, 3) BGR. ``step_s``: since the frame before."""
        table = self._table
        mean = float(np.minimum(light, 1.2).mean()) + 1e-6
        wanted = float(np.clip(_TARGET / mean, 0.55, table.max_gain))
        if self._gain is None:
            self._gain = wanted
        self._gain += (wanted - self._gain) * (1 - float(np.exp(-step_s / _SETTLE_S)))
        x = light * (1.30 * self._gain)
        x = x / (1 + 0.28 * x)
        x = np.power(np.clip(x, 0, 1), 1 / 2.2, dtype=np.float32)
        if table.blur_px > 0:
            x = cv2.GaussianBlur(x, (0, 0), table.blur_px)
        x = x * self._vignette
        if table.ir:
            x = np.repeat(x @ np.array([[0.4], [0.4], [0.2]], np.float32), 3, axis=2)
        elif self._gain > 2.5:  # little colour is left at high gain
            grey = x.mean(2, keepdims=True)
            x = grey + (x - grey) * 0.55
        grain = self._grain[int(self._rng.integers(_GRAIN_FIELDS))]
        shift = (int(self._rng.integers(x.shape[0])), int(self._rng.integers(x.shape[1])))
        grain = np.roll(grain, shift, axis=(0, 1))
        if table.ir:
            grain = grain.mean(2, keepdims=True)
        x = x + grain * (table.noise * float(np.sqrt(self._gain)))
        bgr = np.ascontiguousarray((np.clip(x, 0, 1) * 255).astype(np.uint8)[..., ::-1])
        _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, table.jpeg_quality])
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def ramp(t_s: float, from_s: float, over_s: float) -> float:
    """0 before ``from_s``, 1 from ``from_s + over_s`` on."""
    return float(np.clip((t_s - from_s) / over_s, 0, 1))


class Faults:
    """What is done to the camera, applied to its pictures in order.

    :param faults: as the scenario has them; ``turned`` is the view's business.
    """

    def __init__(self, faults: list[FaultTable], *, width: int, height: int, seed: int) -> None:
        self._faults = faults
        rng = np.random.default_rng(seed + 77)
        self._spots = [
            (rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.08, 0.22) * width, rng.uniform(0, 1))
            for _ in range(26)
        ]
        cloth = cv2.resize(
            rng.uniform(0.6, 1.0, (9, 16)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        self._cloth = (cloth[..., None] * np.array([20, 22, 27], np.float32)).clip(0, 255)
        self._last: U8 | None = None

    def state(self, t_s: float) -> str:
        """The camera's state at a moment: ok, or the kind of the fault."""
        kinds = [f.kind for f in self._faults if f.from_s <= t_s < f.to_s]
        return kinds[0] if kinds else "ok"

    def apply(self, picture: U8, t_s: float) -> U8:
        """The picture (H, W, 3) as it comes out."""
        for fault in self._faults:
            if not fault.from_s <= t_s < fault.to_s:
                continue
            if fault.kind == "frozen":
                self._last = picture if self._last is None else self._last
                return self._last
            if fault.kind == "defocused":
                sigma = 0.3 + 8.0 * ramp(t_s, fault.from_s, 1.0)
                picture = cv2.GaussianBlur(picture, (0, 0), sigma).astype(np.uint8)
            elif fault.kind == "covered":
                picture = self._covered(picture, ramp(t_s, fault.from_s, 0.6))
            elif fault.kind == "sprayed":
                picture = self._sprayed(picture, ramp(t_s, fault.from_s, 1.6))
        return picture

    def _covered(self, picture: U8, share: float) -> U8:
        height = picture.shape[0]
        edge = round(share * height * 1.1)
        mask = np.zeros(picture.shape[:2], np.float32)
        mask[:edge] = 1
        return _over(picture, self._cloth, np.asarray(cv2.GaussianBlur(mask, (0, 0), 7)) if share < 1 else mask)

    def _sprayed(self, picture: U8, share: float) -> U8:
        mask = np.zeros(picture.shape[:2], np.float32)
        for x, y, radius, when in self._spots:
            if when <= share:
                cv2.circle(
                    mask, (int(x), int(y)), int(radius * (0.35 + 0.65 * min(1.0, 2 * (share - when) + 0.4))), 1.0, -1
                )
        paint = np.full(picture.shape, (34, 30, 40), np.float32)
        return _over(picture, paint, 0.97 * np.asarray(cv2.GaussianBlur(mask, (0, 0), 9)))


def _over(picture: U8, cover: F32, mask: F32) -> U8:
    """The cover (H, W, 3) laid over the picture where the mask (H, W) is 1."""
    share = mask[..., None]
    out: U8 = (picture * (1 - share) + cover * share).clip(0, 255).astype(np.uint8)
    return out
