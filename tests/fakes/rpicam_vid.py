"""A stand-in for rpicam-vid: takes the same options, writes the same bytes, and fails in the ways that the real one does.

Copied to where the tests want it, by ``install``. It reads how to behave from a JSON file beside itself at every start:
``cameras`` (how many there are), ``die_after``, ``stall_after``, ``tear_after`` (pictures), ``rows`` (how many rows more or
fewer than asked), ``text`` (written instead of pictures), ``busy`` (starts that find the camera taken).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn


def install(folder: Path, **behaviour: Any) -> Path:
    """An executable ``rpicam-vid`` in ``folder``; returns its path."""
    path = folder / "rpicam-vid"
    body = Path(__file__).read_text(encoding="utf-8")
    path.write_text(f"#!{sys.executable}\n{body}", encoding="utf-8")
    path.chmod(0o755)
    behave(path, **behaviour)
    return path


def behave(path: Path, **behaviour: Any) -> None:
    """From its next start on."""
    file = path.with_name("rpicam-vid.json")
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(behaviour), encoding="utf-8")
    fresh.replace(file)


def starts(path: Path) -> list[list[str]]:
    """The arguments of every start so far."""
    log = path.with_name("rpicam-vid.log")
    return [json.loads(line)["argv"] for line in log.read_text().splitlines()] if log.exists() else []


def pids(path: Path) -> list[int]:
    return [int(json.loads(line)["pid"]) for line in path.with_name("rpicam-vid.log").read_text().splitlines()]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"ERROR: *** {message} ***\n")
        sys.exit(255)


def _options() -> argparse.Namespace:
    parser = _Parser(allow_abbrev=False)
    for name, kind in (("camera", int), ("width", int), ("height", int), ("framerate", float), ("verbose", int)):
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--codec", choices=("h264", "mjpeg", "yuv420", "libav"), default="h264")
    parser.add_argument("--timeout", "-t", default="5sec")
    parser.add_argument("--nopreview", "-n", action="store_true")
    parser.add_argument("--flush", action="store_true")
    parser.add_argument("--output", "-o", default="")
    return parser.parse_args()


def _fail(words: str) -> NoReturn:
    sys.stderr.write(f"ERROR: *** {words} ***\n")
    sys.exit(255)


def main() -> None:
    here = Path(sys.argv[0])
    behaviour: dict[str, Any] = json.loads(here.with_name("rpicam-vid.json").read_text())
    with here.with_name("rpicam-vid.log").open("a") as log:
        log.write(json.dumps({"argv": sys.argv[1:], "pid": os.getpid()}) + "\n")
    options = _options()
    if os.environ.get("LIBCAMERA_LOG_LEVELS") != "*:ERROR":
        sys.stderr.write("[0:01:02.345678901] [1234]  INFO Camera camera_manager.cpp:327 libcamera v0.3.2\n")
    if options.camera >= behaviour.get("cameras", 1):
        _fail("no cameras available")
    if behaviour.get("busy"):
        sys.stderr.write("[0:01:02.3] [1] ERROR Camera camera.cpp:1024 Pipeline handler in use by another process\n")
        _fail("failed to acquire camera /base/soc/i2c0mux/i2c@1/imx708@1a")
    if (options.codec, options.output, options.timeout) != ("yuv420", "-", "0") or not options.nopreview:
        _fail("this stand-in only writes raw pictures to its standard output")
    if "text" in behaviour:
        os.write(1, str(behaviour["text"]).encode())
        return
    rows = options.height + behaviour.get("rows", 0)
    size = options.width * rows * 3 // 2
    count = 0
    begun_s = time.monotonic()
    while True:
        # Grey that rises by 4 a picture; the colour says "red".
        picture = bytearray([16 + 4 * count % 200]) * (options.width * rows)
        picture += bytearray([100]) * (options.width * rows // 4) + bytearray([160]) * (options.width * rows // 4)
        cut = size // 3 if count == behaviour.get("tear_after") else size
        _write(bytes(picture[:cut]))
        if cut < size:
            time.sleep(3600)
        count += 1
        if count == behaviour.get("die_after"):
            sys.exit(behaviour.get("code", 255))
        if count == behaviour.get("stall_after"):
            sys.stderr.write("[0:09:59.1] [2]  WARN V4L2 v4l2_videodevice.cpp:2150 Camera frontend has timed out!\n")
            sys.stderr.write("ERROR: Device timeout detected, attempting a restart!!!\n")
            time.sleep(3600)
        time.sleep(max(0.0, begun_s + count / options.framerate - time.monotonic()))


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
