"""``make-scenes``: render scenarios, several at a time, with a progress bar."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from importlib import resources
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from edge.errors import EX_OK, KioskError
from export.scenes.children import end_with_parent
from export.scenes.errors import ScenarioError
from export.scenes.props import HELD, WORN
from export.scenes.scenario import load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from queue import Queue

    from export.scenes.clip import Rendered

_ONE_THREAD = ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def suite() -> list[Path]:
    """The scenarios that come with the package."""
    folder = Path(str(resources.files("export.scenes") / "suite"))
    return sorted(folder.glob("*.toml"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make-scenes", description="Render lobby footage with exact ground truth.")
    jobs = max(1, (os.cpu_count() or 2) - 1)
    commands = parser.add_subparsers(dest="command", required=True)
    clips = commands.add_parser("clips", help="render scenarios to NAME.mp4, .truth.json, .mot.txt and .sheet.jpg")
    clips.add_argument(
        "scenario", nargs="*", help="a TOML file, or the name of a scenario of the suite; none: the whole suite"
    )
    clips.add_argument("--out", type=Path, default=Path("scenes"), help="folder (default: scenes)")
    clips.add_argument("--jobs", type=int, default=jobs, help=f"processes (default: {jobs})")
    commands.add_parser("list", help="name the scenarios of the suite")
    pictures = commands.add_parser("pictures", help="render random training pictures with YOLO labels")
    pictures.add_argument("--count", type=int, default=2000)
    pictures.add_argument("--seed", type=int, default=1)
    pictures.add_argument("--out", type=Path, default=Path("scene-pictures"))
    pictures.add_argument("--jobs", type=int, default=jobs)
    pictures.add_argument(
        "--more", choices=sorted({*HELD, *WORN}), nargs="+", default=[], metavar="PROP",
        help=f"what to draw four times as often as otherwise: {', '.join(sorted({*HELD, *WORN}))}",
    )  # fmt: skip
    looks = commands.add_parser("looks", help="cut people out of such pictures, as the kiosk's closer look sees them")
    looks.add_argument("pictures", type=Path, nargs="+", help="folders that `make-scenes pictures` wrote")
    looks.add_argument("--seed", type=int, default=1)
    looks.add_argument("--out", type=Path, default=Path("scene-looks"))
    overview = commands.add_parser("overview", help="one frame of every clip in a folder, as one picture")
    overview.add_argument("folder", type=Path, help="clips with their truth")
    overview.add_argument("picture", type=Path, help="where to write it (.jpg or .png)")
    again = commands.add_parser(
        "truth", help="conclude anew what rendered clips of the suite should raise; no rendering"
    )
    again.add_argument("folder", type=Path, help="clips with their truth")
    figures = commands.add_parser("measure", help="how well a model bundle finds the people in rendered clips")
    figures.add_argument("folder", type=Path, help="clips with their truth")
    figures.add_argument("--model", type=Path, default=Path("weights/kiosk"), help="bundle (default: weights/kiosk)")
    return parser


def _find(name: str) -> Path:
    for path in suite():
        if path.stem == name:
            return path
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return path
    raise ScenarioError(f"{name}: neither a file nor a scenario of the suite", hint="make-scenes list names the suite.")


def _work(path: Path, out: Path, progress: Queue[int]) -> Rendered:
    """One scenario, in a process of its own: the OpenGL context belongs to it."""
    from export.scenes.clip import render  # noqa: PLC0415 - after the threads are limited
    from export.scenes.renderer import Renderer  # noqa: PLC0415

    renderer = Renderer()
    try:
        return render(load(path), out, renderer, on_frame=lambda _: progress.put(1))
    finally:
        renderer.close()


def _one_thread_each() -> None:
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")


def _clips(paths: Sequence[Path], out: Path, jobs: int, console: Console) -> None:
    scenarios = [load(p) for p in paths]  # all faults before the first frame
    frames = sum(round(s.seconds * s.fps) for s in scenarios)
    _one_thread_each()
    context = multiprocessing.get_context("spawn")
    manager = SyncManager(ctx=context)
    manager.start(initializer=end_with_parent)
    done: list[Rendered] = []
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
    with manager, bar, ProcessPoolExecutor(jobs, mp_context=context, initializer=end_with_parent) as pool:
        queue: Queue[int] = manager.Queue()
        task = bar.add_task("frames", total=frames)
        waiting = {pool.submit(_work, p, out, queue) for p in paths}
        try:
            while waiting:
                ready, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                while not queue.empty():
                    bar.advance(task, queue.get())
                done += [future.result() for future in ready]
        except BaseException:  # raised again: an interrupt must not wait for all that is queued
            pool.shutdown(cancel_futures=True)
            raise
        bar.update(task, completed=frames)
    table = Table("clip", "frames", "kB", "CPU s a frame", "incidents")
    for r in sorted(done, key=lambda r: r.name):
        table.add_row(r.name, str(r.frames), f"{r.size_bytes / 1000:.0f}", f"{r.cpu_s_a_frame:.2f}", str(r.incidents))
    console.print(table)


def _overview(folder: Path, picture: Path) -> None:
    import cv2  # noqa: PLC0415 - listing and refusing do without

    from export.scenes.clip import overview  # noqa: PLC0415

    if not any(folder.glob("*.truth.json")):
        raise ScenarioError(f"{folder}: no clips with their truth", hint="make-scenes clips --out FOLDER makes some.")
    cv2.imwrite(str(picture), overview(folder), [cv2.IMWRITE_JPEG_QUALITY, 80])


def _truth(folder: Path, console: Console) -> None:
    from export.scenes.clip import conclude  # noqa: PLC0415 - listing and refusing do without

    files = {p: p.name.removesuffix(".truth.json") for p in sorted(folder.glob("*.truth.json"))}
    if not files:
        raise ScenarioError(f"{folder}: no clips with their truth", hint="make-scenes clips --out FOLDER makes some.")
    changed = [name for path, name in files.items() if conclude(path, load(_find(name)))]
    console.print(f"{len(files)} truths, changed: {', '.join(changed) or 'none'}", highlight=False)


def _measure(folder: Path, bundle: Path, console: Console) -> None:
    from edge.detect.onnx import OnnxDetector  # noqa: PLC0415 - rendering does without a model
    from export.scenes.measure import frames_of, measure  # noqa: PLC0415

    low, high = 0.35, 0.5
    figures = measure(
        frames_of(folder), OnnxDetector(bundle, threads=1, classes=["person"], score_floor=low), low=low, high=high
    )
    table = Table("by", "", "person-frames", f"found at {low}", f"at {high}", "mean IoU")
    for (by, value), tally in sorted(figures.groups.items()):
        table.add_row(by, value, *tally.row())
    console.print(table)
    console.print(f"{figures.false_boxes} false boxes in {figures.frames} frames")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = _parser().parse_args(argv)
    console = Console()
    try:
        if args.command == "list":
            for path in suite():
                scenario = load(path)
                console.print(f"{scenario.name:26} {scenario.title}", highlight=False)
        elif args.command == "clips":
            paths = [_find(n) for n in args.scenario] or suite()
            _clips(paths, args.out, max(1, args.jobs), console)
        elif args.command == "overview":
            _overview(args.folder, args.picture)
        elif args.command == "truth":
            _truth(args.folder, console)
        elif args.command == "measure":
            _measure(args.folder, args.model, console)
        elif args.command == "looks":
            from export.scenes.looks import make_looks  # noqa: PLC0415 - listing and refusing do without

            made = make_looks(args.pictures, args.out, seed=args.seed)
            console.print(", ".join(f"{count} {split}" for split, count in made.items()) + f" pictures in {args.out}")
        else:
            from export.scenes.pictures import make  # noqa: PLC0415 - needs the renderer

            _one_thread_each()
            more = frozenset(args.more)
            make(
                count=args.count,
                seed=args.seed,
                out=args.out,
                jobs=max(1, args.jobs),
                console=console,
                more=more,
            )
    except KioskError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return EX_OK


if __name__ == "__main__":
    sys.exit(main())
