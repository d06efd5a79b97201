"""What a model is known to do wrong on the rendered clips: ``tests/clips/known/MODEL.json``, with figures and reasons."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from export.errors import DatasetError
from export.events.causes import UNSEEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from export.events.suite import Verdict

NOT_LOOKED_INTO = "not looked into yet"


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
) -> None:
    """Write the departures of now.

    The reasons of those that were known stay. Others get the one that was measured; where none was, it is to be filled in.

    :param causes: clip -> fault -> what was measured and the reason that follows, each "" for none.
    """
    before = read_known(path)
    clips = {}
    for verdict in sorted(verdicts, key=lambda v: v.clip):
        of = {}
        for fault, figure in verdict.faults.items():
            measured, reason = (causes or {}).get(verdict.clip, {}).get(fault, ("", ""))
            known = before.get(verdict.clip, {}).get(fault, {}).get("reason", "")
            # What the detector did not see, it may see now: then the old reason is none any more.
            known = "" if known == UNSEEN and not reason else known
            of[fault] = {
                "figure": f"{figure}; {measured}" if measured else figure,
                "reason": known or reason or NOT_LOOKED_INTO,
            }
        if of:
            clips[verdict.clip] = of
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"model": model, "clips": clips}, indent=1) + "\n", encoding="utf-8")


def not_looked_into(known: Mapping[str, Mapping[str, Mapping[str, str]]]) -> list[tuple[str, str]]:
    """Clip and fault of what has no reason yet."""
    return [(clip, fault) for clip, of in known.items() for fault, v in of.items() if v["reason"] == NOT_LOOKED_INTO]
