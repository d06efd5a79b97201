"""onnxruntime's settings, each measured against the runtime's own, interleaved in one run. No test: a table.

    python tests/perf/session_options.py --bundle weights/kiosk

What is worth keeping goes into edge/detect/onnx.py; the rest stays out of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

if TYPE_CHECKING:
    from collections.abc import Callable

SPIN = {
    "session.intra_op.spin_duration_us": "50",
    "session.force_spinning_stop": "1",
    "session.inter_op.allow_spinning": "0",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    model = args.bundle / "model.onnx"
    with tempfile.TemporaryDirectory() as folder:
        for threads in args.threads:
            ways = {name: make() for name, make in _ways(model, threads, Path(folder)).items()}
            _race(ways, threads, args.rounds)
    return 0


def _ways(model: Path, threads: int, folder: Path) -> dict[str, Callable[[], tuple[float, Callable[[Any], Any]]]]:
    def plain(path: Path = model, **settings: Any) -> tuple[float, Callable[[Any], Any]]:
        session, took = _session(path, threads, **settings)
        name = session.get_inputs()[0].name
        return took, lambda image: session.run(None, {name: image})

    def bound() -> tuple[float, Callable[[Any], Any]]:
        session, took = _session(model, threads)
        binding = session.io_binding()
        for node in session.get_outputs():
            out = ort.OrtValue.ortvalue_from_shape_and_type(node.shape, np.float32, "cpu")
            binding.bind_ortvalue_output(node.name, out)
        name = session.get_inputs()[0].name

        def run(image: Any) -> Any:
            binding.bind_cpu_input(name, image)
            session.run_with_iobinding(binding)
            return binding.get_outputs()

        return took, run

    def saved(suffix: str) -> Callable[[], tuple[float, Callable[[Any], Any]]]:
        def make() -> tuple[float, Callable[[Any], Any]]:
            path = folder / f"optimised-{threads}{suffix}"
            options = _options(threads)
            options.optimized_model_filepath = str(path)
            ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
            return plain(path, level=ort.GraphOptimizationLevel.ORT_DISABLE_ALL)

        return make

    return {
        "as the runtime": plain,
        "again (how much is noise)": plain,
        "no spinning": lambda: plain(config={"session.intra_op.allow_spinning": "0"}),
        "spinning for 20 us": lambda: plain(config=SPIN | {"session.intra_op.spin_duration_us": "20"}),
        "spinning while a frame is worked on": lambda: plain(config={"session.force_spinning_stop": "1"}),
        "spinning for ever": lambda: plain(config={}),
        "no arena": lambda: plain(arena=False),
        "no memory pattern": lambda: plain(pattern=False),
        "outputs bound once (IOBinding)": bound,
        "optimised graph saved, ONNX": saved(".onnx"),
        "optimised graph saved, ORT": saved(".ort"),
        "parallel execution": lambda: plain(parallel=True),
    }


def _options(
    threads: int,
    *,
    config: dict[str, str] | None = None,
    arena: bool = True,
    pattern: bool = True,
    parallel: bool = False,
    level: Any = ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = arena
    options.enable_mem_pattern = pattern
    options.graph_optimization_level = level
    options.log_severity_level = 3
    if parallel:
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
        options.inter_op_num_threads = threads
    for key, value in (SPIN if config is None else config).items():
        options.add_session_config_entry(key, value)
    return options


def _session(path: Path, threads: int, **settings: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    session = ort.InferenceSession(str(path), _options(threads, **settings), providers=["CPUExecutionProvider"])
    return session, time.perf_counter() - began


def _race(ways: dict[str, tuple[float, Callable[[Any], Any]]], threads: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 256, 416, 3), dtype=np.uint8)
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _, run in ways.values():
        run(image)
    for _ in range(rounds):
        for name, (_, run) in ways.items():
            for _ in range(5):
                wall, cpu = time.perf_counter(), time.process_time()
                run(image)
                spent[name].append((1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)))
    base = np.median(np.array(spent["as the runtime"]), axis=0)
    print(
        f"\n| {threads} threads | CPU ms | wall ms | CPU / wall, ratio | loading s |\n| --- | --- | --- | --- | --- |"
    )
    for name, (took, _) in ways.items():
        wall, cpu = np.median(np.array(spent[name]), axis=0)
        print(
            f"| {name} | {cpu:.2f} | {wall:.2f} | {cpu / base[1]:.3f} / {wall / base[0]:.3f} | {took:.2f} |", flush=True
        )


if __name__ == "__main__":
    sys.exit(main())
