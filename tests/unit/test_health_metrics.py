"""What Prometheus is told, read back with its own parser and judged by its own tool."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from fakes.health import full_figures
from prometheus_client.parser import text_string_to_metric_families

from edge.durations import BOUNDS_S
from edge.health.interface import Check, Report, Status
from edge.health.metrics import Figures, exposition

if TYPE_CHECKING:
    from collections.abc import Mapping

REPORT = Report((Check("camera:lobby", Status.PASS), Check("mail", Status.WARN), Check("config", Status.FAIL)))


def text(figures: Figures | None = None, *, ready: bool = True) -> str:
    refused = {"wrong_token": 3, "foreign_page": 0}
    return exposition(REPORT, figures or full_figures(), version="1.2.3", ready=ready, refused=refused).decode()


def samples(exposed: str) -> Mapping[str, float]:
    """name{label="value",...} -> value."""
    found = {}
    for family in text_string_to_metric_families(exposed):
        for sample in family.samples:
            labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_the_figures_are_told_under_the_names_that_were_promised() -> None:
    told = samples(text())
    for name, value in {
        'kiosk_frame_age_seconds{camera="lobby"}': 0.25,
        'kiosk_camera_up{camera="lobby"}': 1,
        'kiosk_camera_frames_dropped_total{camera="lobby"}': 7,
        "kiosk_frames_judged_total": 93,
        'kiosk_incidents_total{rule="loitering",severity="low"}': 3,
        'kiosk_incident_verdicts{rule="loitering",verdict="false"}': 2,
        'kiosk_alerts_suppressed_total{reason="cooldown"}': 5,
        "kiosk_outbox_items": 4,
        "kiosk_outbox_oldest_age_seconds": 61.5,
        'kiosk_outbox_dropped_total{reason="outbox full"}': 2,
        "kiosk_delivery_last_success_timestamp_seconds": 1_700_000_000,
        'kiosk_build_info{version="1.2.3"}': 1,
        'kiosk_model_info{name="kiosk",precision="int8",version="1.0"}': 1,
        'kiosk_blind_seconds_total{reason="power"}': 3600.5,
        'kiosk_check_status{check="mail"}': 1,
        'kiosk_access_refused_total{reason="wrong_token"}': 3,
        "kiosk_temperature_celsius": 61.5,
        "kiosk_disk_free_bytes": 5_000_000,
        "kiosk_health_status": 2,
        "kiosk_ready": 1,
        "kiosk_maintenance_active": 1,
        "kiosk_clock_synchronised": 0,
        'kiosk_output_active{output="siren"}': 1,
    }.items():
        assert told[name] == value, name
    assert told["process_resident_memory_bytes"] > 1_000_000


def test_inference_is_a_histogram_whose_buckets_add_up() -> None:
    told = samples(text())
    buckets = [told[f'kiosk_inference_duration_seconds_bucket{{le="{bound}"}}'] for bound in (*BOUNDS_S, "+Inf")]
    assert buckets == sorted(buckets)
    assert told['kiosk_inference_duration_seconds_bucket{le="0.02"}'] == 2  # a value on the bound belongs to it
    assert buckets[-2:] == [3, 4]
    assert told["kiosk_inference_duration_seconds_count"] == 4
    assert told["kiosk_inference_duration_seconds_sum"] == pytest.approx(9.045)


def test_what_can_go_down_is_no_counter() -> None:
    kinds = {family.name: family.type for family in text_string_to_metric_families(text())}
    assert kinds["kiosk_incident_verdicts"] == "gauge"  # the desk may change its mind
    assert kinds["kiosk_outbox_items"] == "gauge"


def test_what_is_not_known_is_left_out_instead_of_being_zero() -> None:
    told = samples(text(Figures(), ready=False))
    assert {name.partition("{")[0] for name in told if name.startswith("kiosk_")} == {
        "kiosk_build_info",
        "kiosk_ready",
        "kiosk_health_status",
        "kiosk_check_status",
        "kiosk_access_refused_total",
    }
    assert told["kiosk_ready"] == 0


def test_no_label_can_take_many_values() -> None:
    labels = {key for family in text_string_to_metric_families(text()) for s in family.samples for key in s.labels}
    assert labels <= {
        "camera", "check", "le", "name", "output", "precision", "reason", "rule", "severity", "verdict", "version"
    }  # fmt: skip


def test_nothing_is_kept_from_one_scrape_to_the_next() -> None:
    assert 'rule="knife"' in text()
    assert "rule=" not in text(Figures())


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian's package prometheus)")
@pytest.mark.parametrize("figures", [full_figures(), Figures()])
def test_promtool_has_nothing_to_say(figures: Figures) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text(figures), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
