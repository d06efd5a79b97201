"""The tests see the installed package, not the source tree beside them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import edge

REPO = Path(__file__).resolve().parents[2]


def test_the_wheel_is_what_is_tested() -> None:
    environment = os.environ.get("KIOSK_GUARD_TESTED")
    if not environment:
        pytest.skip("only ./tests/run installs the wheel")
    where = Path(edge.__file__)
    assert Path(environment).parent in where.parents
    assert "site-packages" in where.parts
    shipped = where.parent / "models" / "shipped"
    for name in ("model.onnx", "manifest.json"):
        assert (shipped / name).read_bytes() == (REPO / "weights" / "kiosk" / name).read_bytes()
