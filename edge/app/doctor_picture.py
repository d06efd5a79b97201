"""Whether a camera hangs where it can do its work: light, sharpness, the height of people, and the PIN pad's mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.health.interface import Check, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.detect.interface import Detector
    from edge.types import U8, Frame

_DARK, _BRIGHT = 25.0, 235.0  # mean grey of 0..255
_FLAT = 6.0  # standard deviation of the grey values: a covered lens, a wall, fog
# Half a per cent of the picture has edges at least so strong (Laplacian of a picture 480 px high). Rendered
# lobbies in focus: above 70, at night too; defocused or blurred by 3 px: below 20, camera noise included.
_SOFT = 35.0
_SMALL_PX, _TOO_SMALL_PX = 90, 50  # of a standing person, in a picture as the model sees it
_MODEL_HEIGHT_PX = 416


def check_light(name: str, image: U8) -> Check:
    """Whether there is light enough, and not too much. :param image: (H, W, 3) BGR."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    mean, spread = float(np.mean(grey)), float(np.std(grey))
    where = f"light:{name}"
    if spread < _FLAT:
        return Check(where, Status.FAIL, "the picture shows nothing: lens covered, or no light at all", round(mean))
    if mean < _DARK:
        return Check(where, Status.WARN, "the picture is dark: more light, or a camera with infrared", round(mean))
    if mean > _BRIGHT:
        return Check(
            where, Status.WARN, "the picture is too bright: turn the camera away from window or lamp", round(mean)
        )
    return Check(where, Status.PASS, "", round(mean))


def check_sharpness(name: str, image: U8) -> Check:
    """Whether the lens is in focus. :param image: (H, W, 3) BGR."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    scaled = cv2.resize(grey, (max(1, round(width * 480 / height)), 480), interpolation=cv2.INTER_AREA)
    value = float(np.percentile(np.abs(cv2.Laplacian(scaled, cv2.CV_32F, ksize=3)), 99.5))
    if value < _SOFT:
        words = "the picture is soft: wipe the lens, then focus it"
        return Check(f"sharpness:{name}", Status.WARN, words, round(value, 1))
    return Check(f"sharpness:{name}", Status.PASS, "", round(value, 1))


def check_people(name: str, frames: Sequence[Frame], detector: Detector) -> Check:
    """Whether people are large enough in the picture: the smallest whole one counts.

    :raises DetectorError: the model cannot be run.
    """
    where = f"people:{name}"
    person = detector.classes.index("person")
    heights = []
    for frame in frames:
        found = detector.detect(frame)
        tall, wide = frame.image.shape[:2]
        scale = min(1.0, _MODEL_HEIGHT_PX / max(tall, wide))
        for (x1, y1, x2, y2), class_id in zip(found.xyxy, found.class_id, strict=True):
            whole = x1 > 2 and y1 > 2 and x2 < wide - 2 and y2 < tall - 2
            if class_id == person and whole and y2 - y1 > x2 - x1:
                heights.append(float((y2 - y1) * scale))
    if not heights:
        words = "nobody is in the picture: walk to the far end of the lobby and run this again to have it measured"
        return Check(where, Status.PASS, words, None, "px")
    smallest = round(min(heights))
    if smallest < _TOO_SMALL_PX:
        words = f"a person is only {smallest} px high for the model: hang the camera nearer, or take a longer lens"
        return Check(where, Status.FAIL, words, smallest, "px")
    if smallest < _SMALL_PX:
        words = f"a person is {smallest} px high for the model: objects in hands will be missed; nearer is better"
        return Check(where, Status.WARN, words, smallest, "px")
    return Check(where, Status.PASS, "", smallest, "px")


def check_pin_mask(name: str, *, masks: int, pad_in_view: bool, guarded: bool) -> Check:
    """Whether nobody will see how PINs are typed.

    :param pad_in_view: as the configuration declares.
    :param guarded: it is watched whether the camera was moved.
    """
    where = f"pin mask:{name}"
    if masks and not guarded:
        words = "masks are drawn, but nobody notices when the camera is moved: [rules.camera_tamper] enabled = true"
        return Check(where, Status.FAIL, words, masks)
    if masks:
        return Check(where, Status.PASS, "" if pad_in_view else "a mask is drawn, though no PIN pad is in view", masks)
    if not pad_in_view:
        return Check(where, Status.PASS, "declared: no PIN pad in view")
    words = "no privacy mask: draw one over the PIN pad on the page (Zones), or declare in [[cameras]]: pin_pad_in_view = false"
    return Check(where, Status.FAIL, words, 0)
