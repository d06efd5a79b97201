"""How this box runs a model soonest, as it was measured here: which variant of it, and on how many threads."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Annotated, Literal

import onnxruntime as ort
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

CHOICE_NAME = "model-choice.json"
_MAX_BYTES = 64 * 1024


class Choice(BaseModel):
    """What was chosen, and for what: another model, onnxruntime or number of processors was not measured.

    ``sha256``: of the model; ``variant``: empty: the model itself; ``measured_ms``: wall time of a picture, by candidate.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    schema_version: Literal[1] = 1
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    runtime: str
    processors: Annotated[int, Field(ge=1)]
    variant: str
    threads: Annotated[int, Field(ge=1, le=16)]
    measured_ms: dict[str, float] = {}


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def read_choice(state_dir: Path, *, sha256: str) -> Choice | None:
    """The choice for the model with this hash on this machine as it is now; None: there is none.

    A file that cannot be read is as good as none: it only says what is faster.
    """
    try:
        with (state_dir / CHOICE_NAME).open("rb") as file:
            found = Choice.model_validate_json(file.read(_MAX_BYTES))
    except (OSError, ValidationError):
        return None
    here = (sha256, ort.__version__, processors())
    return found if (found.sha256, found.runtime, found.processors) == here else None


def write_choice(state_dir: Path, choice: Choice) -> None:
    """Keep it; a power cut leaves the one before or this one.

    :raises StateError: it cannot be written.
    """
    path = state_dir / CHOICE_NAME
    new = path.with_suffix(".new")
    try:
        with new.open("w") as file:
            file.write(choice.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise StateError(
            f"{path}: cannot be written: {error.strerror}", hint="try as root, or as the service's user"
        ) from None
