"""What the end-to-end tests share: a configuration on the committed clip, and the service as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

REPO = Path(__file__).resolve().parents[2]
CLIP = REPO / "firmware_config" / "demo" / "lobby.mp4"
TRUTH: dict[str, Any] = json.loads(CLIP.with_name("lobby.truth.json").read_text())
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def toml(value: object) -> str:
    """A value in TOML: JSON's strings, numbers and lists are the same there."""
    return json.dumps(value)


class Config:
    """A configuration file on the committed clip and its zones; tables can be changed before ``write``."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kiosk-guard.toml"
        self.cameras: list[dict[str, Any]] = [{"name": "lobby", "source": str(CLIP), "max_fps": 10.0}]
        self.masks: list[dict[str, Any]] = []
        self.tables: dict[str, dict[str, Any]] = {
            "rules.loitering": {"dwell_s": TRUTH["config"]["loitering"]["dwell_s"]},
            "rules.restricted_area": {"dwell_s": TRUTH["config"]["restricted_area"]["dwell_s"]},
            "incidents": {"close_after_s": 2.0},
            "outputs": {"driver": "mock"},
            "outputs.lines.siren": {"pin": 17, "severities": ["high"]},
            "outputs.lines.led": {"pin": 27},
            "health": {"port": 0},
            "state": {"dir": "state"},
        }

    def mail_to(self, port: int) -> None:
        self.tables["email"] = {
            "enabled": True,
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "sender": "kiosk@kiosk.example",
            "recipients": ["desk@bank.example", "night@bank.example"],
            "timeout_s": 5.0,
        }

    def write(self) -> Path:
        parts = [("[[cameras]]", camera) for camera in self.cameras]
        for camera in self.cameras:
            for zone in TRUTH["zones"]:
                keys = {k: zone[k] for k in ("name", "kind", "polygon")}
                parts.append(("[[zones]]", {"camera": camera["name"], **keys}))
        parts += [("[[masks]]", mask) for mask in self.masks]
        parts += [(f"[{name}]", table) for name, table in self.tables.items()]
        lines = [f"{head}\n" + "".join(f"{k} = {toml(v)}\n" for k, v in table.items()) for head, table in parts]
        self.path.write_text("\n".join(lines))
        return self.path


class Process:
    """``kiosk-guard run``, listened to."""

    def __init__(self, command: Path, config: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self.plain: list[str] = []
        self._heard = threading.Condition()
        self._process = subprocess.Popen(
            [command, "run", "--config", config, "--log", "json", *options],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._heard:
                if line.startswith("{"):
                    self.events.append(json.loads(line))
                else:
                    self.plain.append(line)
                self._heard.notify_all()

    def said(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Log lines of that event with those fields, so far."""
        wanted = {"event": event, **fields}
        return [e for e in list(self.events) if all(e.get(k) == v for k, v in wanted.items())]

    def wait_for(self, event: str, *, count: int = 1, timeout_s: float = 30.0, **fields: object) -> dict[str, Any]:
        """Wait for the n-th log line of that event; fails with everything said so far."""
        with self._heard:
            assert self._heard.wait_for(lambda: len(self.said(event, **fields)) >= count, timeout_s), (
                f"{count} x {event} {fields} not within {timeout_s} s; said: {self.events} {self.plain}"
            )
        return self.said(event, **fields)[count - 1]

    def ask(self, page: str) -> tuple[int, str]:
        """Status and body of a page of the health endpoint."""
        try:
            with _NO_PROXY.open(self.wait_for("started")["health_url"] + page, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; returns the exit code, negative for a signal."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"runs on after {timeout_s} s; said: {self.events} {self.plain}") from None
        self._reader.join(5)
        return code

    def end(self) -> None:
        """Leave nothing behind, children included."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        self._reader.join(5)
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
