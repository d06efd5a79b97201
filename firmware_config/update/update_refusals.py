"""The release that was refused last: a fleet does not load it down again every night, to refuse it again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from update_box import Box


class Refusals:
    """One file, as the server called it, and what was the case here when it was refused."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._on_its_way: dict[str, str] = {}

    def why(self, name: str, tag: str) -> str:
        """Why the file that the server calls ``tag`` was refused; empty: it was not, or things have changed since."""
        told = self._box.read("refused.json")
        same = tag and (told.get("name"), told.get("tag"), told.get("here")) == (name, tag, self._here())
        return str(told.get("why") or "refused") if same else ""

    def tagged(self, name: str, tag: str) -> None:
        """Told of the file that is on its way."""
        self._on_its_way = {"name": name, "tag": tag}

    def remember(self, why: str) -> None:
        """It was refused."""
        if self._on_its_way.get("tag"):
            self._box.write("refused.json", {**self._on_its_way, "here": self._here(), "why": why})

    def _here(self) -> str:
        """Changes with all that a refusal may be due to: what runs, the configuration, the keys, this updater."""
        etc, own = self._box.etc, Path(__file__).resolve().parent
        files = [etc / "kiosk-guard.toml", *sorted((etc / "release-keys").glob("*.pub")), *sorted(own.glob("*.py"))]
        digest = hashlib.sha256(self._box.current().encode())
        for path in files:
            content = path.read_bytes() if path.is_file() else b""
            digest.update(f"{path.name} {len(content)}\n".encode() + content)
        return digest.hexdigest()
