"""The demo's output folder, and the configuration it writes there."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CLIP = HERE / "lobby.mp4"
TRUTH = HERE / "lobby.truth.json"
TEMPLATE = HERE / "demo.toml"
# Only what an earlier demo wrote is cleared away, and only from a folder that a demo made.
OWNER_TAG = ".kiosk-guard-demo"


@dataclass(frozen=True)
class Place:
    """Where everything lies in the output folder."""

    out: Path

    @property
    def config(self) -> Path:
        return self.out / "kiosk-guard.toml"

    @property
    def mails(self) -> Path:
        return self.out / "mails"

    @property
    def log(self) -> Path:
        return self.out / "log.jsonl"

    @property
    def video(self) -> Path:
        return self.out / "annotated.webm"

    @property
    def replayed(self) -> Path:
        return self.out / "replay.jsonl"

    @property
    def state(self) -> Path:
        return self.out / "state"

    def prepare(self) -> None:
        """Make the folder, or clear what an earlier demo left in it.

        :raises OSError: it cannot be written, or is somebody else's.
        """
        tag = self.out / OWNER_TAG
        self.out.mkdir(parents=True, exist_ok=True)
        if any(self.out.iterdir()) and not tag.exists():
            raise FileExistsError(f"{self.out} holds files that are not the demo's: name another folder with --out")
        tag.touch()
        for folder in (self.mails, self.state):
            if folder.exists():
                shutil.rmtree(folder)
        for file in (self.config, self.log, self.video, self.replayed):
            file.unlink(missing_ok=True)
        self.mails.mkdir()


def write_config(place: Place, truth: dict[str, Any], smtp_port: int, health_port: int, *, loop: bool) -> None:
    """The demo's configuration: the template, its blanks filled in, and the zones of the ground truth."""
    text = TEMPLATE.read_text(encoding="utf-8")
    blanks = {"CLIP": str(CLIP), "LOOP": loop, "SMTP_PORT": smtp_port, "HEALTH_PORT": health_port}
    for name, value in blanks.items():
        text = text.replace(f'"@{name}@"', json.dumps(value))  # JSON's strings, numbers and lists are TOML's too
    for zone in truth["zones"]:
        text += "\n[[zones]]\n" + "".join(
            f"{key} = {json.dumps(value)}\n"
            for key, value in {"camera": truth["camera"], **zone}.items()
            if key in {"camera", "name", "kind", "polygon"}
        )
    place.config.write_text(text, encoding="utf-8")
