"""What the camera sees, in words for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.app.model_files import ModelFiles
from edge.app.view_checks import check_view, looks_moved
from edge.errors import DetectorError
from edge.health.interface import Status
from edge.rules.camera_tamper import BLINDED, COVERED, DARK, DEFOCUSED, FROZEN, SPRAYED, TURNED

if TYPE_CHECKING:
    from pathlib import Path

PASS, WARN, FAIL = Status.PASS, Status.WARN, Status.FAIL


@pytest.mark.parametrize(
    ("wrong", "status", "words"),
    [
        (None, PASS, ""),
        ((FROZEN, 9.0, 30.0), PASS, ""),
        ((FROZEN, 11.0, 30.0), WARN, "for 11 s the very same picture comes again and again. Take the camera's power"),
        ((FROZEN, 30.0, 30.0), FAIL, "power"),
        ((COVERED, 4.0, 5.0), PASS, ""),  # somebody walks by close to the lens
        ((COVERED, 5.0, 5.0), FAIL, "Take away what hangs"),
        ((SPRAYED, 30.0, 30.0), FAIL, "Clean the lens"),
        ((BLINDED, 30.0, 30.0), FAIL, "Shade it"),
        ((DARK, 30.0, 30.0), FAIL, "Switch the light on"),
        ((DEFOCUSED, 5.0, 5.0), FAIL, 'press "The view is right"'),
        ((TURNED, 61.0, 5.0), FAIL, "for 61 s the camera looks elsewhere. Turn it back"),
    ],
)
def test_what_is_wrong_with_a_view_is_said_with_what_to_do(
    wrong: tuple[str, float, float] | None, status: Status, words: str
) -> None:
    check = check_view("lobby", wrong)
    assert (check.name, check.status) == ("view:lobby", status)
    assert words in check.output


def test_only_what_may_be_meant_so_can_be_said_to_be_right() -> None:
    assert looks_moved((TURNED, 6.0, 5.0))
    assert not looks_moved((TURNED, 4.0, 5.0))
    assert not looks_moved((FROZEN, 60.0, 30.0))
    assert not looks_moved(None)


def test_a_model_whose_files_are_gone_is_told_before_the_next_start(tmp_path: Path) -> None:
    files = ModelFiles(lambda: tmp_path, model_file=lambda: "model.onnx")
    for name in ("manifest.json", "model.onnx"):
        (tmp_path / name).write_text("")
    files.look()
    assert files.check().status is PASS
    (tmp_path / "model.onnx").unlink()
    files.look()
    assert files.check().status is WARN
    assert "model.onnx is gone" in files.check().output
    assert "kiosk-guard model install" in files.check().output


def test_a_store_without_a_model_is_told_too() -> None:
    def none() -> Path:
        raise DetectorError("no model came with this installation")

    files = ModelFiles(none, model_file=lambda: "model.onnx")
    files.look()
    assert "no model came with this installation: the box judges on" in files.check().output
