from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.detect.letterbox import Geometry, Letterbox

side = st.integers(1, 4000)
inputs = st.integers(1, 40).map(lambda n: 32 * n)
fraction = st.floats(0, 1, width=32)


@given(side, side, inputs, inputs, st.lists(st.tuples(fraction, fraction, fraction, fraction), max_size=5))
def test_boxes_come_back_where_they_were(
    width: int, height: int, input_width: int, input_height: int, corners: list[tuple[float, float, float, float]]
) -> None:
    geometry = Geometry.fit(frame_width=width, frame_height=height, input_width=input_width, input_height=input_height)
    boxes = np.array(corners, np.float32).reshape(-1, 4) * np.array([width, height] * 2, np.float32)
    back = geometry.to_frame(geometry.to_input(boxes))
    assert back.dtype == np.float32
    # float32 holds about seven digits; the way there and back is a handful of operations.
    np.testing.assert_allclose(back, boxes, atol=max(width, height) * 1e-5 * max(1, width / geometry.width))


@given(side, side, inputs, inputs)
def test_the_picture_fits_is_centred_and_fills_one_direction(
    width: int, height: int, input_width: int, input_height: int
) -> None:
    g = Geometry.fit(frame_width=width, frame_height=height, input_width=input_width, input_height=input_height)
    assert 1 <= g.width <= input_width
    assert 1 <= g.height <= input_height
    assert g.width == input_width or g.height == input_height
    assert 0 <= (input_width - g.width) - 2 * g.left <= 1
    assert 0 <= (input_height - g.height) - 2 * g.top <= 1


def test_boxes_are_cut_at_the_frame() -> None:
    g = Geometry.fit(frame_width=100, frame_height=50, input_width=64, input_height=64)
    far = np.array([[-1000, -1000, 1000, 1000]], np.float32)
    assert g.to_frame(far).tolist() == [[0, 0, 100, 50]]


@pytest.mark.parametrize("size", [(0, 10), (10, 0)])
def test_a_frame_without_pixels_has_no_geometry(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Geometry.fit(frame_width=size[0], frame_height=size[1], input_width=32, input_height=32)


def test_the_picture_lies_in_grey_and_keeps_its_colours() -> None:
    letterbox = Letterbox(width=64, height=32, fill=114)
    image = np.zeros((10, 10, 3), np.uint8)
    image[:] = (255, 10, 0)
    tensor, geometry = letterbox(image)
    assert tensor.shape == (1, 32, 64, 3)
    assert (geometry.left, geometry.top, geometry.width, geometry.height) == (16, 0, 32, 32)
    assert (tensor[0, :, 16:48] == (255, 10, 0)).all()
    assert (tensor[0, :, :16] == 114).all()
    assert (tensor[0, :, 48:] == 114).all()


def test_one_buffer_serves_all_frames_and_nothing_of_the_last_one_stays() -> None:
    letterbox = Letterbox(width=64, height=64)
    first, _ = letterbox(np.full((20, 40, 3), 255, np.uint8))
    second, geometry = letterbox(np.full((40, 10, 3), 0, np.uint8))
    assert first is second
    assert (geometry.width, geometry.height) == (16, 64)
    assert set(np.unique(second)) == {0, 114}
    assert (second[0, :, : geometry.left] == 114).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (3000, 1, 3), (720, 1280, 3)])
def test_odd_shapes_pass(shape: tuple[int, int, int]) -> None:
    tensor, geometry = Letterbox(width=416, height=256)(np.full(shape, 7, np.uint8))
    window = tensor[0, geometry.top : geometry.top + geometry.height, geometry.left : geometry.left + geometry.width]
    assert (window == 7).all()


def test_a_view_that_is_not_contiguous_is_read_as_it_looks() -> None:
    big = np.random.default_rng(1).integers(0, 255, (80, 120, 3), dtype=np.uint8)
    view = big[10:50, 20:100]
    letterbox = Letterbox(width=96, height=64)
    one = letterbox(view)[0].copy()
    two = letterbox(np.ascontiguousarray(view))[0]
    assert (one == two).all()
