"""``kiosk-guard bench``: where the time of a frame goes on this box, stage by stage."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.app.build import build_detector, build_incidents, build_line, measured_way
from edge.app.build_cameras import build_camera, camera_source
from edge.app.doctor_box import check_throttled
from edge.app.hand_over import Annotator
from edge.cameras.source import Kind
from edge.clock import SystemClock
from edge.errors import CameraEnded, CameraLost, SourceInvalid
from edge.health.machine import read_machine
from edge.pipeline import Pipeline
from edge.types import Frame, Incident, Observation, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.clock import Clock
    from edge.config import Config

CAPTURE, CLOSER, STORE = "capture and decode", "closer look", ("draw", "encode", "write")
_STAGES = (
    CAPTURE,
    "letterbox",
    "inference",
    "decode and NMS",
    CLOSER,
    "track",
    "movement",
    "zones and rules",
    "incidents",
    *STORE,
)
_LIVE_S = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Stopwatch:
    """Wall and processor time since the mark before, by name; processor time of all threads of this process."""

    def __init__(self) -> None:
        self.wall_ms: dict[str, list[float]] = {}
        self.cpu_ms: dict[str, list[float]] = {}
        self.part = ""  # while it has a name, all that is marked is that
        self._frame: dict[str, list[float]] = {}
        self._at = (time.perf_counter(), time.process_time())

    def begin(self) -> None:
        self._at = (time.perf_counter(), time.process_time())

    def mark(self, name: str) -> None:
        """What was done since the last mark was ``name``; several of a name in one frame are one."""
        now = (time.perf_counter(), time.process_time())
        sums = self._frame.setdefault(self.part or name, [0.0, 0.0])
        sums[0] += 1000 * (now[0] - self._at[0])
        sums[1] += 1000 * (now[1] - self._at[1])
        self._at = (time.perf_counter(), time.process_time())

    def end_frame(self) -> None:
        for name, (wall, cpu) in self._frame.items():
            self.wall_ms.setdefault(name, []).append(wall)
            self.cpu_ms.setdefault(name, []).append(cpu)
        self._frame = {}


class _Timed:
    """A part whose ``update`` and ``look`` end with a mark; everything else is the part's own."""

    def __init__(self, part: Any, name: str, watch: Stopwatch) -> None:
        self._part, self._name, self._watch = part, name, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)

    def update(self, *args: Any, **kwargs: Any) -> Any:
        found = self._part.update(*args, **kwargs)
        self._watch.mark(self._name)
        return found

    def look(self, *args: Any) -> None:
        self._part.look(*args)
        self._watch.mark(self._name)


class _TimedCloser(_Timed):
    """The detector's second look at a frame, told apart from its first."""

    def choose(self, *args: Any) -> Any:
        look = self._part.choose(*args)
        self._watch.part = CLOSER if look else ""
        return look

    def take(self, *args: Any) -> Any:
        found = self._part.take(*args)
        self._watch.mark(CLOSER)
        self._watch.part = ""
        return found


@dataclass(slots=True)
class Bench:
    """What was measured. ``stages``: name -> figures in ms; ``frames``: judged."""

    model: str
    size: tuple[int, int]
    threads: int
    frames: int = 0
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    temperature_c: tuple[float | None, float | None] = (None, None)
    throttled: tuple[str, ...] = ()


def bench(config: Config, config_path: Path, *, clip: Path | None, frames: int, clock: Clock | None = None) -> Bench:
    """Judge so many frames of a clip, or of the first camera, and store a picture of every tenth.

    Every frame goes through the detector here, also one of an empty, still scene that the service would skip.

    :raises CameraError: there are no frames.
    :raises DetectorError: the model cannot be run.
    """
    clock = clock or SystemClock()
    watch = Stopwatch()
    table = config.cameras[0]
    detector = build_detector(config, config_path)
    detector.mark = watch.mark
    line = build_line(config, table, detector)
    timed = replace(
        line,
        gate=None,
        tracker=_Timed(line.tracker, "track", watch),  # type: ignore[arg-type]
        behaviour=line.behaviour and _Timed(line.behaviour, "movement", watch),
        closer=line.closer and _TimedCloser(line.closer, CLOSER, watch),  # type: ignore[arg-type]
        rules=[_Timed(rule, "zones and rules", watch) for rule in line.rules],
    )
    pipeline = Pipeline(
        detector=detector,
        lines={table.name: timed},
        incidents=build_incidents(config, lambda: "bench"),
        now_s=clock.monotonic_s,
        clock_synced=clock.synchronised,
    )
    source = (
        _film(clip, table.name, frames, watch) if clip else _camera(config, config_path, frames, watch, clock=clock)
    )
    draw = Annotator(detector)
    before_c = read_machine().temperature_c
    done = Bench(detector.model, (0, 0), measured_way(config, config_path, detector.manifest)[1])
    with tempfile.TemporaryDirectory(prefix="kiosk-guard-bench-") as folder:
        for frame in source:
            done.size = frame.size
            watch.begin()
            judged = pipeline.step(frame)
            watch.mark("incidents")
            if done.frames % 10 == 0:
                picture = draw(judged.frame, judged.tracks, _incident(frame), judged.zones)
                watch.mark("draw")
                _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, config.evidence.jpeg_quality])
                watch.mark("encode")
                _write(Path(folder) / "picture.jpg", jpeg.tobytes())
                watch.mark("write")
            watch.end_frame()
            done.frames += 1
    done.temperature_c = (before_c, read_machine().temperature_c)
    throttled = check_throttled()
    done.throttled = (*read_machine().throttled, *([throttled.output] if throttled and throttled.output else []))
    for name in (name for name in _STAGES if name in watch.wall_ms or name in watch.cpu_ms):
        done.stages[name] = _figures(watch.wall_ms.get(name, []), watch.cpu_ms.get(name, []))
    return done


def _figures(wall_ms: list[float], cpu_ms: list[float]) -> dict[str, float]:
    found = {"count": float(len(cpu_ms))}
    for name, values in (("wall", wall_ms), ("cpu", cpu_ms)):
        if values:
            found |= {
                f"{name}_median_ms": round(float(np.median(values)), 3),
                f"{name}_p95_ms": round(float(np.percentile(values, 95)), 3),
            }
    return found


def _film(clip: Path, camera: str, count: int, watch: Stopwatch) -> Iterator[Frame]:
    """The clip's frames, from its begin again when it ends."""
    film = cv2.VideoCapture(str(clip))
    fps = film.get(cv2.CAP_PROP_FPS) or 10.0
    clock, began_s, fresh = SystemClock(), time.monotonic(), False
    for seq in range(count):
        watch.begin()
        good, image = film.read()
        if not good and fresh:
            film.set(cv2.CAP_PROP_POS_FRAMES, 0)
            watch.begin()
            good, image = film.read()
        if not good:
            raise SourceInvalid(f"{clip}: no readable video", hint="name a video file (mp4, avi, mkv)")
        watch.mark(CAPTURE)
        fresh = True
        yield Frame(np.asarray(image, np.uint8), seq, began_s + seq / fps, clock.utc_now(), camera)


def _camera(config: Config, config_path: Path, count: int, watch: Stopwatch, *, clock: Clock) -> Iterator[Frame]:
    """Frames of the first camera; what its capture process uses up is shared among them."""
    table = config.cameras[0]
    source = camera_source(config_path, table)
    if source.kind is Kind.FILE:
        yield from _film(Path(source.target), table.name, count, watch)
        return
    camera = build_camera(table, source, clock=clock)
    until_s = clock.monotonic_s() + _LIVE_S
    got, used_s = 0, 0.0
    try:
        while got < count:
            try:
                frame = camera.read(1.0)
            except CameraEnded:
                return
            except CameraLost:
                if clock.monotonic_s() > until_s:
                    raise
                continue
            until_s = clock.monotonic_s() + _LIVE_S
            now_s = _process_s(camera.child_pid)
            if got and now_s > used_s:
                watch.cpu_ms.setdefault(CAPTURE, []).append(1000 * (now_s - used_s))
            got, used_s = got + 1, now_s
            yield frame
    finally:
        camera.close()


def _process_s(pid: int | None) -> float:
    """Processor seconds that a process has used so far."""
    try:
        values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(values[11]) + int(values[12])) / _TICKS


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _incident(frame: Frame) -> Incident:
    """Something to write under the picture."""
    peak = Observation(frame.camera, "bench", "", Severity.INFO, (), frame.t_mono_s, "measured for", 1.0, 1.0, "s")
    return Incident("bench", frame.camera, "bench", "", Severity.INFO, frame.t_utc, frame.t_mono_s, None, None, peak)
