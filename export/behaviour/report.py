"""What was measured, for people: a table for the terminal and the bundle's card."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.behaviour.manifest import BehaviourManifest
    from export.behaviour.learn import Outcome

_SHORT = 30  # a table of clips longer than this says nothing


def table(name: str, outcomes: Sequence[Outcome], limit: float, measured: Mapping[str, float | str]) -> list[str]:
    """Highest out-of-fold answers of each clip, and the figures, as Markdown."""
    told = [o for o in outcomes if o.clip.events or not o.clip.whole]
    lines = [f"## {name}", "", "| clip | where it is shown | elsewhere |", "| --- | --- | --- |"]
    lines += [
        f"| {o.clip.path.stem} | {_mark(o.shown, limit)} | {_mark(o.silent, limit)} |"
        for o in sorted(told, key=lambda o: o.clip.path.stem)[:_SHORT]
    ]
    lines += ["", "| figure | value |", "| --- | --- |", f"| threshold | {limit:g} |"]
    lines += [f"| {key.replace('_', ' ')} | {value} |" for key, value in measured.items()]
    return [*lines, ""]


def card(manifest: BehaviourManifest, outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """The bundle's README."""
    lines = [
        f"# {manifest.label}",
        "",
        "Two small classifiers (logistic regression as ONNX; float32, for two and some forty weights are nothing to quantise)",
        "over how people move: optical flow in and around their boxes, how their boxes change, who is near.",
        f"Persons: {manifest.persons}. Made by `train-behaviour`; the features are `edge/behaviour`'s own.",
        "",
        f"**Thresholds.** {manifest.threshold_rule}",
        "",
        _LIMITS,
        "",
    ]
    for name, behaviour in manifest.behaviours.items():
        lines += table(name, outcomes[name], behaviour.threshold, behaviour.measured)
        lines += [f"Features: {', '.join(behaviour.window.features)}.", ""]
    lines += ["## Learnt from", "", *(f"- {key}: {value}" for key, value in manifest.provenance.items()), ""]
    return "\n".join(lines)


_LIMITS = """**Limits.** Everything below is cross-validated by scene, on very few scenes. The feature sets and gates were chosen
by looking at cross-validated answers on these same clips (about thirty combinations): held-out footage will be worse. The
clips of normal use are mostly stock film, the others mostly surveillance footage from the web: what differs between these
two kinds (size of people in the picture, sharpness) is left out of the features on purpose. The footage has no stated licence
and is not part of this project; only weights learnt from it are. Who moves unusually (children, wheelchairs, people who
dance or clean) is not in it. A person whom the detector does not find is not judged."""


def _mark(value: float, limit: float) -> str:
    if value < 0:
        return ""
    return f"**{value:.2f}**" if value >= limit else f"{value:.2f}"
