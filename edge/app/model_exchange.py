"""What follows when another model is taken: rules that rest or wake, and the name in mails, records and health."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from edge.app.build import build_line, resting_rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.app.board import Board
    from edge.app.present_model import PresentModel
    from edge.config import Config
    from edge.pipeline import Line, Pipeline
    from edge.rules.interface import Rule

log = logging.getLogger(__name__)


class Labelled(Protocol):
    """Whatever names the model in what it writes."""

    model: str


class ModelExchange:
    """Called after every exchange, by the thread that made it.

    :param lines: camera name -> what follows it, as built for the first model.
    :param labelled: who names the model.
    """

    def __init__(
        self,
        config: Config,
        *,
        present: PresentModel,
        lines: Mapping[str, Line],
        pipeline: Pipeline,
        board: Board,
        labelled: Sequence[Labelled],
    ) -> None:
        self._config = config
        self._present = present
        self._rules: dict[str, Sequence[Rule]] = {name: line.rules for name, line in lines.items()}
        self._pipeline = pipeline
        self._board = board
        self._labelled = [*labelled, board]
        self._named = self._classes_by_rule()

    def __call__(self) -> None:
        named, resting = self._classes_by_rule(), self._resting()
        for camera in self._config.cameras:
            fresh = build_line(self._config, camera, self._present)
            # A rule whose classes stay the same goes on with all that it has seen; so its incident stays open.
            same = {r.name: r for r in self._rules[camera.name] if self._named.get(r.name) == named.get(r.name)}
            rules = [same.get(rule.name, rule) for rule in fresh.rules if rule.name not in resting]
            self._pipeline.exchange(camera.name, rules=rules, held_classes=fresh.tracker.held_classes)
            self._rules[camera.name] = rules
        self._named = named
        for one in self._labelled:
            one.model = self._present.model
        self._board.resting = {name: tuple(lacks) for name, lacks in resting.items()}
        for rule, lacking in resting.items():
            log.warning(
                f"rule {rule} rests: the model {self._present.model} knows no {', '.join(lacking)}",
                extra={"kg": {"event": "rule_rests", "rule": rule, "lacking": list(lacking)}},
            )

    def _resting(self) -> dict[str, tuple[str, ...]]:
        return resting_rules(self._config, self._present.known, self._present.map_name)

    def _classes_by_rule(self) -> dict[str, frozenset[str]]:
        tables = {**self._config.rules.seen, **self._config.rules.objects}
        known = set(self._present.known)
        return {name: frozenset(table.classes or (name,)) & known for name, table in tables.items()}
