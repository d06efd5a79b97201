"""The appliance as a process of its own: started, listened to, asked for its health, stopped."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# The command that was installed beside this Python. Not resolved: a venv's python is a link out of the venv.
COMMAND = Path(sys.executable).parent / "kiosk-guard"
STOP_WITHIN_S = 10.0
# The proxy of the surroundings has no business on loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port(wanted: int) -> int:
    """``wanted`` if nobody has it on loopback, else any port that is free now."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As the server itself will do: a port that was in use a moment ago is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RuntimeError("no free port on the loopback interface")


class Appliance:
    """``kiosk-guard run`` on a configuration.

    :param log: every line the process writes is added to this file.
    :param on_event: gets each JSON log line that carries an event, in a thread of its own.
    """

    def __init__(self, config: Path, log: Path, on_event: Callable[[dict[str, Any]], None]) -> None:
        self._log, self._on_event = log, on_event
        self.complaints: list[str] = []
        # A session of its own: Ctrl-C reaches this program only, which then stops the appliance in order.
        self._process = subprocess.Popen(
            [COMMAND, "run", "--config", config, "--log", "json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="appliance-log", daemon=True)
        self._reader.start()

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs."""
        code = self._process.poll()
        if code is not None:
            self._reader.join(5)  # what it said last has been heard before anyone judges
        return code

    def stop(self) -> int:
        """Ask it to stop as a service manager would, insist after a while; returns its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.complaints.append(f"did not stop within {STOP_WITHIN_S:g} s and was killed")
                self._process.kill()
        self._reader.join(5)
        return self._process.wait()

    def _read(self) -> None:
        stream = self._process.stderr
        if stream is None:
            return
        with self._log.open("a", encoding="utf-8") as log:
            for line in stream:
                log.write(line)
                log.flush()
                try:
                    record = json.loads(line)
                except ValueError:
                    record = None
                if not isinstance(record, dict):
                    self.complaints.append(line.rstrip())  # not a log line: what it says before it gives up
                    continue
                if record.get("level") in {"error", "critical"}:
                    self.complaints.append(str(record.get("message")))
                if "event" in record:
                    self._on_event(record)


def health(url: str) -> dict[str, Any] | None:
    """The health report, whatever its verdict; ``None`` if nobody answers."""
    try:
        with _OPENER.open(url, timeout=2) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:  # 503: a report all the same
        body = error.read()
    except OSError:
        return None
    try:
        report = json.loads(body)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None
