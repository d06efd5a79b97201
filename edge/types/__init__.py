"""The values that flow through the appliance. Plain, frozen, struct-of-arrays; "nothing there" is N = 0, never None."""

from edge.types.arrays import C64, F32, F64, I64, U8, Bool
from edge.types.seen import BEHAVIOURS, Detections, Features, Frame, Look, Scene, Tracks, Zone, ZoneKind
from edge.types.told import Alert, ChangeKind, EvidenceRef, Incident, IncidentChange, Observation, Severity, Withheld

__all__ = [
    "BEHAVIOURS",
    "C64",
    "F32",
    "F64",
    "I64",
    "U8",
    "Alert",
    "Bool",
    "ChangeKind",
    "Detections",
    "EvidenceRef",
    "Features",
    "Frame",
    "Incident",
    "IncidentChange",
    "Look",
    "Observation",
    "Scene",
    "Severity",
    "Tracks",
    "Withheld",
    "Zone",
    "ZoneKind",
]
