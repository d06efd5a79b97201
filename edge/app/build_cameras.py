"""From configuration to cameras: what each one reads, and the process that captures from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge.app.mail_channel import read_secret
from edge.cameras.capture import CaptureProcess
from edge.cameras.rpicam import find_program
from edge.cameras.source import Kind, Source, parse_source
from edge.config import resolve
from edge.errors import SourceNotFound

if TYPE_CHECKING:
    from edge.clock import Clock
    from edge.config import Config
    from edge.config.tables import CameraTable


def camera_source(config_path: Path, table: CameraTable) -> Source:
    """What the camera's table names, with its password.

    :raises ConfigError: the password file cannot be read.
    :raises SourceNotFound: the video file does not exist.
    :raises ProgramMissing: what reads a Raspberry Pi's camera is not installed.
    """
    password = read_secret(config_path, table.password_file, f"cameras ({table.name}): password_file")
    text = table.source
    if "://" not in text and not text.startswith(("/dev/", "v4l2:", "rpicam:", "file:/")) and not text.isdigit():
        text = f"file:{resolve(config_path, text.removeprefix('file:'))}"
    source = parse_source(text, user=table.user, password=password)
    if source.kind is Kind.FILE and not Path(source.target).exists():
        raise SourceNotFound(
            f'camera "{table.name}": video file "{source.label}" does not exist',
            hint="check [[cameras]] source; a relative path counts from the configuration file's folder",
        )
    if source.kind is Kind.RPICAM:
        find_program()
    return source


def camera_sources(config: Config, config_path: Path) -> list[tuple[CameraTable, Source]]:
    """Every camera's table and source; nothing is opened yet. :raises ConfigError, SourceNotFound: see above."""
    return [(table, camera_source(config_path, table)) for table in config.cameras]


def build_camera(table: CameraTable, source: Source, *, clock: Clock) -> CaptureProcess:
    """Capture, begun."""
    return CaptureProcess(
        table.name,
        source,
        loop=table.loop,
        max_fps=table.max_fps,
        fresh_timeout_s=table.fresh_timeout_s,
        lost_after_s=table.lost_after_s,
        clock=clock,
    )
