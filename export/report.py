"""What an export tells the terminal in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edge.detect.measured import Score
    from export.measure import Measured


def report(out: Path, size: int, measured: Measured) -> None:
    """Print size, accuracy by class and view, and the gate's rows.

    :param size: the model's bytes.
    """
    print(f"\n{out}: {size / 1e6:.2f} MB")
    view = measured.views["as_is"]
    columns = [view.fp32, view.int8, *([view.int8_default] if view.int8_default else [])]
    print(f"{'':18}{'FP32':>16}{'INT8':>16}{'INT8 default':>16}   boxes   (AP50 / AP50-95)")
    print(f"{'mean':18}" + "".join(pair(s.map50, s.map50_95) for s in columns))
    for name, row in view.fp32.classes.items():
        print(f"{name:18}" + "".join(_class_pair(s, name) for s in columns) + f"{row.boxes:8}")
    for name, other in measured.views.items():
        print(f"{name:18}" + pair(other.fp32.map50, other.fp32.map50_95) + pair(other.int8.map50, other.int8.map50_95))
    for name, lost in measured.gate.rows.items():
        print(
            f"gate, {name:12}{lost.loss_points:8.2f} points lost, at least {lost.lower_points:.2f}; {lost.boxes} boxes"
        )


def _class_pair(score: Score, name: str) -> str:
    return pair(score.classes[name].ap50, score.classes[name].ap50_95)


def pair(ap50: float, ap: float) -> str:
    """Two figures in sixteen columns."""
    return f"{f'{ap50:.3f} / {ap:.3f}':>16}"
