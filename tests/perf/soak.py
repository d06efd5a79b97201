"""Hours of frames in minutes: does memory grow, do descriptors leak? No test: figures.

    python tests/perf/soak.py --frames 144000

The product's pipeline over decoded frames of a clip that loops, five frames to a second of its own time, as a box would see them
(144,000 are eight hours), with the pictures' ring that evidence needs. Every tenth of the way: resident memory and open
descriptors. The slope is of the last three quarters: before that, caches fill.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import cv2
import numpy as np

from edge.alerts.ring import PictureRing
from edge.app.build import build_detector, build_incidents, build_line
from edge.clock import SystemClock
from edge.config import Config, load
from edge.pipeline import Pipeline
from edge.types import ChangeKind, Frame

STEP_S = 0.2


def main() -> int:
    args = _arguments()
    config = (
        load(args.config)
        if args.config
        else Config.model_validate({"cameras": [{"name": "lobby", "source": "file:lobby.mp4"}]})
    )
    where = args.config or Path("built-in.toml")
    camera = config.cameras[0]
    detector = build_detector(config, where)
    numbers = itertools.count(1)
    incidents = build_incidents(config, lambda: f"soak-{next(numbers)}")
    pipeline = Pipeline(
        detector=detector,
        lines={camera.name: build_line(config, camera, detector)},
        incidents=incidents,
        now_s=SystemClock().monotonic_s,
        clock_synced=lambda: True,
    )
    ring = PictureRing(max_bytes=8_000_000, keep_s=30.0)
    pictures = _pictures(args.clip, args.still)
    began, wall, cpu = datetime.now(timezone.utc), time.perf_counter(), time.process_time()
    rows = []
    for n in range(args.frames):
        t_s = n * STEP_S
        picture = pictures[n % len(pictures)].view()
        judged = pipeline.step(Frame(picture, n, t_s, began + timedelta(seconds=t_s), camera.name))
        ring.look(judged.frame)
        for change in judged.changes:
            if change.kind is not ChangeKind.CLOSED:
                incidents.alert_queued(change.incident.incident_id, change.incident.severity)
        if (n + 1) % (args.frames // 20) == 0:
            rows.append((n + 1, _resident_mb(), len(list(Path("/proc/self/fd").iterdir()))))
            print(f"{n + 1:8} frames  {rows[-1][1]:7.1f} MB  {rows[-1][2]} descriptors", flush=True)
    late = np.array(rows[len(rows) // 4 :], float)
    slope = np.polyfit(late[:, 0], late[:, 1], 1)[0] * 1e5
    still = pipeline.vitals.frames_still
    print(
        f"{args.frames} frames ({args.frames * STEP_S / 3600:.1f} h at {1 / STEP_S:.0f} fps) in "
        f"{time.perf_counter() - wall:.0f} s, {1e3 * (time.process_time() - cpu) / args.frames:.2f} ms of processor each; "
        f"{still} empty and still; {sum(incidents.opened_total.values())} incidents; "
        f"memory slope {slope:+.2f} MB per 100,000 frames, descriptors {int(late[0, 2])} to {int(late[-1, 2])}"
    )
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    demo = Path(__file__).resolve().parents[2] / "firmware_config" / "demo"
    parser.add_argument("--frames", type=int, default=144_000)
    parser.add_argument("--clip", type=Path, default=demo / "lobby.mp4")
    parser.add_argument(
        "--config", type=Path, help="whose zones and rules; without it the built-in ones, the whole picture a lobby"
    )
    parser.add_argument("--still", type=float, default=0.8, help="share of the time in which the lobby is empty")
    return parser.parse_args()


def _pictures(clip: Path, still: float) -> list[np.ndarray]:
    """The clip's frames at 5 a second, then its first one with fresh noise until ``still`` of the time is empty."""
    reader, kept = cv2.VideoCapture(str(clip)), []
    every = max(1, round(reader.get(cv2.CAP_PROP_FPS) * STEP_S))
    for n in itertools.count():
        good, picture = reader.read()
        if not good:
            break
        if n % every == 0:
            kept.append(picture)
    rng = np.random.default_rng(0)
    empty = [np.clip(kept[0] + rng.normal(0, 4, kept[0].shape), 0, 255).astype(np.uint8) for _ in range(50)]
    wanted = round(len(kept) * still / max(1 - still, 1e-3))
    return kept + [empty[i % len(empty)] for i in range(wanted)]


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
