"""Learning one behaviour from windows, and measuring it by scenes that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from edge.behaviour.looks import LookSpec, LookWindow
from edge.behaviour.windows import Windows
from export.behaviour.footage import Moment, busy, moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from edge.behaviour.windows import WindowSpec
    from edge.types import F32, F64, I64
    from export.behaviour.footage import Footage
    from export.behaviour.truth import Clip

    Labels = npt.NDArray[np.int8]  # 1: shows it, 0: does not, -1: too near to say

STRETCH = 5.0  # features are log(1 + 5 x): differences between slow and slower count, too
_ALL = 0  # the name of all people as one
ROUNDS = 9
"""Of cross-validation, each with other scenes left out together."""

_FEW = 8  # scenes with the behaviour; with no more, each scene is left out in turn


@dataclass(frozen=True, slots=True)
class Task:
    """A behaviour to learn, and what is looked at for it.

    ``strength``: the inverse of the regularisation; ``versions``: of the clips, that are learnt from besides themselves.
    """

    name: str
    spec: WindowSpec | LookSpec
    strength: float = 0.1
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """All windows of one clip that can be judged. ``features`` (N, F); ``label`` (N,); ``at``: (N,) indices of moments."""

    clip: Clip
    moments: list[Moment]
    ready: list[list[int]]
    features: F32
    label: Labels
    width: int


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic regression of log(1 + STRETCH x): standardise with ``mean`` and ``scale``, then ``coef``, ``bias``."""

    mean: F64
    scale: F64
    coef: F64
    bias: float

    def probability(self, features: F32) -> F32:
        """(N, F) -> (N,)."""
        z = (np.log1p(STRETCH * np.abs(features)) - self.mean) / self.scale @ self.coef + self.bias
        return np.asarray(1 / (1 + np.exp(-z)), np.float32)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a clip got from a model that has not seen its scene.

    ``shown``/``silent``: the highest answers where the
    behaviour is shown, and where it is not; -1: there is no such part.
    """

    clip: Clip
    scene: int
    shown: float
    silent: float


def sample(task: Task, clip: Clip, footage: Footage) -> Sample:
    """The windows of one clip."""
    if isinstance(task.spec, LookSpec):
        return _looked(task.name, task.spec, clip, footage)
    windows, width = Windows(task.spec), footage.size[0]
    kept, ready_each, found, labels = [], [], [], []
    for moment in moments(footage):
        ready: list[int] = []
        if moment.names:
            ready, features = windows.features(moment.names, moment.rows, moment.xyxy, moment.t_s, width)
            found.append(features)
            labels += [_label(task.name, clip, moment.t_s - task.spec.seconds, moment.t_s)] * len(ready)
        kept.append(moment)
        ready_each.append(ready)
    empty = np.zeros((0, task.spec.width), np.float32)
    return Sample(clip, kept, ready_each, np.concatenate(found) if found else empty, np.array(labels, np.int8), width)


def _looked(name: str, spec: LookSpec, clip: Clip, footage: Footage) -> Sample:
    """As the kiosk looks: while somebody is there and a little longer; what it finds is said while somebody is there."""
    window = LookWindow(spec)
    kept, ready_each, found, labels = [], [], [np.zeros((0, spec.width), np.float32)], []
    looked = False
    for (t_s, people, looks_now), looks, there in zip(busy(footage), footage.looks, footage.there, strict=True):
        ready: list[int] = []
        if looks_now and looked and there:  # the first look after a pause has nothing before it
            features = window.features(looks, t_s)
            ready = [_ALL] * len(features)
            found.append(features)
            labels += [_label(name, clip, t_s - spec.seconds, t_s)] * len(features)
        looked = looks_now
        kept.append(Moment(t_s, [_ALL] if people else [], looks[None], np.zeros((1, 4), np.float32)))
        ready_each.append(ready)
    return Sample(clip, kept, ready_each, np.concatenate(found), np.array(labels, np.int8), footage.size[0])


def _label(name: str, clip: Clip, start_s: float, end_s: float) -> int:
    shown = clip.label(name, start_s, end_s)
    return -1 if shown is None else int(shown)


def fit(task: Task, samples: Sequence[Sample], scene: Mapping[Path, int]) -> Weights:
    """Learn from all windows that can be told; every scene counts the same within its kind."""
    features = np.concatenate([s.features for s in samples])
    label = np.concatenate([s.label for s in samples])
    group = np.concatenate([np.full(len(s.label), scene[s.clip.path]) for s in samples]).astype(np.int64)
    chosen = label >= 0
    return _fitted(features[chosen], label[chosen], group[chosen], task.strength)


def answers(task: Task, weights: Weights, one: Sample) -> list[F32]:
    """For each moment of a clip: what the kiosk would have said of each person, or of all of them as one."""
    if isinstance(task.spec, LookSpec):
        return _look_answers(task.spec, weights, one)
    windows, at, said = Windows(task.spec), 0, []
    for moment, ready in zip(one.moments, one.ready, strict=True):
        if not moment.names:
            said.append(np.zeros(0, np.float32))
            continue
        windows.features(moment.names, moment.rows, moment.xyxy, moment.t_s, one.width)
        probability = weights.probability(one.features[at : at + len(ready)])
        at += len(ready)
        said.append(windows.mean(ready, probability, moment.names, moment.t_s))
    return said


def _look_answers(spec: LookSpec, weights: Weights, one: Sample) -> list[F32]:
    window, at, said = LookWindow(spec), 0, []
    probability = weights.probability(one.features)
    for moment, ready in zip(one.moments, one.ready, strict=True):
        likely = window.mean(probability[at : at + len(ready)], moment.t_s)
        at += len(ready)
        said.append(np.array([likely] * len(moment.names), np.float32))
    return said


def cross_validate(
    task: Task, judged: Sequence[Sample], learnt: Sequence[Sample], scene: Mapping[Path, int]
) -> list[list[Outcome]]:
    """Every clip of ``judged`` judged by a model that was learnt from ``learnt`` without its scene; in the order of ``judged``.

    Which scenes are left out together is chance, and one draw's threshold and figures are a matter of luck. So there are
    ``ROUNDS`` of them, each with another draw; :func:`export.behaviour.score.middle` makes one of them. Where each scene is left out in turn there is nothing to
    draw, and one round.
    """
    clips = [s.clip for s in judged]
    shows = np.array([c.shows(task.name) for c in clips])
    groups = np.array([scene[c.path] for c in clips])
    if len(np.unique(groups[shows])) <= _FEW:
        draws = [[np.flatnonzero(groups == g) for g in np.unique(groups)]]
    else:
        draws = [_folds(shows, groups, seed) for seed in range(ROUNDS)]
    rounds = []
    for folds in draws:
        outcomes: dict[int, Outcome] = {}
        for fold in folds:
            left_out = set(groups[fold].tolist())
            weights = fit(task, [s for s in learnt if scene[s.clip.path] not in left_out], scene)
            outcomes |= {k: _outcome(task, weights, judged[k], int(groups[k])) for k in fold.tolist()}
        rounds.append([outcomes[k] for k in range(len(judged))])
    return rounds


def _folds(shows: npt.NDArray[np.bool_], groups: I64, seed: int) -> list[I64]:
    split = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    return [test for _, test in split.split(shows, shows, groups)]


def _outcome(task: Task, weights: Weights, one: Sample, scene: int) -> Outcome:
    shown, silent = -1.0, -1.0
    if one.clip.shows(task.name):
        shown = 0.0
    for moment, said in zip(one.moments, answers(task, weights, one), strict=True):
        highest = float(said.max(initial=0.0))
        label = one.clip.label(task.name, moment.t_s - task.spec.seconds, moment.t_s)
        if label:
            shown = max(shown, highest)
        elif label is False:
            silent = max(silent, highest)
    return Outcome(one.clip, scene, shown, silent)


def _fitted(features: F32, label: Labels, group: I64, strength: float) -> Weights:
    weight = np.zeros(len(label))
    for kind in (0, 1):
        own = np.unique(group[label == kind])
        for one in own:
            mine = (label == kind) & (group == one)
            weight[mine] = 1 / mine.sum() / len(own)
    scaler = StandardScaler().fit(np.log1p(STRETCH * np.abs(features)))
    model = LogisticRegression(C=strength, max_iter=1000)
    model.fit(scaler.transform(np.log1p(STRETCH * np.abs(features))), label, sample_weight=weight * len(label) / 2)
    return Weights(scaler.mean_, scaler.scale_, model.coef_[0], float(model.intercept_[0]))
