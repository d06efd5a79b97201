"""The fleet's alert rules: right for Prometheus, tested each, and about metrics that a box really tells."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fakes.health import FakeSource, full_figures

from edge.health.metrics import exposition

FLEET = Path(__file__).parents[2] / "firmware_config" / "fleet"
RULES = FLEET / "kiosk-guard.rules.yml"
RULE_TESTS = FLEET / "kiosk-guard.rules.test.yml"

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (Debian's package prometheus)"
)


def promtool(*words: str) -> None:
    done = subprocess.run(["promtool", *words], cwd=FLEET, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_rules_are_right_and_pass_their_tests() -> None:
    promtool("check", "rules", RULES.name)
    promtool("test", "rules", RULE_TESTS.name)


@needs_promtool
def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    for name in ("tokens/kiosk-0017", "certificates/kiosk-0017.crt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    for file in (RULES, FLEET / "prometheus.example.yml"):
        shutil.copy(file, tmp_path)
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", "prometheus.example.yml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_seen_to_fire_and_to_stay_quiet() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    tested = RULE_TESTS.read_text()
    fired = re.findall(r"alertname: (\w+)\n +exp_alerts:", tested)
    assert sorted(alerts) == sorted(set(alerts))
    assert sorted(fired) == sorted(alerts)
    for alert in alerts:  # once in the healthy fleet, once shortly before it fires
        assert tested.count(f"alertname: {alert}}}") == 2, alert


def test_the_rules_ask_for_metrics_that_a_box_tells() -> None:
    told = exposition(
        FakeSource().report(), full_figures(), version="1", ready=True, refused={"wrong_token": 0}
    ).decode()
    asked = set(re.findall(r"\bkiosk_[a-z0-9_]+|\bprocess_[a-z_]+", RULES.read_text()))
    assert len(asked) > 15
    for name in asked:
        assert re.search(rf"^{name}(\{{| )", told, re.MULTILINE), name


def test_every_rule_says_what_to_do() -> None:
    for name, rule in re.findall(r"- alert: (\w+)\n(.*?)(?=- alert:|\Z)", RULES.read_text(), re.DOTALL):
        assert re.search(r"severity: (page|ticket)\b", rule), name
        assert re.search(r'summary: ".*\$labels\.instance', rule), name
        assert re.search(r'action: ".{15,}"', rule), name
