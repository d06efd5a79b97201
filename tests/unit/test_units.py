"""The units' sandboxes, as far as words show it; tests/vm runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "firmware_config"
UNITS = sorted(path for path in FOLDER.glob("*/*.service") if "/current/bin/kiosk-guard " in path.read_text())


def test_there_are_some() -> None:
    assert {path.name for path in UNITS} >= {"kiosk-guard.service", "kiosk-guard-model-fetch.service"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_that_runs_the_appliance_lets_it_ask_whether_the_clock_is_right(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    filters = [line.partition("=")[2].split() for line in lines if line.startswith("SystemCallFilter=")]
    if filters:
        assert {"adjtimex", "clock_adjtime"} <= set(filters[0])
        assert "SystemCallErrorNumber=EPERM" in lines  # else a call that is not allowed is the end of the process
