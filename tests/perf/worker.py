"""One peer in a process of its own: what it loads and keeps is its own cost. Told what to do by lines on stdin."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Load, tell that the first frame is done, then answer lines with lines."""
    kind, path, threads, conf, height, width, frames_path, count, tall, wide = sys.argv[1:]
    out = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is not an answer
    import peers

    peers.use_threads(int(threads))
    peer = peers.KINDS[kind](Path(path), threads=int(threads), conf=float(conf), size=(int(height), int(width)))
    frame = np.empty((int(tall), int(wide), 3), np.uint8)  # one at a time: frames are not the peer's memory
    with Path(frames_path).open("rb") as film:

        def read(number: int) -> Any:
            film.seek(number % int(count) * frame.nbytes)
            film.readinto(frame.data)
            return frame

        def say(answer: Any) -> None:
            out.write(json.dumps(answer) + "\n")
            out.flush()

        peer.detect(read(0))
        say({"ready_cpu_s": time.process_time()})
        for line in sys.stdin:
            order = json.loads(line)
            if "image" in order:
                xyxy, score, class_id = peer.detect(np.load(order["image"]))
                say([xyxy.tolist(), score.tolist(), class_id.tolist()])
                continue
            times = []
            for number in order["frames"]:
                image = read(number)
                wall, cpu = time.perf_counter(), time.process_time()
                peer.detect(image)
                times.append(((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3))
            say({"ms": times, "peak_mb": _peak_mb()})


def _peak_mb() -> float:
    """This program's own peak: getrusage() also counts what the parent held when it forked."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
