"""The model card: what a model is, how good it is and what it cannot do, for people who have to answer for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.gate import OVERALL, REST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.detect.manifest import Manifest
    from export.matches import Operating

CARD_NAME = "card.md"
CURVES_NAME = "precision-recall.png"
CONFUSION_NAME = "confusion.png"


def card(
    manifest: Manifest,
    *,
    curves: Mapping[str, Operating],
    sources: Mapping[str, Mapping[str, float]],
    remarks: str,
) -> str:
    """The text of ``card.md``.

    :param curves: by class, as in ``precision_recall``.
    :param sources: AP50 of INT8 by source and class.
    :param remarks: the engineer's own words, Markdown: what the model is for, what it cannot do.
    """
    m = manifest
    parts = [
        f"# {m.name} {m.version}",
        (
            f"Made {m.created_utc:%Y-%m-%d}. Licence of the weights: {m.licence}. {m.model.size_bytes / 1e6:.2f} MB, INT8; one "
            f"letterboxed picture of {m.input.width}x{m.input.height} pixels in, boxes of {len(m.classes)} classes out."
        ),
        remarks.strip()
        or "Nobody has written down yet what this model is for and what it cannot do. Until somebody has, do not rely on it.",
        "## How good it is",
        (
            "COCO's average precision at IoU 0.50 / averaged over 0.50 to 0.95, through the kiosk's own path, on the validation "
            "images. `_16x9`: cropped or composed to the shape of a kiosk camera's picture."
        ),
        _views(m),
        "By class, as the pictures are:",
        _classes(m),
        f"![precision against recall]({CURVES_NAME})",
        f"![what is taken for what]({CONFUSION_NAME})",
        "## At the thresholds in use",
        m.threshold_rule + ".",
        _operating(m, curves),
        _doubts(m),
        "Share of labelled boxes found, by their height in the model's input pixels:",
        _heights(m),
    ]
    if sources:
        parts += ["By source of the pictures, INT8, AP50:", _sources(sources)]
    parts += ["## What quantising cost", _gate(m), "## Where it comes from", _provenance(m)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def _views(m: Manifest) -> str:
    rows = [
        [
            name,
            str(v.images),
            f"{v.fp32.map50:.3f} / {v.fp32.map50_95:.3f}",
            f"{v.int8.map50:.3f} / {v.int8.map50_95:.3f}",
        ]
        for name, v in m.metrics.items()
    ]
    return _table(["view", "images", "FP32", "INT8"], rows)


def _classes(m: Manifest) -> str:
    view = m.metrics["as_is"]
    rows = [
        [
            name,
            str(before.boxes),
            f"{before.ap50:.3f} / {before.ap50_95:.3f}",
            f"{view.int8.classes[name].ap50:.3f} / {view.int8.classes[name].ap50_95:.3f}",
        ]
        for name, before in view.fp32.classes.items()
    ]
    return _table(["class", "boxes", "FP32", "INT8"], rows)


def _operating(m: Manifest, curves: Mapping[str, Operating]) -> str:
    rows = []
    for name, at in curves.items():
        figures = [f"{p:.2f} / {r:.2f}" for p, r in (at.marking.at(at.threshold), at.int8.at(at.threshold))]
        mark = "low precision" if name in m.low_precision else ""
        rows.append([name, f"{at.threshold:.3f}", *figures, str(at.int8.boxes), mark])
    head = ["class", "threshold", "it is there: precision / recall", "and the box fits (IoU 0.5)", "boxes", ""]
    return "On the gate's images, which chose nothing:\n\n" + _table(head, rows)


def _doubts(m: Manifest) -> str:
    found = m.threshold_set
    unmeasured = found.unmeasured if found else ()
    if not unmeasured:
        return ""
    shown = ", ".join(unmeasured[:12]) + (f" and {len(unmeasured) - 12} more" if len(unmeasured) > 12 else "")
    return f"Not measured, too few labelled boxes: {shown}. Their thresholds are a default."


def _heights(m: Manifest) -> str:
    views = {name: v.recall_by_height for name, v in m.metrics.items() if v.recall_by_height}
    labels = list(next(iter(views.values()), {}))
    rows = [
        [name, *(f"{100 * table[k][1] / table[k][0]:.0f} % of {table[k][0]}" if table[k][0] else "-" for k in labels)]
        for name, table in views.items()
    ]
    return _table(["view", *labels], rows)


def _sources(sources: Mapping[str, Mapping[str, float]]) -> str:
    names = sorted({name for row in sources.values() for name in row})
    rows = [[source, *(f"{row[n]:.3f}" if n in row else "-" for n in names)] for source, row in sources.items()]
    return _table(["source", *names], rows)


def _gate(m: Manifest) -> str:
    if m.gate is None:
        return "Not judged."
    names = {OVERALL: "mAP50-95, all classes", REST: f"recall, pooled: {', '.join(m.gate.pooled)}"}
    rows = [
        [
            names.get(name, f"recall, {name}"),
            str(row.boxes),
            f"{row.loss_points:.2f}",
            f"{row.lower_points:.2f}",
            f"{row.allowed_points:g}",
            "-" if row.accepted_points is None else f"up to {row.accepted_points:g}",
        ]
        for name, row in m.gate.rows.items()
    ]
    table = _table(["measure", "boxes", "points lost", "at least", "allowed", "accepted by the exporter"], rows)
    default = m.gate.default_loss_points
    more = (
        ""
        if default is None
        else f" With onnxruntime's default sums on the exporting machine: {default:.2f} points of mAP50-95."
    )
    return (
        f'INT8 against FP32 on {m.gate.images} images of their own, {m.gate.session}. "At least" is the lower end of the 90 % '
        f"interval of a paired bootstrap over images.{more}\n\n{table}"
    )


def _provenance(m: Manifest) -> str:
    rows = [[k, v] for k, v in {**m.provenance, **{f"tool: {k}": v for k, v in m.tools.items()}}.items()]
    return _table(["what", "which"], rows)
