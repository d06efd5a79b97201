"""A machine whose programs are chosen by the test: install.sh finds nothing else on its path."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class StandInMachine:
    """``clone`` is for the test to fill; ``env`` is all that the script sees of the surroundings."""

    def __init__(self, folder: Path, tools: Sequence[str]) -> None:
        self.bin, self.clone, self.calls = folder / "bin", folder / "a clone", folder / "calls"
        self.bin.mkdir()
        for tool in tools:
            path = shutil.which(tool)
            if path:
                (self.bin / tool).symlink_to(path)
        self.env = {"PATH": str(self.bin), "HOME": str(folder), "CALLS": str(self.calls)}

    def has(self, name: str, script: str) -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def says(self, name: str, line: str) -> None:
        self.has(name, f'#!/bin/sh\necho "{name} $*" >>"$CALLS"\n{line}\n')

    def called(self, start: str) -> list[str]:
        return [c for c in self.calls.read_text().splitlines() if c.startswith(start)]

    def install(self, *options: str, shell: str = "sh", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        self.calls.write_text("")
        return subprocess.run(
            [shutil.which(shell) or shell, self.clone / "install.sh", *options],
            cwd=cwd or Path("/"),
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
