from __future__ import annotations

import numpy as np
from fakes.scenes import KNIFE, Thing, tracks, zone

from edge.annotate import annotate
from edge.types import ZoneKind

CLASSES = ("person", "cell phone", "knife")


def blank(width: int = 640, height: int = 360) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def test_the_picture_itself_is_left_alone() -> None:
    image = blank()
    image.flags.writeable = False
    drawn = annotate(image, tracks(Thing(1)), classes=CLASSES, zones=[zone(ZoneKind.LOBBY, 0, 0.5, 1, 1)])
    assert drawn.shape == image.shape
    assert (image == 90).all()
    assert (drawn != image).any()


def test_an_alarmed_box_looks_different() -> None:
    calm = annotate(blank(), tracks(Thing(1)), classes=CLASSES)
    hot = annotate(blank(), tracks(Thing(1)), classes=CLASSES, alarmed=[1])
    red = (hot[..., 2] > 200) & (hot[..., 0] < 100)
    assert red.sum() > 500
    assert not ((calm[..., 2] > 200) & (calm[..., 0] < 100)).any()


def test_a_caption_covers_nothing() -> None:
    drawn = annotate(blank(), tracks(), classes=CLASSES, caption=["loitering (low)", "Zürich 12:00"])
    assert drawn.shape[0] > 360
    assert (drawn[:360] == 90).all()
    assert (drawn[360:] > 128).any()


def test_nothing_outside_the_picture_or_of_an_unknown_class_breaks_it() -> None:
    odd = tracks(Thing(1, x=-500), Thing(2, x=5000, feet=9000), Thing(3, cls=99), Thing(4, cls=KNIFE, height=1))
    for size in ((640, 360), (8, 8), (1, 1)):
        assert annotate(blank(*size), odd, classes=CLASSES, notes={1: "9 s"}).shape[1] == size[0]
