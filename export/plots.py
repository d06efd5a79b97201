"""The card's pictures: precision against recall, and what is taken for what. The same figures give the same bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.types import I64
    from export.matches import Operating


def precision_recall(curves: Mapping[str, Operating]) -> bytes:
    """A PNG: for each class FP32 dashed and INT8 in full, a dot at the operating threshold.

    :param curves: class name to its curves and threshold.
    """
    figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
    for colour, (name, at) in enumerate(curves.items()):
        shade = f"C{colour % 10}"
        axes.plot(at.fp32.recall, at.fp32.precision, "--", color=shade, linewidth=0.8)
        axes.plot(at.int8.recall, at.int8.precision, color=shade, label=f"{name} ({at.int8.boxes})")
        precision, recall = at.int8.at(at.threshold)
        axes.plot([recall], [precision], "o", color=shade, markersize=5)
    axes.set(xlabel="recall (IoU 0.5)", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title("Precision against recall, INT8 (FP32 dashed); dots: operating thresholds", fontsize=9)
    axes.grid(alpha=0.3)
    if curves:
        axes.legend(fontsize=8, loc="lower left")
    return _png(figure)


def confusion_matrix(table: I64, names: Sequence[str]) -> bytes:
    """A PNG of (N + 1, N + 1) counts; the last row and column are "nothing"."""
    labels = [*names, "nothing"]
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = max(4.0, 0.6 * len(labels) + 1.5)
    figure, axes = plt.subplots(figsize=(side + 0.6, side), layout="constrained")
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set(xlabel="found", ylabel="labelled")
    axes.set_title("Boxes at the operating thresholds", fontsize=9)
    for row, column in np.ndindex(*table.shape):
        if table[row, column]:
            shade = "white" if share[row, column] > 0.6 else "black"
            axes.text(column, row, str(table[row, column]), ha="center", va="center", fontsize=7, color=shade)
    return _png(figure)


def _png(figure: Any) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=90, metadata={"Software": None})
    plt.close(figure)
    return target.getvalue()
