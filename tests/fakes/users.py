"""Another user than root, for what only permissions show."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOBODY = 65534


def become_nobody() -> None:
    """With a way back."""
    os.setresuid(_NOBODY, _NOBODY, 0)


def become_root() -> None:
    """Again."""
    os.setresuid(0, 0, 0)


@contextlib.contextmanager
def nobody_beside_a_folder() -> Iterator[Path]:
    """A folder of root's that everybody may look into, seen by a user who is not root. Needs root."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # where everybody may enter
    folder.chmod(0o755)
    try:
        become_nobody()
        try:
            yield folder
        finally:
            become_root()
    finally:
        shutil.rmtree(folder)
