"""What was measured, for people: a table for the terminal and the bundle's card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.behaviour.manifest import LookTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.behaviour.manifest import BehaviourManifest, WindowTable
    from export.behaviour.learn import Outcome

_SHORT = 30  # a table of clips longer than this says nothing
_POINTS = (0.98, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5)


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


def points(outcomes: Sequence[Outcome]) -> list[str]:
    """What other thresholds would find, and where they would be wrong, as Markdown."""
    shown = [o for o in outcomes if o.shown >= 0]
    machine = [o.silent for o in outcomes if not o.clip.whole and o.silent >= 0]
    hard = [o.silent for o in outcomes if o.clip.whole and o.silent >= 0]
    lines = [
        "| `min_score` | clips found | of these, of machines | false, clips of machines | false, short clips of nothing in particular |",
        "| --- | --- | --- | --- | --- |",
    ]
    at_machines = [o.shown for o in shown if not o.clip.whole]
    for limit in _POINTS:
        found, ours, wrong, wrong_hard = (
            sum(v >= limit for v in values) for values in ([o.shown for o in shown], at_machines, machine, hard)
        )
        lines.append(
            f"| {limit:.2f} | {found} of {len(shown)} | {ours} of {len(at_machines)} | {wrong} of {len(machine)} "
            f"| {wrong_hard} of {len(hard)} |"
        )
    return [*lines, ""]


def card(manifest: BehaviourManifest, outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """The bundle's README."""
    lines = [
        f"# {manifest.label}",
        "",
        "Two small classifiers (logistic regression as ONNX, float32: their weights are nothing to quantise).",
        "`machine_tampering` looks at the optical flow in people's boxes. `assault` looks at the whole picture while somebody is",
        "there, by the middle of the detector's own network: what moves, and how it changes.",
        f"Persons: {manifest.persons}. Made by `train-behaviour`; the features are `edge/behaviour`'s own.",
        "",
        f"**Thresholds.** {manifest.threshold_rule}",
        "",
        _LIMITS,
        "",
    ]
    for name, behaviour in manifest.behaviours.items():
        lines += table(name, outcomes[name], behaviour.threshold, behaviour.measured)
        if any(o.clip.whole for o in outcomes[name]):
            lines += points(outcomes[name])
        lines += [f"Features: {_features(behaviour.window)}.", ""]
    lines += ["## Learnt from", "", *(f"- {key}: {value}" for key, value in manifest.provenance.items()), ""]
    return "\n".join(lines)


_LIMITS = """**Limits.** Everything below is cross-validated by scene, on very few scenes. The feature sets and gates were chosen
by looking at cross-validated answers on these same clips (about thirty combinations): held-out footage will be worse. The
clips of normal use are mostly stock film, the others mostly surveillance footage from the web: what differs between these
two kinds (size of people in the picture, sharpness) is left out of the features of `machine_tampering` on purpose, and `assault` has
also learnt from all clips mirrored and made worse. The footage has no stated licence and is not part of this project; only
weights learnt from it are. Who moves unusually (children, wheelchairs, people who
dance or clean) is not in it. Where the detector has found nobody for two seconds, nothing is said. `assault` knows only the
map of the detector named above: with one that makes another map it rests, and the box says so; `train-model --keep-map`
makes detectors that keep it."""


def _features(window: WindowTable | LookTable) -> str:
    if isinstance(window, LookTable):
        return "mean and spread, over the window, of each channel of the network's map where the picture moves, and of its changes"
    return ", ".join(window.features)


def _mark(value: float, limit: float) -> str:
    if value < 0:
        return ""
    return f"**{value:.2f}**" if value >= limit else f"{value:.2f}"
