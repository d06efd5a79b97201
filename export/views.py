"""Ways of looking at the validation pictures: the light of a kiosk, and the shape of its camera's picture.

The degradations share no formula with the training recipe (``export/augment.py``): darkness here is less light with
shot and row noise in linear light, contrast is an S-curve between percentiles, grey is CIE lightness. A model that has
only learnt the recipe's own noise gets no better figure from it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from edge.types import F32, U8

LIGHTS = ("as_is", "low_light", "high_contrast", "grayscale")
FRAMINGS = ("", "16x9")
_WIDE = 16 / 9
# A crop may cut so much off a labelled box and still show the thing.
_MAY_LOSE = 0.10
_LIGHT_LEFT = 0.08
_PHOTONS = 600.0
_ROW_NOISE = 0.0015
_CURVE = 9.0


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """One way of looking: ``light`` out of ``LIGHTS``; ``wide``: cropped or composed to 16:9; ``mirrored``: left for right."""

    light: str = "as_is"
    wide: bool = False
    mirrored: bool = False

    @property
    def name(self) -> str:
        """For the manifest: "low_light", "low_light_16x9", "low_light_16x9_mirrored"."""
        return self.light + "_16x9" * self.wide + "_mirrored" * self.mirrored

    def __call__(self, image: U8, xyxy: F32, *, seed: str) -> tuple[U8, F32]:
        """The picture and its boxes, both in pixels, as this view shows them.

        :param image: uint8 (H, W, 3) BGR.
        :param xyxy: float32 (N, 4).
        :param seed: a name of the picture; the same name gives the same noise.
        """
        if self.wide:
            image, xyxy = widescreen(image, xyxy)
        if self.mirrored:
            image, xyxy = _mirror(image, xyxy)
        number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
        return lit(image, self.light, np.random.default_rng(number)), xyxy


ALL_VIEWS = tuple(ViewSpec(light, bool(framing)) for framing in FRAMINGS for light in LIGHTS)
# What a threshold is chosen from: the same pictures four times over, for a few dozen boxes of a class decide.
THRESHOLD_VIEWS = tuple(ViewSpec(wide=wide, mirrored=mirrored) for mirrored in (False, True) for wide in (False, True))


def lit(image: U8, light: str, rng: np.random.Generator) -> U8:
    """The picture in one of ``LIGHTS``."""
    match light:
        case "as_is":
            return image
        case "low_light":
            return _low_light(image, rng)
        case "high_contrast":
            return _high_contrast(image)
        case "grayscale":
            lightness = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)[..., :1]
            return np.repeat(np.asarray(lightness, np.uint8), 3, axis=2)
    raise ValueError(f"no such light: {light}")


def _low_light(image: U8, rng: np.random.Generator) -> U8:
    """Eight hundredths of the light: photons are counted, rows are read with a noise of their own, and four times the signal is shown."""
    linear = (np.arange(256, dtype=np.float32) / 255) ** 2.2
    photons = rng.poisson(linear[image] * (_LIGHT_LEFT * _PHOTONS)).astype(np.float32)
    seen = photons / np.float32(_PHOTONS) + rng.standard_normal((image.shape[0], 1, 1), np.float32) * _ROW_NOISE
    out: U8 = (255 * np.clip(seen * 4, 0, 1) ** (1 / 2.2)).astype(np.uint8)
    return out


def _high_contrast(image: U8) -> U8:
    """An S-curve between the 10th and the 90th percentile of the picture's lightness."""
    low, high = np.percentile(image, (10, 90))
    position = (np.arange(256) - low) / max(high - low, 1) - 0.5
    table = (255 / (1 + np.exp(np.clip(-_CURVE * position, -50, 50)))).astype(np.uint8)
    out: U8 = table[image]
    return out


def _mirror(image: U8, xyxy: F32) -> tuple[U8, F32]:
    moved = xyxy.copy()
    moved[:, [0, 2]] = image.shape[1] - xyxy[:, [2, 0]]
    return np.ascontiguousarray(image[:, ::-1]), moved


def widescreen(image: U8, xyxy: F32) -> tuple[U8, F32]:
    """The picture in 16:9: cropped where no labelled box is lost, else set into a wide, blurred surrounding of its own.

    :param image: uint8 (H, W, 3); ``xyxy``: float32 (N, 4), pixels.
    """
    height, width = image.shape[:2]
    if abs(width / height - _WIDE) < 0.01:
        return image, xyxy
    cropped = _cropped(image, xyxy)
    return cropped if cropped is not None else _composed(image, xyxy)


def _cropped(image: U8, xyxy: F32) -> tuple[U8, F32] | None:
    height, width = image.shape[:2]
    tall = width / height < _WIDE
    long, cut = (height, round(width / _WIDE)) if tall else (width, round(height * _WIDE))
    if cut < 1 or cut > long or (tall and cut < 0.6 * height):
        return None  # a slice of a portrait is no kiosk picture
    axis = 1 if tall else 0
    middle = float(xyxy[:, axis].min() + xyxy[:, axis + 2].max()) / 2 if len(xyxy) else long / 2
    start = int(np.clip(round(middle - cut / 2), 0, long - cut))
    moved = xyxy.copy()
    moved[:, [axis, axis + 2]] = np.clip(xyxy[:, [axis, axis + 2]] - start, 0, cut)
    before = xyxy[:, axis + 2] - xyxy[:, axis]
    if len(xyxy) and ((moved[:, axis + 2] - moved[:, axis]) < before * (1 - _MAY_LOSE)).any():
        return None
    part = image[start : start + cut] if tall else image[:, start : start + cut]
    return np.ascontiguousarray(part), moved


def _composed(image: U8, xyxy: F32) -> tuple[U8, F32]:
    height, width = image.shape[:2]
    if width / height < _WIDE:
        canvas_width, canvas_height = round(height * _WIDE), height
    else:
        canvas_width, canvas_height = width, round(width / _WIDE)
    small = cv2.resize(image, (16, 9), interpolation=cv2.INTER_AREA)
    canvas = np.asarray(cv2.resize(small, (canvas_width, canvas_height), interpolation=cv2.INTER_CUBIC), np.uint8)
    left, top = (canvas_width - width) // 2, (canvas_height - height) // 2
    canvas[top : top + height, left : left + width] = image
    return canvas, xyxy + np.array([left, top] * 2, np.float32)
