"""The support bundle: what somebody far away needs to find a fault, and no secret, no picture."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cameras.source import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from edge.clock import Clock

_LIBRARIES = ("onnxruntime", "opencv-python-headless", "numpy", "gpiozero", "lgpio", "starlette", "uvicorn", "pydantic")
_SYSTEM_FILES = ("/proc/meminfo", "/proc/loadavg", "/proc/uptime", "/proc/cpuinfo", "/etc/os-release", "/proc/mounts")
_MAX_TEXT = 1_000_000
_MAX_SYSTEM_TEXT = 20_000
_JOURNAL_LINES, _JOURNAL_S = "3000", 5.0
_MOST_FILES = 2_000
HIDDEN = "[secret]"
# URLs, whose secrets are for the camera's reader to find; and values of keys that sound secret.
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE)
_SECRET_KEY = re.compile(
    r"(?i)\b((?:[\w-]*(?:password|passwd|secret|token|api[_-]?key))(?<!_file)\"?\s*[=:]\s*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s,}]+)"
)
_SHORTEST_SECRET = 4


def without_secrets(text: str, secrets: Collection[str] = ()) -> str:
    """The text with passwords, tokens and the credentials of URLs blotted out.

    >>> without_secrets("rtsp://viewer:hunter2@192.0.2.1/x, password = 'a'")
    'rtsp://***@192.0.2.1/x, password = [secret]'
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return _SECRET_KEY.sub(rf"\g<1>{HIDDEN}", _URL.sub(lambda found: redact(found.group()), text))


class SupportBundle:
    """Makes one.

    :param kiosk: named in the file's name.
    :param facts: file name -> what goes in there, asked when a bundle is made: text, or anything JSON can say.
    :param secrets: values that must not appear anywhere in it.
    :param state_dir: its files are listed by name and size.
    """

    def __init__(
        self,
        *,
        kiosk: str,
        facts: Mapping[str, Callable[[], Any]],
        secrets: Callable[[], Collection[str]],
        state_dir: Path,
        clock: Clock,
    ) -> None:
        self._kiosk = kiosk
        self._facts = dict(facts)
        self._secrets = secrets
        self._state_dir = state_dir
        self._clock = clock

    def make(self) -> tuple[str, bytes]:
        """File name and tar.gz. A part that fails is in it as the error it gave."""
        now = self._clock.utc_now()
        name = f"kiosk-guard-{self._kiosk}-{now:%Y%m%d-%H%M%S}"
        secrets = self._secrets()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as tar:
            parts = {**self._facts, "versions.json": _versions, "system.txt": _system, "journal.txt": _journal}
            parts["state-files.txt"] = self._state_files
            for part, question in parts.items():
                try:
                    found = question()
                    text = found if isinstance(found, str) else json.dumps(found, indent=1, default=str)
                except Exception as error:  # noqa: BLE001 - a bundle is made when things are broken
                    text = f"{type(error).__name__}: {error}\n"
                data = without_secrets(text[-_MAX_TEXT:], secrets).encode("utf-8", "replace")
                entry = tarfile.TarInfo(f"{name}/{part}")
                entry.size, entry.mtime, entry.mode = len(data), int(now.timestamp()), 0o640
                tar.addfile(entry, io.BytesIO(data))
        return f"{name}.tar.gz", buffer.getvalue()

    def _state_files(self) -> str:
        usage = shutil.disk_usage(self._state_dir)
        lines = [f"{usage.free} of {usage.total} bytes free"]
        for folder, _, names in os.walk(self._state_dir):
            for file in sorted(names):
                path = Path(folder, file)
                status = path.lstat()
                lines.append(f"{status.st_size:>12} {oct(status.st_mode)[-3:]} {path.relative_to(self._state_dir)}")
                if len(lines) > _MOST_FILES:
                    return "\n".join([*lines, "and more"])
        return "\n".join(lines)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine(), "kernel": platform.release()}
    return found | {name: _version(name) for name in _LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _system() -> str:
    return "\n".join(f"== {path}\n{_start_of(Path(path))}" for path in _SYSTEM_FILES)


def _start_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[:_MAX_SYSTEM_TEXT]
    except OSError as error:
        return f"{error.strerror}"


def _journal() -> str:
    """The service's journal, where its user may read it."""
    journalctl = shutil.which("journalctl")
    if journalctl is None:
        return "there is no journalctl here; log.txt has the lines since the start\n"
    done = subprocess.run(
        [journalctl, "--unit=kiosk-guard", "--no-pager", "--lines", _JOURNAL_LINES, "--output=short-iso"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_JOURNAL_S,
        check=False,
    )
    return (done.stdout + done.stderr).decode("utf-8", "replace") or "the journal has nothing\n"
