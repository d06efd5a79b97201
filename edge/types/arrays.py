"""The kinds of arrays that the values hold, and how each is checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
C64 = npt.NDArray[np.complex64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

IS_F32, IS_F64, IS_I64, IS_U8, IS_BOOL = (np.dtype(t) for t in (np.float32, np.float64, np.int64, np.uint8, np.bool_))


def check_column(
    owner: str, name: str, array: npt.NDArray[Any], dtype: np.dtype[Any], shape: tuple[int | None, ...]
) -> None:
    """Make it read-only. :raises ValueError: another type, or another shape; None: as long as it likes."""
    # Asked some twenty times a frame: what fits exactly is let through at once.
    fits = array.shape == shape or (
        array.ndim == len(shape) and all(w is None or w == g for w, g in zip(shape, array.shape, strict=True))
    )
    if not fits or array.dtype != dtype:
        wanted = ", ".join("any" if s is None else str(s) for s in shape)
        raise ValueError(f"{owner}.{name}: wanted {dtype} of shape ({wanted}), got {array.dtype} of {array.shape}")
    array.setflags(write=False)
