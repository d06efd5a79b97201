"""The gate: a quantised model that lost too much does not get out.

Two measures on pictures that neither calibrated nor set thresholds: mAP50-95 over all classes, and recall at the
operating thresholds, class by class where there are enough boxes and pooled for the rest. Recall of few boxes is noisy:
the pictures are drawn again with replacement, the same ones for both models, and a class fails when the lower end of
the 90 % interval of its loss lies above what is allowed: when the loss is there and not chance.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import numpy as np

from edge.detect.measured import Gate, GateRow
from export.errors import GateError
from export.matches import found_boxes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from edge.detect.measured import Score
    from export.evaluate import Judged

MAX_MAP_LOSS = 1.0
MAX_RECALL_LOSS = 2.0
MIN_BOXES = 50
OVERALL = "overall"
REST = "rest"
_DRAWS = 2000
_LOWER = 5  # percentile


def judge_losses(
    fp32: Sequence[Judged],
    int8: Sequence[Judged],
    *,
    scores: tuple[Score, Score],
    names: Sequence[str],
    thresholds: Mapping[int, float],
    set_sha256: str,
    accepted: Mapping[str, float] | None = None,
) -> Gate:
    """What INT8 lost against FP32, and whether that passes.

    :param fp32: and ``int8``: the same pictures in the same order.
    :param scores: FP32's and INT8's average precision on them.
    :param names: the data set's classes. ``thresholds``: the data set's class id to its operating threshold.
    :param accepted: points that may be lost, by class, "overall" or "rest", beyond what the gate allows.
    :raises GateError: ``accepted`` names something that is not judged.
    """
    accepted = dict(accepted or {})
    before, after = found_boxes(fp32, thresholds), found_boxes(int8, thresholds)
    counted = [np.isin(row[0], list(thresholds)) for row in before]
    boxes = np.array([np.bincount(r[0][c], minlength=len(names)) for r, c in zip(before, counted, strict=True)])
    was, now = (
        np.array([np.bincount(r[0][c & r[2]], minlength=len(names)) for r, c in zip(rows, counted, strict=True)])
        for rows in (before, after)
    )
    totals = boxes.sum(axis=0)
    judged = groups(totals.tolist(), names, thresholds)
    check_accepted(accepted, judged)
    lost = 100 * (scores[0].map50_95 - scores[1].map50_95)
    rows = {OVERALL: _row(int(totals[list(thresholds)].sum()), lost, lost, MAX_MAP_LOSS, accepted.get(OVERALL))}
    for name, ids in judged.items():
        loss, lower = _bootstrap(boxes[:, ids].sum(axis=1), was[:, ids].sum(axis=1), now[:, ids].sum(axis=1))
        rows[name] = _row(int(totals[ids].sum()), loss, lower, MAX_RECALL_LOSS, accepted.get(name))
    return Gate(
        images=len(fp32),
        set_sha256=set_sha256,
        session="session.x64quantprecision=1",
        rows=rows,
        pooled=tuple(names[i] for i in judged.get(REST, [])),
        passed=all(row.passed for row in rows.values()),
    )


def groups(boxes: Sequence[int], names: Sequence[str], class_ids: Iterable[int]) -> dict[str, list[int]]:
    """What is judged by recall: each class with enough boxes alone, the rest pooled; by name, the classes' ids.

    :param boxes: labelled ones on the gate's images, by class id. ``class_ids``: those that the model knows.
    """
    ids = list(class_ids)
    found = {names[i]: [i] for i in ids if boxes[i] >= MIN_BOXES}
    rest = [i for i in ids if 0 < boxes[i] < MIN_BOXES]
    return {**found, REST: rest} if rest else found


def check_accepted(accepted: Collection[str], judged: Collection[str]) -> None:
    """Whether each name that a loss was accepted for is one that is judged.

    :raises GateError: one is not.
    """
    odd = sorted(set(accepted) - {*judged, OVERALL})
    if odd:
        raise GateError(
            f"--accept-loss {', '.join(odd)}: not judged by the gate", hint=f"judged: {', '.join([OVERALL, *judged])}"
        )


def check(gate: Gate) -> None:
    """Let it pass or not.

    :raises GateError: a loss is larger than allowed and was not accepted.
    """
    if gate.passed:
        return
    faults = [
        f"{name}: INT8 loses {row.loss_points:.2f} points of {'mAP50-95' if name == OVERALL else 'recall'}"
        f" ({row.lower_points:.2f} at least), {row.allowed_points:g} are allowed ({row.boxes} boxes)"
        for name, row in gate.rows.items()
        if not row.passed
    ]
    worst = {n: r for n, r in gate.rows.items() if not r.passed}
    wanted = [f"{n}={np.ceil(r.lower_points * 10) / 10:g}" for n, r in worst.items()]
    accept = " ".join(f"--accept-loss {shlex.quote(one)}" for one in wanted)
    raise GateError(
        "\n".join(["the gate is closed, no bundle was written", *faults]),
        hint="calibrate on more images, keep layers in float (--keep-float), fine-tune; or accept it on record: "
        + accept,
    )


def _row(boxes: int, loss: float, lower: float, allowed: float, accepted: float | None) -> GateRow:
    limit = max(allowed, accepted or 0.0)
    return GateRow(
        boxes=boxes,
        loss_points=round(loss, 3),
        lower_points=round(lower, 3),
        allowed_points=allowed,
        accepted_points=accepted,
        # Rounded first: what the record shows is what was judged.
        passed=round(lower, 3) <= limit,
    )


def _bootstrap(boxes: np.ndarray, was: np.ndarray, now: np.ndarray) -> tuple[float, float]:
    """Points of recall lost, and the lower end of that; arrays (P,) of counts by picture."""
    total = boxes.sum()
    if not total:
        return 0.0, 0.0
    used = np.flatnonzero(boxes)
    rng = np.random.default_rng(20)
    draws = rng.multinomial(len(used), np.full(len(used), 1 / len(used)), size=_DRAWS)
    losses = 100 * (draws @ (was - now)[used]) / (draws @ boxes[used])
    return float(100 * (was - now).sum() / total), float(np.percentile(losses, _LOWER))
