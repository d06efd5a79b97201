"""What a model is known to do wrong on the rendered clips: ``tests/clips/known/MODEL.json``, with figures and reasons."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from export.errors import DatasetError
from export.events.behaved import UNLIKE
from export.events.causes import UNSEEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from export.events.suite import Verdict

NOT_LOOKED_INTO = "not looked into yet"
MEASURED = frozenset({UNSEEN, UNLIKE})  # reasons that only a measurement gives


def read_known(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    """The known departures of one model: clip -> fault -> its ``figure`` and ``reason``; none if there is no file.

    :raises DatasetError: the file is not what it should be.
    """
    try:
        clips = json.loads(path.read_text(encoding="utf-8"))["clips"]
        return {
            str(clip): {str(fault): {"figure": str(v["figure"]), "reason": str(v["reason"])} for fault, v in of.items()}
            for clip, of in clips.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} cannot be used: {type(error).__name__}: {error}") from error


def write_known(
    path: Path,
    model: str,
    verdicts: Iterable[Verdict],
    causes: Mapping[str, Mapping[str, tuple[str, str]]] | None = None,
) -> list[tuple[str, str, str, str]]:
    """Write the departures of now, and those alone.

    A reason that was measured counts. Where none was, the one that somebody wrote stays, as long as the departure is the
    same but for its numbers; else it is to be filled in.

    :param causes: clip -> fault -> what was measured and the reason that follows, each "" for none.
    :returns: clip, fault, figure before and now of reasons that stay although numbers are others: to be looked at.
    """
    before = read_known(path)
    clips: dict[str, dict[str, dict[str, str]]] = {}
    doubtful = []
    for verdict in sorted(verdicts, key=lambda v: v.clip):
        of = {}
        for fault, opened in verdict.faults.items():
            measured, reason = (causes or {}).get(verdict.clip, {}).get(fault, ("", ""))
            figure = f"{opened}; {measured}" if measured else opened
            known = before.get(verdict.clip, {}).get(fault, {"figure": "", "reason": ""})
            written = known["reason"] if not reason and _holds(known, figure) else ""
            if written and known["figure"] != figure:
                doubtful.append((verdict.clip, fault, known["figure"], figure))
            of[fault] = {"figure": figure, "reason": reason or written or NOT_LOOKED_INTO}
        if of:
            clips[verdict.clip] = of
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"model": model, "clips": clips}, indent=1) + "\n", encoding="utf-8")
    return doubtful


def _holds(known: Mapping[str, str], figure: str) -> bool:
    """Whether a reason may go on: somebody wrote it, and of this departure."""
    measured = known["reason"] in MEASURED
    return not measured and known["reason"] != NOT_LOOKED_INTO and _wording(known["figure"]) == _wording(figure)


def _wording(figure: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "#", figure)


def not_looked_into(known: Mapping[str, Mapping[str, Mapping[str, str]]]) -> list[tuple[str, str]]:
    """Clip and fault of what has no reason yet."""
    return [(clip, fault) for clip, of in known.items() for fault, v in of.items() if v["reason"] == NOT_LOOKED_INTO]
