"""The box for Prometheus: read from memory when it is scraped, in a registry of its own.

Names follow Prometheus: base units, ``_total`` for what only grows. No label has more values than a box has cameras,
rules, checks or reasons; incidents, alerts and addresses are never labels. Counters begin anew with the service unless
their text says that they outlast it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from edge.health.interface import Report

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class CameraFigures:
    """One camera. ``frame_age_s``: since the newest judged picture was captured, None: none yet."""

    name: str
    live: bool
    frame_age_s: float | None
    frames: int
    dropped: int
    reconnects: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All that is told in numbers; what is not known here (None, empty) is left out.

    ``inference``: (upper bound in seconds, frames that took at most that long), cumulated, and their sum;
    ``incidents`` by (rule, severity) and ``verdicts`` by (rule, verdict); times "at" are Unix times in seconds.
    """

    model: Mapping[str, str] = field(default_factory=dict)
    cameras: Sequence[CameraFigures] = ()
    frames_judged: int | None = None
    frames_still: int | None = None
    closer_looks: int | None = None
    inference: Sequence[tuple[float, int]] = ()
    inference_sum_s: float = 0.0
    incidents: Mapping[tuple[str, str], int] = field(default_factory=dict)
    incidents_open: int | None = None
    verdicts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    suppressed: Mapping[str, int] = field(default_factory=dict)
    outbox_waiting: int | None = None
    outbox_held: int | None = None
    outbox_oldest_s: float | None = None
    outbox_dropped: Mapping[str, int] = field(default_factory=dict)
    delivered: int | None = None
    delivered_at_s: float | None = None
    pictures_lost: int | None = None
    outputs: Mapping[str, bool] = field(default_factory=dict)
    blind_s: Mapping[str, float] = field(default_factory=dict)
    maintenance: bool | None = None
    clock_synchronised: bool | None = None
    disk_free_bytes: int | None = None
    disk_size_bytes: int | None = None
    memory_available_bytes: int | None = None
    temperature_c: float | None = None
    throttled: bool | None = None


def exposition(
    report: Report,
    figures: Figures,
    *,
    version: str,
    ready: bool,
    refused: Mapping[str, int],
) -> bytes:
    """What a scrape gets: the process's own figures, the checks, and ``figures``.

    :param refused: requests that the health endpoint turned away, by reason.
    """
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    families = [*_health(report, version=version, ready=ready, refused=refused), *_figures(figures)]
    registry.register(_Ready(families))
    return generate_latest(registry)


class _Ready(Collector):
    """Families that are measured already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _gauge(name: str, text: str, value: float | bool | None) -> Iterator[Metric]:  # noqa: FBT001 - the value shown
    if value is not None:
        yield GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, value: float | None) -> Iterator[Metric]:
    if value is not None:
        yield CounterMetricFamily(name, text, value=float(value))


def _counters(name: str, text: str, labels: Sequence[str], values: Mapping[Any, float]) -> Iterator[Metric]:
    """``values``: by a tuple of the labels' values."""
    if values:
        family = CounterMetricFamily(name, text, labels=labels)
        for key, value in sorted(values.items()):
            family.add_metric(key, float(value))
        yield family


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Iterator[Metric]:
    if values:
        family = GaugeMetricFamily(name, text, labels=[label])
        for key, value in sorted(values.items()):
            family.add_metric([key], float(value))
        yield family


def _single(values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(key,): value for key, value in values.items()}


def _health(report: Report, *, version: str, ready: bool, refused: Mapping[str, int]) -> Iterator[Metric]:
    yield InfoMetricFamily("kiosk_build", "The software of this box.", value={"version": version})
    yield from _gauge("kiosk_ready", "Whether the box guards: 1 yes, 0 no.", ready)
    yield from _gauge("kiosk_health_status", "The worst check: 0 pass, 1 warn, 2 fail.", report.status)
    worst: dict[str, float] = {}
    for check in report.checks:
        worst[check.name] = max(worst.get(check.name, 0.0), float(check.status))
    yield from _gauges("kiosk_check_status", "A health check: 0 pass, 1 warn, 2 fail.", "check", worst)
    text = "Requests that the health endpoint turned away."
    yield from _counters("kiosk_access_refused", text, ["reason"], _single(refused))


def _figures(f: Figures) -> Iterator[Metric]:
    if f.model:
        yield InfoMetricFamily("kiosk_model", "The model that judges.", value=dict(f.model))
    yield from _cameras(f.cameras)
    yield from _counter("kiosk_frames_judged", "Frames that went all the way.", f.frames_judged)
    text = "Of the judged frames, those without a look by the model: empty, and nothing moved."
    yield from _counter("kiosk_frames_still", text, f.frames_still)
    text = "Looks of the model at a part of a frame: a person, or where something was found at one."
    yield from _counter("kiosk_closer_looks", text, f.closer_looks)
    if f.inference:
        buckets = [("+Inf" if math.isinf(bound) else str(bound), float(count)) for bound, count in f.inference]
        text = "How long the model took for a frame."
        yield HistogramMetricFamily(
            "kiosk_inference_duration_seconds", text, buckets=buckets, sum_value=f.inference_sum_s
        )
    yield from _counters("kiosk_incidents", "Incidents opened.", ["rule", "severity"], f.incidents)
    yield from _gauge("kiosk_incidents_open", "Incidents that are open now.", f.incidents_open)
    if f.verdicts:  # no counter: a verdict can be changed and taken back, and what goes down looks like a restart
        text = "Incidents of which the desk says so now; outlasts a restart."
        family = GaugeMetricFamily("kiosk_incident_verdicts", text, labels=["rule", "verdict"])
        for key, number in sorted(f.verdicts.items()):
            family.add_metric(key, float(number))
        yield family
    text = "Observations that raised no alert."
    yield from _counters("kiosk_alerts_suppressed", text, ["reason"], _single(f.suppressed))
    yield from _delivery(f)
    yield from _gauges("kiosk_output_active", "Whether a local output is on.", "output", dict(f.outputs))
    text = "Time in which the box did not watch, as stored every ten minutes; outlasts a restart."
    yield from _counters("kiosk_blind_seconds", text, ["reason"], _single(f.blind_s))
    yield from _gauge("kiosk_maintenance_active", "Whether maintenance mode silences the rules.", f.maintenance)
    yield from _machine(f)


def _cameras(cameras: Sequence[CameraFigures]) -> Iterator[Metric]:
    live = {c.name: float(c.live) for c in cameras}
    ages = {c.name: c.frame_age_s for c in cameras if c.frame_age_s is not None}
    yield from _gauges("kiosk_camera_up", "Whether the camera delivers.", "camera", live)
    text = "Time since the newest judged picture was captured."
    yield from _gauges("kiosk_frame_age_seconds", text, "camera", ages)
    for name, text, values in (
        ("kiosk_camera_frames", "Frames captured.", {c.name: c.frames for c in cameras}),
        ("kiosk_camera_frames_dropped", "Frames that a newer one superseded.", {c.name: c.dropped for c in cameras}),
        ("kiosk_camera_reconnects", "Times that the camera was opened again.", {c.name: c.reconnects for c in cameras}),
    ):
        yield from _counters(name, text, ["camera"], _single(values))


def _delivery(f: Figures) -> Iterator[Metric]:
    yield from _gauge("kiosk_outbox_items", "Alerts that wait to be sent.", f.outbox_waiting)
    yield from _gauge("kiosk_outbox_held_items", "Alerts that were refused for good.", f.outbox_held)
    yield from _gauge("kiosk_outbox_oldest_age_seconds", "Age of the oldest undelivered alert.", f.outbox_oldest_s)
    text = "Alerts given up; outlasts a restart."
    yield from _counters("kiosk_outbox_dropped", text, ["reason"], _single(f.outbox_dropped))
    yield from _counter("kiosk_alerts_delivered", "Alerts that the mail server took; outlasts a restart.", f.delivered)
    text = "When an alert was last delivered."
    yield from _gauge("kiosk_delivery_last_success_timestamp_seconds", text, f.delivered_at_s)
    yield from _counter("kiosk_pictures_lost", "Pictures of incidents that could not be stored.", f.pictures_lost)


def _machine(f: Figures) -> Iterator[Metric]:
    text = "Whether the clock was set from the network."
    yield from _gauge("kiosk_clock_synchronised", text, f.clock_synchronised)
    yield from _gauge("kiosk_disk_free_bytes", "Room left where the state is kept.", f.disk_free_bytes)
    yield from _gauge("kiosk_disk_size_bytes", "Size of the disk where the state is kept.", f.disk_size_bytes)
    yield from _gauge("kiosk_memory_available_bytes", "Memory left on the box.", f.memory_available_bytes)
    yield from _gauge("kiosk_temperature_celsius", "The hottest part that tells.", f.temperature_c)
    text = "Whether heat or a weak power supply slows the box."
    yield from _gauge("kiosk_throttled", text, f.throttled)
