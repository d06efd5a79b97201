"""What one, two and four cameras cost one box, through the installed service. No test: figures.

    python tests/perf/cameras.py --clip CLIP --fps 5 --seconds 30

Starts ``kiosk-guard run`` with so many cameras, each the same clip in a loop and in real time, and reads its health endpoint
every second: processor time of all its processes per judged frame, age of the newest judged frame, frames shed, memory (PSS).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

PORT = 8977


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--still-every-s", type=float, default=0.0, help="0: the detector sees every frame")
    args = parser.parse_args()
    print(
        "| cameras | judged fps, each | CPU ms a frame | CPU, of one core | frame age p50 / p95 / max, s | shed | PSS MB |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for count in args.cameras:
        print(_row(count, _run(count, args)), flush=True)
    return 0


def _run(count: int, args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "kiosk-guard.toml"
        config.write_text(
            "".join(
                f'[[cameras]]\nname = "cam{n}"\nsource = "file:{args.clip.resolve()}"\nloop = true\nmax_fps = {args.fps}\n'
                for n in range(count)
            )
            + f'[state]\ndir = "{folder}/state"\n[health]\nport = {PORT}\n[model]\nstill_every_s = {args.still_every_s}\n'
        )
        log = (Path(folder) / "log").open("w")
        service = subprocess.Popen(["kiosk-guard", "run", "--config", str(config)], stderr=log, stdout=log)
        try:
            return _watch(service, args.seconds)
        finally:
            service.terminate()
            service.wait(30)


def _watch(service: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    began = time.monotonic()
    while time.monotonic() - began < 30:
        try:
            if _health()["details"]["frames_judged"] > 10:
                break
        except OSError:
            pass
        time.sleep(0.2)
    time.sleep(3)  # past the start
    first, cpu, ages = _health()["details"], _cpu_s(service.pid), []
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        time.sleep(0.25)
        ages += [c["frame_age_s"] for c in _health()["details"]["cameras"].values() if c["frame_age_s"] is not None]
    last, spent, took = _health()["details"], _cpu_s(service.pid) - cpu, time.monotonic() - began
    judged = last["frames_judged"] - first["frames_judged"]
    shed = [last["cameras"][n]["dropped"] - first["cameras"][n]["dropped"] for n in last["cameras"]]
    return {"judged": judged, "took": took, "cpu": spent, "ages": ages, "shed": shed, "pss": _pss_mb(service.pid)}


def _row(count: int, found: dict[str, Any]) -> str:
    p50, p95 = np.percentile(found["ages"], [50, 95])
    return (
        f"| {count} | {found['judged'] / found['took'] / count:.2f} | {1e3 * found['cpu'] / found['judged']:.1f} | "
        f"{100 * found['cpu'] / found['took']:.0f} % | {p50:.2f} / {p95:.2f} / {max(found['ages']):.2f} | "
        f"{' '.join(map(str, found['shed']))} | {found['pss']:.0f} |"
    )


def _health() -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=3) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:  # 503 says the same, and that something fails
        found = json.load(error)
    return found


def _tree(pid: int) -> list[int]:
    """A process and all below it; any of its threads may have started one."""
    kids: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # that thread is over
            kids += (task / "children").read_text().split()
    return [pid, *(p for kid in kids for p in _tree(int(kid)))]


def _cpu_s(pid: int) -> float:
    total = 0
    for one in _tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def _pss_mb(pid: int) -> float:
    rows = [Path(f"/proc/{one}/smaps_rollup").read_text().splitlines() for one in _tree(pid)]
    return sum(int(line.split()[1]) for lines in rows for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    sys.exit(main())
