"""The training recipe: which kiosk pictures training imitates, how strongly and how often."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from export.errors import ExportError, MissingInputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_RECIPE = Path(__file__).resolve().parent / "recipes" / "kiosk.toml"


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("must be [least, most]")
    return pair


Unit = Annotated[float, Field(ge=0, le=1)]
_UnitRange = Annotated[tuple[Unit, Unit], AfterValidator(_ordered)]
_Gamma = Annotated[
    tuple[Annotated[float, Field(ge=1, le=6)], Annotated[float, Field(ge=1, le=6)]], AfterValidator(_ordered)
]
_Byte = Annotated[float, Field(ge=0, le=255)]
_Bytes = Annotated[tuple[_Byte, _Byte], AfterValidator(_ordered)]
_Length = Annotated[
    tuple[Annotated[float, Field(ge=1, le=50)], Annotated[float, Field(ge=1, le=50)]], AfterValidator(_ordered)
]
_Quality = Annotated[
    tuple[Annotated[float, Field(ge=1, le=100)], Annotated[float, Field(ge=1, le=100)]], AfterValidator(_ordered)
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Effect(_Strict):
    probability: Unit


class LowLight(_Effect):
    """Gamma, gain, then sensor noise (standard deviation, of 255)."""

    gamma: _Gamma
    gain: _UnitRange
    noise: _Bytes


class HighContrast(_Effect):
    """Contrast around the middle."""

    gain: _Gamma


class BackLight(_Effect):
    """A glow of so much at its middle, of 255; the rest times ``dim``."""

    glow: _Bytes
    dim: _UnitRange


class Infrared(_Effect):
    """One channel; corners darker by ``vignette``, 0..1."""

    vignette: _UnitRange


class MotionBlur(_Effect):
    """A straight smear of ``length`` pixels."""

    length: _Length


class Jpeg(_Effect):
    """JPEG's blocks at this quality, 1..100."""

    quality: _Quality


class Ultralytics(_Strict):
    """Settings handed to ultralytics under its own names."""

    optimizer: Literal["auto", "SGD", "AdamW", "Adam", "MuSGD"] = "auto"
    lr0: Annotated[float, Field(gt=0, le=1)] = 0.01
    lrf: Annotated[float, Field(gt=0, le=1)] = 0.01
    cos_lr: bool = False
    nbs: Annotated[int, Field(ge=1)] = 64
    mosaic: Unit = 1.0
    close_mosaic: Annotated[int, Field(ge=0)] = 10
    warmup_epochs: Annotated[float, Field(ge=0, le=20)] = 3.0
    warmup_bias_lr: Annotated[float, Field(ge=0, le=1)] = 0.1
    mixup: Unit = 0.0
    scale: Unit = 0.5
    translate: Unit = 0.1
    degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    fliplr: Unit = 0.5
    hsv_h: Unit = 0.015
    hsv_s: Unit = 0.7
    hsv_v: Unit = 0.4
    patience: Annotated[int, Field(ge=1)] = 100


class Recipe(_Strict):
    """The whole file; every effect must be there, with probability 0 if it is not wanted."""

    low_light: LowLight
    high_contrast: HighContrast
    back_light: BackLight
    infrared: Infrared
    motion_blur: MotionBlur
    jpeg: Jpeg
    ultralytics: Ultralytics = Ultralytics()

    def sha256(self) -> str:
        """Of the values, whatever the comments and the order in the file."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file.

    :raises MissingInputError: no such file.
    :raises ExportError: no TOML, or a key that is unknown, missing or out of range; all of them are named.
    """
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file", hint="name a recipe in TOML") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ExportError(f"{path}: cannot be read as TOML: {error}") from None
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        faults = "\n".join(
            f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_url=False)
        )
        raise ExportError(faults, hint=f"compare with {DEFAULT_RECIPE.name}, which names every key") from None
