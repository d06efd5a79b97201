"""How ``kiosk-guard bench`` is called, and what it prints."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import EX_OK

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from edge.app.bench import Bench

_MOST_FRAMES = 100_000


def add_to(commands: Any, *, default_config: Path) -> None:
    """Add the command to an argument parser's commands."""
    bench = commands.add_parser("bench", help="where the time of a frame goes on this box; stop the service before")
    bench.add_argument("--clip", type=Path, metavar="FILE", help="a video file (default: the first camera)")
    bench.add_argument(
        "--frames", type=int, default=200, metavar="N", help="so many; default: 200; 0 with --choose: only choose"
    )
    bench.add_argument(
        "--choose",
        action="store_true",
        help="measure each form of the model that came along, on one thread and on more, and keep the fastest",
    )
    bench.add_argument("--json", action="store_true", help="for programs")
    bench.add_argument("--config", type=Path, default=default_config, metavar="FILE")
    bench.set_defaults(command=_bench)


def _bench(args: argparse.Namespace) -> int:
    from edge.app.bench import bench  # noqa: PLC0415 - start-up time
    from edge.config import Config, load  # noqa: PLC0415

    if args.clip and not args.config.exists():
        config = Config.model_validate({"cameras": [{"name": "bench", "source": f"file:{args.clip}"}]})
    else:
        config = load(args.config)
    if args.choose:
        from edge.app.bench_choose import choose, words  # noqa: PLC0415

        for line in words(choose(config, args.config)):
            sys.stderr.write(f"{line}\n") if args.json else sys.stdout.write(f"{line}\n")
        if args.frames == 0:
            return EX_OK
    done = bench(config, args.config, clip=args.clip, frames=min(max(1, args.frames), _MOST_FRAMES))
    for line in [json.dumps(asdict(done), indent=1)] if args.json else table(done):
        sys.stdout.write(f"{line}\n")
    return EX_OK


def table(done: Bench) -> Iterator[str]:
    """For people: milliseconds by stage."""
    from edge.app.bench import CLOSER  # noqa: PLC0415 - start-up time

    yield f"{done.model}, {done.size[0]}x{done.size[1]}, {done.threads} threads, {done.frames} frames; milliseconds"
    yield f"{'stage':20}{'wall':>9}{'p95':>9}{'CPU':>9}{'p95':>9}"
    for name, values in done.stages.items():
        cells = (values.get(key) for key in ("wall_median_ms", "wall_p95_ms", "cpu_median_ms", "cpu_p95_ms"))
        yield f"{name:20}" + "".join(f"{'-':>9}" if cell is None else f"{cell:9.2f}" for cell in cells)
    looks = int(done.stages.get(CLOSER, {}).get("count", 0))
    yield f"a closer look was taken in {looks} of the frames; draw, encode and write happen once for each stored picture"
    before, after = done.temperature_c
    if after is None:
        yield "temperature: not told by this machine"
    else:
        yield (
            f"temperature: {before:.0f} before, {after:.0f} degrees Celsius after"
            if before
            else f"temperature: {after:.0f}"
        )
    yield f"throttled: {', '.join(done.throttled) or 'no'}"
