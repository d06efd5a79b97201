"""Pictures as a kiosk's camera might have taken them: what training shows the model besides the pictures themselves."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from edge.types import U8
    from export.recipe import Recipe

_BLACK = 3  # of 255: below it nobody sees anything


class KioskAugment:
    """Applies a recipe's effects, each by its own chance. Boxes stay where they are: no effect moves a pixel.

    As an ultralytics transform it changes ``labels["img"]``, uint8 (H, W, 3) BGR. Chance comes from Python's ``random``,
    which ultralytics seeds in every process that loads pictures.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        labels["img"] = self.picture(labels["img"], np.random.default_rng(random.getrandbits(63)))
        return labels

    def picture(self, image: U8, rng: np.random.Generator) -> U8:
        """One picture with the effects that ``rng`` picks, in the order in which light goes: scene, lens, sensor, stream."""
        r = self._recipe
        if rng.random() < r.back_light.probability:
            image = back_light(image, rng, glow=rng.uniform(*r.back_light.glow), dim=rng.uniform(*r.back_light.dim))
        if rng.random() < r.motion_blur.probability:
            image = motion_blur(image, length=rng.uniform(*r.motion_blur.length), angle=rng.uniform(0, np.pi))
        if rng.random() < r.infrared.probability:
            image = infrared(image, rng, vignette=rng.uniform(*r.infrared.vignette))
        if rng.random() < r.low_light.probability:
            image = low_light(
                image,
                rng,
                gamma=rng.uniform(*r.low_light.gamma),
                gain=rng.uniform(*r.low_light.gain),
                noise=rng.uniform(*r.low_light.noise),
            )
        if rng.random() < r.high_contrast.probability:
            image = high_contrast(image, gain=rng.uniform(*r.high_contrast.gain))
        if rng.random() < r.jpeg.probability:
            image = jpeg(image, quality=round(rng.uniform(*r.jpeg.quality)))
        return image


def low_light(image: U8, rng: np.random.Generator, *, gamma: float, gain: float, noise: float) -> U8:
    """Darker by ``gamma`` and ``gain``, then noise of standard deviation ``noise``, alike in neighbouring channels."""
    table = 255 * gain * (np.arange(256) / 255) ** gamma
    dark = table.astype(np.float32)[image]
    shape = image.shape[:2]
    grain = rng.standard_normal((*shape, 1), np.float32) * 0.8 + rng.standard_normal(image.shape, np.float32) * 0.6
    return _bytes(np.maximum(dark, _BLACK) + grain * np.float32(noise))


def high_contrast(image: U8, *, gain: float) -> U8:
    """Contrast around the middle; what leaves the range is cut."""
    return _bytes((np.arange(256) - 127.5) * gain + 127.5)[image]


def back_light(image: U8, rng: np.random.Generator, *, glow: float, dim: float) -> U8:
    """A bright spot somewhere, the rest dimmed, as when a person stands before a glass door."""
    height, width = image.shape[:2]
    x, y = rng.uniform(0, width), rng.uniform(0, height * 0.7)
    spread = rng.uniform(0.15, 0.4) * max(width, height)
    away = ((np.arange(width) - x) ** 2)[None, :] + ((np.arange(height) - y) ** 2)[:, None]
    spot = np.exp(-away / (2 * spread**2)).astype(np.float32)[..., None]
    return _bytes(image * np.float32(dim) + spot * np.float32(glow))


def infrared(image: U8, rng: np.random.Generator, *, vignette: float) -> U8:
    """One channel of chance weights, three times; corners darker."""
    weights = rng.dirichlet((2, 2, 2)).astype(np.float32)
    height, width = image.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] ** 2
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] ** 2
    grey = (image @ weights) * (1 - np.float32(vignette) * (x + y) / 2)
    return np.repeat(_bytes(grey)[..., None], 3, axis=2)


def motion_blur(image: U8, *, length: float, angle: float) -> U8:
    """Smeared over ``length`` pixels along ``angle``, radians."""
    side = max(int(length) | 1, 3)
    kernel = np.zeros((side, side), np.float32)
    middle = side // 2
    reach = np.linspace(-middle, middle, side * 4)
    rows = np.round(middle + reach * np.sin(angle)).astype(int)
    columns = np.round(middle + reach * np.cos(angle)).astype(int)
    kernel[rows, columns] = 1
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT), np.uint8)


def jpeg(image: U8, *, quality: int) -> U8:
    """Through JPEG at ``quality``, 1..100."""
    _, stream = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(stream, cv2.IMREAD_COLOR), np.uint8)


def _bytes(value: Any) -> U8:
    out: U8 = np.clip(np.round(value), 0, 255).astype(np.uint8)
    return out
