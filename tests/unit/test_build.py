"""Which rules a box gets, with a model that knows all they need, and with one that does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
from fakes.detectors import FakeDetector

from edge.app.build import build_detector, build_line, resting_rules
from edge.app.build_behaviour import learnt_with
from edge.config import Config
from edge.errors import ConfigError

COCO = ("person", "knife", "cell phone")
KIOSK = ("person", "firearm", "knife", "tool", "face_cover", "helmet", "phone")


def config(**rules: Any) -> Config:
    return Config.model_validate({"cameras": [{"name": "lobby", "source": "/dev/video0"}], "rules": rules})


MODEL, MAP = learnt_with()


def names(made: Config, classes: tuple[str, ...], map_name: str = MAP) -> list[str]:
    return [r.name for r in build_line(made, made.cameras[0], FakeDetector(classes=classes, map_name=map_name)).rules]


PEOPLE = [
    "camera_tamper",
    "loitering",
    "restricted_area",
    "closed_hours",
    "crowding",
    "person_down",
    "assault",
    "machine_tampering",
]


def test_a_model_that_knows_everything_gets_all_rules_that_are_on() -> None:
    assert sorted(names(config(), KIOSK)) == sorted([*PEOPLE, "firearm", "knife", "tool", "helmet"])
    assert resting_rules(config(), KIOSK, MAP) == {}
    assert "face_cover" in names(config(face_cover={"enabled": True}), KIOSK)


def test_rules_whose_class_the_model_lacks_rest_and_are_named() -> None:
    assert sorted(names(config(), COCO)) == sorted([*PEOPLE, "knife"])
    assert resting_rules(config(), COCO, MAP) == {"firearm": ("firearm",), "tool": ("tool",), "helmet": ("helmet",)}


def test_struggles_rest_with_a_model_that_they_were_not_learnt_with() -> None:
    assert resting_rules(config(), KIOSK, "other 7") == {"assault": (f"struggles (they were learnt with {MODEL})",)}
    assert "assault" not in names(config(), KIOSK, map_name="other 7")
    assert "machine_tampering" in names(config(), KIOSK, map_name="other 7")
    assert resting_rules(config(assault={"enabled": False}), KIOSK, "other 7") == {}


def test_a_rule_that_is_off_does_not_rest() -> None:
    off = {name: {"enabled": False} for name in ("firearm", "tool", "helmet", "knife")}
    assert resting_rules(config(**off), COCO, MAP) == {}
    assert names(config(**off), COCO) == PEOPLE


def test_other_classes_can_stand_in() -> None:
    made = config(tool={"classes": ["knife"]})
    assert "tool" in names(made, COCO)
    assert "tool" not in resting_rules(made, COCO, MAP)


def test_a_class_that_the_file_names_must_be_known() -> None:
    with pytest.raises(ConfigError, match=r"rules\.firearm: the model .* knows no 'gun'"):
        build_detector(config(firearm={"classes": ["gun"]}), Path("kiosk.toml"))


def test_a_rule_that_is_off_may_name_anything() -> None:
    detector = build_detector(config(firearm={"classes": ["gun"], "enabled": False}), Path("kiosk.toml"))
    assert "person" in detector.classes


def test_small_pictures_are_not_spread_over_all_cores() -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        build_detector(config(), Path("kiosk.toml"))
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)
