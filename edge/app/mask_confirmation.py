"""Pictures of a camera that was turned away are withheld until somebody says that its masks lie where they should."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.app.state import as_owner
from edge.errors import StateError
from edge.rules.camera_tamper import CameraTamper

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.pipeline import Line

log = logging.getLogger(__name__)

_PREFIX = "masks-unconfirmed-"


class MaskKeeper:
    """Keeps over a restart which cameras' pictures are withheld, as one file each, and hears when they are confirmed.

    :param lines: camera name -> what follows it.
    """

    def __init__(self, lines: Mapping[str, Line], state_dir: Path) -> None:
        self._lines = dict(lines)  # masks may be drawn, and removed, while it runs
        self._dir = state_dir
        self._kept = {name for name, line in self._lines.items() if line.masks and self._file(name).exists()}
        for name in self._kept:
            self._lines[name].masks.withheld = True

    def look(self) -> None:
        """One look; called every few seconds. :raises StateError: the file cannot be written."""
        for name, line in self._lines.items():
            file = self._file(name)
            if name in self._kept and not file.exists():
                self._kept.discard(name)
                for rule in line.rules:
                    if isinstance(rule, CameraTamper):
                        rule.relearn()
                line.masks.withheld = False
                self._tell(name, "the masks are confirmed; pictures are kept and sent again", withheld=False)
            elif name not in self._kept and line.masks.withheld:
                try:
                    file.touch(mode=0o640)
                except OSError as error:
                    raise StateError(f"{file} cannot be written: {error.strerror}", hint="is the disk full?") from error
                self._kept.add(name)
                hint = "pictures are withheld until `kiosk-guard confirm-masks`"
                self._tell(name, f"the camera was turned away and its masks lie elsewhere: {hint}", withheld=True)

    def _file(self, camera: str) -> Path:
        return self._dir / f"{_PREFIX}{camera}"

    @staticmethod
    def _tell(camera: str, words: str, *, withheld: bool) -> None:
        extra = {"kg": {"event": "pictures_withheld", "camera": camera, "withheld": withheld}}
        log.warning(f'camera "{camera}": {words}', extra=extra)


def confirm_masks(state_dir: Path) -> str:
    """Tell the service that all masks lie where they should; returns what to print. :raises StateError: not possible."""
    files = sorted(state_dir.glob(f"{_PREFIX}*"))
    if not files:
        return "no pictures are withheld"
    try:
        with as_owner(state_dir):
            for file in files:
                file.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"{error.filename} cannot be removed: {error.strerror}", hint="try as root") from error
    names = ", ".join(file.name.removeprefix(_PREFIX) for file in files)
    return f"confirmed: {names}; pictures are kept and sent again within some seconds"
