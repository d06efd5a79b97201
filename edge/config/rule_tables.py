"""The rules' tables, ``[rules.NAME]`` and ``[opening_hours]``: each parameter with its unit and its default."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from edge.config.fields import Name, OneLine, PositiveSeconds, Score, Seconds, SeverityName, Table
from edge.rules.opening_hours import parse_holiday, parse_span
from edge.types import Severity


class _Rule(Table):
    enabled: bool = True
    severity: SeverityName = "low"

    @property
    def level(self) -> Severity:
        return Severity.of(self.severity)


class LoiteringTable(_Rule):
    """One person stays too long."""

    dwell_s: PositiveSeconds = 120.0
    escalate_s: PositiveSeconds = 300.0
    escalated_severity: SeverityName = "high"
    machine_dwell_s: PositiveSeconds = 600.0
    window_s: PositiveSeconds = 1800.0
    window_dwell_s: PositiveSeconds = 240.0
    visits: Annotated[int, Field(ge=0, le=100)] = 0

    @field_validator("visits")
    @classmethod
    def _again(cls, value: int) -> int:
        if value == 1:
            raise ValueError("0 (visits are not counted), or 2 to 100: everybody comes in once")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> LoiteringTable:
        if self.escalate_s < self.dwell_s:
            raise ValueError(f"escalate_s ({self.escalate_s:g}) must not be less than dwell_s ({self.dwell_s:g})")
        return self


class RestrictedAreaTable(_Rule):
    """A person on the service side."""

    severity: SeverityName = "high"
    dwell_s: Seconds = 1.0
    edge_margin: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.12


class CrowdingTable(_Rule):
    """Too many people at once."""

    max_persons: Annotated[int, Field(ge=1, le=100)] = 4
    dwell_s: Seconds = 10.0
    near_s: Seconds = 20.0
    reach: Annotated[float, Field(ge=0, le=3, allow_inf_nan=False)] = 0.45


class ClosedHoursTable(_Rule):
    """A person inside outside the opening hours."""

    severity: SeverityName = "high"
    dwell_s: Seconds = 3.0
    margin_s: Annotated[float, Field(ge=0, le=7200, allow_inf_nan=False)] = 300.0


class PersonDownTable(_Rule):
    """A person on the floor."""

    severity: SeverityName = "high"
    down_s: Seconds = 10.0
    low: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.65
    wide: Annotated[float, Field(gt=0, le=3, allow_inf_nan=False)] = 1.1


class AssaultTable(_Rule):
    """Two persons struggle. ``min_score`` 0: as the behaviour model says."""

    severity: SeverityName = "low"
    min_score: Score = 0.0


class MachineTamperingTable(_Rule):
    """Somebody moves at the machine as in prying or striking. ``min_score`` 0: as the behaviour model says."""

    severity: SeverityName = "low"
    min_score: Score = 0.0
    reach: Annotated[float, Field(ge=0, le=3, allow_inf_nan=False)] = 0.3
    anywhere_without_machine: bool = True


class SeenTable(_Rule):
    """What of a rule about a class of the model is the same for all of them.

    No classes: the rule's own name. ``min_score`` 0: as the model says; its card tells which thresholds were measured.
    """

    classes: list[OneLine] = []
    min_score: Score = 0.0
    seen_s: Seconds = 0.6
    window_s: PositiveSeconds = 3.0

    @model_validator(mode="after")
    def _can_be_reached(self) -> SeenTable:
        for key in ("seen_s", "score_s"):
            value = getattr(self, key, 0.0)
            if self.enabled and value >= self.window_s:
                raise ValueError(
                    f"{key} ({value:g}) must be less than window_s ({self.window_s:g}): a window holds no more than itself"
                )
        return self


class FirearmTable(SeenTable):
    """A firearm in somebody's hand."""

    severity: SeverityName = "critical"
    score_s: Seconds = 0.4
    near_person: bool = True


class KnifeTable(SeenTable):
    """A knife in somebody's hand."""

    severity: SeverityName = "critical"
    score_s: Seconds = 0.4
    near_person: bool = True


class ToolTable(SeenTable):
    """A tool at the machine, or in the closed lobby."""

    severity: SeverityName = "high"
    seen_s: Seconds = 1.5
    window_s: PositiveSeconds = 5.0
    score_s: Seconds = 1.0
    near_person: bool = True
    reach: Annotated[float, Field(ge=0, le=3, allow_inf_nan=False)] = 0.3
    anywhere_without_machine: bool = True


class FaceCoverTable(SeenTable):
    """A covered face."""

    enabled: bool = False
    min_score: Score = 0.65  # hair and hoods from behind reach 0.63 for seconds
    seen_s: Seconds = 5.0
    window_s: PositiveSeconds = 10.0


class HelmetTable(SeenTable):
    """A helmet that is kept on."""

    seen_s: Seconds = 5.0
    window_s: PositiveSeconds = 10.0


class CameraTamperTable(_Rule):
    """The camera sends pictures, but not of what it is to watch."""

    severity: SeverityName = "high"
    dwell_s: PositiveSeconds = 5.0
    light_s: PositiveSeconds = 30.0
    frozen_s: PositiveSeconds = 30.0


class ObjectTable(SeenTable):
    """Another object that has no business in a lobby."""

    severity: SeverityName = "critical"
    classes: Annotated[list[OneLine], Field(min_length=1)]
    min_score: Score = 0.5
    score_s: Seconds = 0.0
    near_person: bool = True


class Rules(Table):
    """What counts as unusual."""

    loitering: LoiteringTable = LoiteringTable()
    restricted_area: RestrictedAreaTable = RestrictedAreaTable()
    closed_hours: ClosedHoursTable = ClosedHoursTable()
    crowding: CrowdingTable = CrowdingTable()
    person_down: PersonDownTable = PersonDownTable()
    firearm: FirearmTable = FirearmTable()
    knife: KnifeTable = KnifeTable()
    tool: ToolTable = ToolTable()
    face_cover: FaceCoverTable = FaceCoverTable()
    helmet: HelmetTable = HelmetTable()
    camera_tamper: CameraTamperTable = CameraTamperTable()
    assault: AssaultTable = AssaultTable()
    machine_tampering: MachineTamperingTable = MachineTamperingTable()
    objects: dict[Name, ObjectTable] = {}

    @field_validator("objects")
    @classmethod
    def _own_names(cls, value: dict[str, ObjectTable]) -> dict[str, ObjectTable]:
        taken = {*cls.model_fields, "camera_lost"} & set(value)
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))}: the name of a built-in rule; choose another")
        return value

    @property
    def seen(self) -> dict[str, SeenTable]:
        """The built-in rules about a class of the model, by name."""
        return {
            "firearm": self.firearm,
            "knife": self.knife,
            "tool": self.tool,
            "face_cover": self.face_cover,
            "helmet": self.helmet,
        }


_ROUND_THE_CLOCK = ["00:00-24:00"]


class OpeningHoursTable(Table):
    """When the lobby is open, in the site's local time."""

    monday: list[str] = _ROUND_THE_CLOCK
    tuesday: list[str] = _ROUND_THE_CLOCK
    wednesday: list[str] = _ROUND_THE_CLOCK
    thursday: list[str] = _ROUND_THE_CLOCK
    friday: list[str] = _ROUND_THE_CLOCK
    saturday: list[str] = _ROUND_THE_CLOCK
    sunday: list[str] = _ROUND_THE_CLOCK
    holidays: Annotated[list[str], Field(max_length=400)] = []
    on_holidays: list[str] = []

    @field_validator("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "on_holidays")
    @classmethod
    def _spans(cls, value: list[str]) -> list[str]:
        for text in value:
            parse_span(text)
        return value

    @field_validator("holidays")
    @classmethod
    def _days(cls, value: list[str]) -> list[str]:
        for text in value:
            parse_holiday(text)
        return value

    @property
    def week(self) -> list[list[str]]:
        """The days' spans, Monday first."""
        return [self.monday, self.tuesday, self.wednesday, self.thursday, self.friday, self.saturday, self.sunday]
