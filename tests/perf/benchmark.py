"""What a frame costs: ours beside what a user could run instead, interleaved in one run. No test: a table.

    python tests/perf/benchmark.py --bundle weights/kiosk --source weights/kiosk/source.pt

needs an environment with kiosk-guard[export], openvino, nncf and ncnn (what is missing is left out, and said). The peers' exports
are made once, into --work. With --data the same boxes are scored on the way, so that nobody wins by seeing less.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
TALL, WIDE = 720, 1280
SIZE = (256, 416)
_PAUSE_S = 0.25


@dataclass
class Contender:
    """One row of the table."""

    name: str
    kind: str
    path: Path
    size: tuple[int, int] = SIZE
    ms: list[tuple[float, float]] = field(default_factory=list)
    peak_mb: float = 0.0
    start_s: float = 0.0
    start_cpu_s: float = 0.0
    map50: str | None = None


def main() -> int:
    args = _arguments()
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    film, count = _film(args.clip, work, args.distinct)
    contenders = [
        Contender("ours, INT8, boxes", "ours", args.bundle.resolve()),
        Contender("ours, INT8, whole path to incidents", "whole", args.bundle.resolve()),
        *_peers(args.source.resolve(), work, args.calibration),
    ]
    print(f"{_machine()}; {count} frames of {WIDE}x{TALL}, {args.rounds} rounds of {args.block}", flush=True)
    for threads in args.threads:
        for one in contenders:
            one.ms, one.map50 = [], None
        _race(contenders, threads, (film, count), rounds=args.rounds, block=args.block, first=args.realtime)
        print(f"\n{threads} thread{'s' if threads > 1 else ''}\n\n{_table(contenders)}", flush=True)
    if args.data:
        _score(contenders, args.data, args.images, film, count)
        print("\nmAP50 / mAP50-95 on the same images\n")
        for one in contenders:
            if one.map50 is not None:
                print(f"| {one.name} | {one.map50} |")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--bundle", type=Path, required=True, help="our bundle")
    add("--source", type=Path, required=True, help="the same weights, for the peers' exports")
    add("--clip", type=Path, default=HERE.parent / "clips" / "normal-use.mp4")
    add("--distinct", type=int, default=60, help="frames of the clip to use (default %(default)s)")
    add("--rounds", type=int, default=12)
    add("--block", type=int, default=10, help="frames in a row per contender and round")
    add("--threads", type=int, nargs="+", default=[1, 2])
    add("--work", type=Path, default=Path("runs/perf"), help="where exports and frames are kept")
    add(
        "--calibration",
        type=Path,
        help="data.yaml that OpenVINO's INT8 export calibrates with; without it, no such row",
    )
    add("--data", type=Path, help="data.yaml: also score everyone on its validation images")
    add("--images", type=int, default=300)
    add(
        "--realtime",
        action="store_true",
        help="for a machine that is not quiet: frames go before everything else on it, with pauses in between (root)",
    )
    return parser.parse_args()


def _film(clip: Path, work: Path, distinct: int) -> tuple[Path, int]:
    """Frames, evenly spread over the clip, raw in one file."""
    reader, pictures = cv2.VideoCapture(str(clip)), []
    while True:
        good, picture = reader.read()
        if not good:
            break
        pictures.append(picture)
    if not pictures:
        raise SystemExit(f"{clip}: no pictures in it")
    rows = np.linspace(0, len(pictures) - 1, min(distinct, len(pictures))).astype(int)
    path = work / "frames.raw"
    with path.open("wb") as out:
        for row in rows:
            out.write(cv2.resize(pictures[row], (WIDE, TALL), interpolation=cv2.INTER_CUBIC).tobytes())
    return path, len(rows)


def _peers(source: Path, work: Path, calibration: Path | None) -> list[Contender]:
    from ultralytics import YOLO

    def export(name: str, **how: Any) -> Path | None:
        kept = work / f"{name}.path"
        if kept.is_file() and Path(kept.read_text()).exists():
            return Path(kept.read_text())
        folder = work / name
        folder.mkdir(exist_ok=True)
        weights = folder / "model.pt"
        weights.write_bytes(source.read_bytes())
        try:
            made = Path(YOLO(str(weights)).export(**how, verbose=False)).resolve()
        except Exception as error:  # noqa: BLE001 - whatever it is, that peer is not in this table
            print(f"left out: {name}: {type(error).__name__}: {str(error)[:200]}", flush=True)
            return None
        kept.write_text(str(made))
        return made

    size = list(SIZE)
    wanted: list[tuple[str, str, dict[str, Any], tuple[int, int]]] = [
        ("ultralytics, ONNX FP32, its default 640", "ultralytics", {"format": "onnx", "imgsz": 640}, (640, 640)),
        ("ultralytics, ONNX FP32", "ultralytics", {"format": "onnx", "imgsz": size}, SIZE),
        ("ultralytics, OpenVINO FP32", "ultralytics", {"format": "openvino", "imgsz": size}, SIZE),
        ("ultralytics, ncnn", "ultralytics", {"format": "ncnn", "imgsz": size}, SIZE),
        ("OpenCV DNN, FP32", "opencv", {"format": "onnx", "imgsz": size}, SIZE),
    ]
    if calibration:
        how = {"format": "openvino", "imgsz": size, "int8": True, "data": str(calibration.resolve())}
        wanted.insert(3, ("ultralytics, OpenVINO INT8", "ultralytics", how, SIZE))
    found = []
    for name, kind, how, shape in wanted:
        needs = {"openvino": "openvino", "ncnn": "ncnn"}.get(how["format"])
        if needs and importlib.util.find_spec(needs) is None:
            print(f"left out: {name}: {needs} is not installed", flush=True)
            continue
        label = f"{how['format']}-{shape[0]}x{shape[1]}{'-int8' if how.get('int8') else ''}"
        path = export(label, **how)
        if path:
            found.append(Contender(name, kind, path, shape))
    return found


class _Worker:
    def __init__(self, one: Contender, threads: int, film: Path, count: int, conf: float = 0.25) -> None:
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), one.kind, str(one.path), str(threads), str(conf),
             *map(str, one.size), str(film), str(count), str(TALL), str(WIDE)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.start_cpu_s = float(self.answer()["ready_cpu_s"])
        self.start_s = time.perf_counter() - began

    def ask(self, order: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a contender died: {self._process.args}")
        return json.loads(line)

    def go_first(self) -> None:
        """Before all that is not in real time on this machine, with all threads that there are and will be."""
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(1))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(300)


def _race(
    contenders: list[Contender], threads: int, frames: tuple[Path, int], *, rounds: int, block: int, first: bool
) -> None:
    with contextlib.ExitStack() as stack:
        workers = []
        for one in contenders:
            worker = _Worker(one, threads, *frames)
            stack.callback(worker.close)
            one.start_s, one.start_cpu_s = worker.start_s, worker.start_cpu_s
            workers.append(worker)
            worker.ask({"frames": list(range(block))})  # warm
            if first:
                worker.go_first()
        for turn in range(rounds):
            for one, worker in zip(contenders, workers, strict=True):
                answer = worker.ask({"frames": [turn * block + i for i in range(block)]})
                one.ms += [tuple(pair) for pair in answer["ms"]]
                one.peak_mb = answer["peak_mb"]
                if first:
                    time.sleep(_PAUSE_S)


def _table(contenders: list[Contender]) -> str:
    base = np.median(np.array(contenders[1].ms), axis=0)  # the whole path: what a kiosk pays
    lines = [
        "| | CPU ms, median (p95) | wall ms, median (p95) | CPU / wall to ours | peak RSS MB | start to first, s (CPU s) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in contenders:
        ms = np.array(one.ms)
        wall, cpu = np.median(ms, axis=0)
        wall95, cpu95 = np.percentile(ms, 95, axis=0)
        lines.append(
            f"| {one.name} | {cpu:.1f} ({cpu95:.1f}) | {wall:.1f} ({wall95:.1f}) | "
            f"{cpu / base[1]:.2f} / {wall / base[0]:.2f} | {one.peak_mb:.0f} | {one.start_s:.2f} ({one.start_cpu_s:.2f}) |"
        )
    return "\n".join(lines)


def _score(contenders: list[Contender], data: Path, limit: int, film: Path, count: int) -> None:
    from edge.types import Detections
    from export import evaluate
    from export.dataset import read_dataset, read_image, subset

    dataset = read_dataset(data, "val")
    rows = np.linspace(0, len(dataset.images) - 1, min(limit, len(dataset.images))).astype(int)
    dataset = subset(dataset, [int(r) for r in rows])
    held = film.with_name("image.npy")
    for one in contenders:
        if one.kind == "whole":
            continue
        worker = _Worker(one, 2, film, count, conf=evaluate.SCORE_FLOOR)
        judged = []
        for labelled in dataset.images:
            image = read_image(labelled.path)
            np.save(held, image)
            height, width = image.shape[:2]
            truth = Detections(
                labelled.xyxy * np.array([width, height] * 2, np.float32),
                np.ones(len(labelled.xyxy), np.float32),
                labelled.class_id,
            )
            xyxy, score, class_id = worker.ask({"image": str(held)})
            found = Detections(
                np.array(xyxy, np.float32).reshape(-1, 4), np.array(score, np.float32), np.array(class_id, np.int64)
            )
            judged.append(evaluate.Judged(width, height, truth, found))
        worker.close()
        total = evaluate.score(judged, dataset.names)
        one.map50 = f"{total.map50:.3f} / {total.map50_95:.3f}"


def _machine() -> str:
    words = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    flags = " VNNI" if "avx512_vnni" in Path("/proc/cpuinfo").read_text() else ""
    return f"{words[0] if words else platform.machine()}{flags}, Python {platform.python_version()}, OpenCV {cv2.__version__}"


if __name__ == "__main__":
    sys.exit(main())
