"""Whether the model that runs could be loaded again: it judges from memory, and a file that is gone shows at the next start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.detect.manifest import MANIFEST_NAME
from edge.errors import KioskError
from edge.health.interface import Check, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NAME = "model_files"


class ModelFiles:
    """Looks every few seconds, without reading them.

    :param bundle: the folder that the next start would load; raises ``KioskError``: there is none.
    :param model_file: the name of the model's file in it.
    """

    def __init__(self, bundle: Callable[[], Path], *, model_file: Callable[[], str]) -> None:
        self._bundle = bundle
        self._model_file = model_file
        self._check = Check(_NAME, Status.PASS)

    def look(self) -> None:
        """Waits for the disk: for a thread that may."""
        self._check = Check(_NAME, Status.WARN if (words := self._wrong()) else Status.PASS, words)

    def check(self) -> Check:
        """As of the last look."""
        return self._check

    def _wrong(self) -> str:
        try:
            bundle = self._bundle()
        except KioskError as error:
            return _words(error.message)
        gone = [str(bundle / n) for n in (MANIFEST_NAME, self._model_file()) if not (bundle / n).is_file()]
        return _words(f"{' and '.join(gone)} {'are' if len(gone) > 1 else 'is'} gone") if gone else ""


def _words(why: str) -> str:
    return (
        f"{why}: the box judges on from memory, and will not guard after its next start. "
        "Install a model again: kiosk-guard model install"
    )
