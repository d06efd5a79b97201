"""Pictures of a camera that was moved are withheld until somebody says that its masks lie where they should."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import numpy as np

from edge.alerts.evidence_files import write_synced
from edge.app.state import as_owner
from edge.clock import SystemClock
from edge.errors import StateError
from edge.rules.camera_tamper import CameraTamper
from edge.rules.view import free_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge.clock import Clock
    from edge.pipeline import Line
    from edge.types import F32, Bool

log = logging.getLogger(__name__)

_PREFIX = "masks-unconfirmed-"
_VIEW = "view-"
_REWRITE_S = 3600.0  # the hours of the day change what a camera sees; a card wears by writing
_BESIDE = 0.03  # so far beside a mask, too, nothing is kept: edges blend what lies next to each other
_ROOM = (1000, 1000)


class MaskKeeper:
    """Keeps over a restart which cameras' pictures are withheld, as one file each, and hears when they are confirmed.

    A camera with masks may be moved while the box is off, too: what it saw is kept in another file, as edges and without
    all that lies under masks, and the next life judges by that.

    :param lines: camera name -> what follows it.
    """

    def __init__(self, lines: Mapping[str, Line], state_dir: Path, *, clock: Clock | None = None) -> None:
        self._lines = dict(lines)  # masks may be drawn, and removed, while it runs
        self._dir = state_dir
        self._clock = clock or SystemClock()
        self._kept = {name for name, line in self._lines.items() if line.masks and self._file(name).exists()}
        for name in self._kept:
            self._lines[name].masks.withheld = True
        self._views = {n: r for n, line in self._lines.items() for r in line.rules if isinstance(r, CameraTamper)}
        # camera -> (generation, when)
        self._written = {name: (rule.generation, float("-inf")) for name, rule in self._views.items()}
        for name, rule in self._views.items():
            if self._lines[name].masks and self._view(name).exists():
                self._recall(name, rule)

    def look(self) -> None:
        """One look; called every few seconds. :raises StateError: a file cannot be written."""
        self._look_at_marks()
        for name, rule in self._views.items():
            try:
                self._keep_view(name, rule)
            except OSError as error:  # noqa: PERF203 - a few cameras
                raise StateError(
                    f"{self._view(name)} cannot be written: {error.strerror}", hint="is the disk full?"
                ) from error

    def _recall(self, name: str, rule: CameraTamper) -> None:
        file = self._view(name)
        try:
            with np.load(file, allow_pickle=False) as found:
                modes: dict[bool, dict[str, F32]] = {False: {}, True: {}}
                for key in found.files:
                    mode, _, array = key.partition(".")
                    modes[mode == "grey"][array] = found[key]
            rule.recall({grey: arrays for grey, arrays in modes.items() if arrays})
        except Exception as error:  # noqa: BLE001 - readers raise whatever a damaged file makes them stumble over; the box must start
            log.warning(
                f'camera "{name}": {file} is damaged: if the camera was moved while the box was off, nobody notices',
                extra={"kg": {"event": "view_unreadable", "camera": name, "error": str(error)}},
            )

    def _keep_view(self, name: str, rule: CameraTamper) -> None:
        file, now_s = self._view(name), self._clock.monotonic_s()
        generation, written_s = self._written[name]
        masks = self._lines[name].masks
        if generation != rule.generation or not masks:
            if file.exists():  # a read-only disk refuses to remove even what is not there
                file.unlink(missing_ok=True)  # it does not hold any more, or there is nothing to hide
            self._written[name] = (rule.generation, float("-inf"))
        elif now_s - written_s >= _REWRITE_S:
            memory = rule.memory(_beside(masks.polygons))
            if not memory:
                return
            arrays = {f"{'grey' if g else 'colour'}.{k}": v for g, known in memory.items() for k, v in known.items()}
            content = io.BytesIO()
            np.savez_compressed(content, allow_pickle=False, **arrays)
            write_synced(file, content.getvalue())
            self._written[name] = (generation, now_s)

    def _look_at_marks(self) -> None:
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
                self._tell(name, f"the camera was moved and its masks lie elsewhere: {hint}", withheld=True)

    def _file(self, camera: str) -> Path:
        return self._dir / f"{_PREFIX}{camera}"

    def _view(self, camera: str) -> Path:
        return self._dir / f"{_VIEW}{camera}.npz"

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
                (state_dir / f"{_VIEW}{file.name.removeprefix(_PREFIX)}.npz").unlink(missing_ok=True)  # that was before
                file.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"{error.filename} cannot be removed: {error.strerror}", hint="try as root") from error
    names = ", ".join(file.name.removeprefix(_PREFIX) for file in files)
    return f"confirmed: {names}; pictures are kept and sent again within some seconds"


def _beside(polygons: Sequence[F32]) -> Bool:
    """Blocks of a view that no mask touches or is near to, bool (9, 16)."""
    boxes = [[*(p.min(axis=0) - _BESIDE), *(p.max(axis=0) + _BESIDE)] for p in polygons]
    return free_of(np.array(boxes, np.float32).reshape(-1, 4) * np.float32(_ROOM[0]), _ROOM)
