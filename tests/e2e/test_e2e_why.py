"""``why`` and ``maintenance`` on a running box and on what it left behind."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from edge.app.control_client import ControlClient

if TYPE_CHECKING:
    from e2e.appliance_process import Config


def test_maintenance_silences_a_running_box_and_why_tells_it(start: Any, run: Any, config: Config) -> None:
    config.cameras[0]["loop"] = True
    config.tables["rules.loitering"] = {"dwell_s": 0.5}  # the customer is an incident after four seconds
    config.tables["rules.restricted_area"] = {"enabled": False}
    path = config.write()
    asked = run("maintenance", "status", "--config", path)
    assert asked.returncode != 0  # the service has not run yet
    assert "state" in asked.stderr

    box = start(path)
    box.wait_for("started")
    done = run("maintenance", "on", "--minutes", "10", "--reason", "new paint", "--config", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "10.0 min" in done.stdout
    box.wait_for("maintenance", on=True)
    assert "new paint" in run("maintenance", "status", "--config", path).stdout
    assert "new paint" in str(ControlClient(path.parent / "state").health())

    assert run("maintenance", "off", "--config", path).stdout == "maintenance mode is off\n"
    box.wait_for("maintenance", on=False)
    opened = box.wait_for("output", name="led", on=True, timeout_s=90.0)
    assert opened
    box.signal(signal.SIGTERM)
    assert box.wait(20) == 0

    again = start(path)
    again.wait_for("started")
    again.signal(signal.SIGTERM)
    assert again.wait(20) == 0

    told = run("why", "--since", "1h", "--config", path)
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert any("maintenance" in line and "new paint" in line for line in lines), told.stdout
    assert any("loitering" in line for line in lines), told.stdout
    assert any("not running" in line and "told to stop" in line for line in lines), told.stdout
    # The rules that this model cannot serve are named, last.
    later = run("why", "--since", "0s", "--config", path)
    assert later.returncode == 0, later.stderr
    assert not any("new paint" in line for line in later.stdout.splitlines()), later.stdout


def test_an_incident_of_a_camera_that_got_another_name_does_not_stay_open(start: Any, run: Any, config: Config) -> None:
    config.cameras[0].update(name="north", loop=True)
    config.tables["rules.loitering"] = {"dwell_s": 0.5}
    config.tables["rules.restricted_area"] = {"enabled": False}
    path = config.write()
    box = start(path)
    box.wait_for("output", name="led", on=True, timeout_s=90.0)
    box.wait_for("alert_queued")
    box.signal(signal.SIGKILL)
    box.wait(10)
    assert ", still open: one person" in run("why", "--config", path).stdout

    config.cameras[0].update(name="entrance")
    config.tables["rules.loitering"] = {"enabled": False}
    path = config.write()
    again = start(path)
    again.wait_for("camera_live")
    again.signal(signal.SIGTERM)
    assert again.wait(20) == 0
    assert again.said("output", name="led", on=True) == []
    told = run("why", "--config", path).stdout
    assert "(north is not configured any more): one person" in told, told


def test_what_why_and_maintenance_refuse(run: Any, config: Config) -> None:
    path = config.write()
    for arguments in (
        ("why", "--since", "yesterday"),
        ("why",),
        ("maintenance", "on", "--minutes", "0", "--reason", "x"),
        ("maintenance", "on"),
    ):
        done = run(*arguments, "--config", path)
        assert done.returncode != 0, arguments
        assert done.stderr.startswith("kiosk-guard: "), done.stderr
        assert "Traceback" not in done.stderr
