"""Commands that speak to the running service over its control socket, and what they do when there is none."""

from __future__ import annotations

import io
import json
import re
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.appliance_process import Config

START_S = 120.0  # on a machine that has other things to do


def packed(path: Path) -> dict[str, str]:
    """The files of a support bundle."""
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
        members = [(m.name.partition("/")[2], tar.extractfile(m)) for m in tar.getmembers()]
        return {name: file.read().decode() for name, file in members if file}


def test_a_technician_at_a_terminal(start: Any, run: Any, config: Config, tmp_path: Path) -> None:
    config.cameras[0]["loop"] = True
    path = config.write()
    process = start(path)
    process.wait_for("started", timeout_s=START_S)
    process.wait_for("camera_live", timeout_s=START_S)

    status = run("status", "--config", path, "--json")
    report = json.loads(status.stdout)
    assert report["details"]["kiosk"] == "kiosk-1"
    plain = run("status", "--config", path)
    assert plain.returncode == status.returncode == {"pass": 0, "warn": 1, "fail": 2}[report["status"]]
    assert "camera:lobby" in plain.stdout

    alarm = run("test-alarm", "--config", path, "--seconds", "1", "siren")
    assert (alarm.returncode, alarm.stdout) == (0, "siren: on for 1 s\n")
    wrong = run("test-alarm", "--config", path, "--seconds", "999")
    assert wrong.returncode == 69
    assert "999" in wrong.stderr

    assert "is on for" in run("walk-test", "on", "--minutes", "5", "--technician", "Ada", "--config", path).stdout
    assert "loitering" in run("walk-test", "status", "--config", path).stdout
    assert "no walk test is on" in run("walk-test", "off", "--config", path).stdout

    incident = process.wait_for("incident", change="opened", timeout_s=START_S)["incident_id"]
    process.wait_for("incident", change="closed", incident_id=incident, timeout_s=START_S)
    given = run("verdict", incident, "false", "--config", path)
    assert (given.returncode, given.stdout) == (0, f"incident {incident}: verdict false\n")
    assert re.search(r'^kiosk_incident_verdicts\{.*verdict="false"\} 1', process.ask("metrics")[1], re.MULTILINE)
    assert run("verdict", incident, "none", "--config", path).returncode == 0
    unknown = run("verdict", "20200101-000000-abcdef", "true", "--config", path)
    assert unknown.returncode == 69
    assert "no incident" in unknown.stderr

    made = run("support-bundle", "--out", tmp_path, "--config", path)
    assert made.returncode == 0, made.stderr
    (bundle,) = tmp_path.glob("kiosk-guard-*.tar.gz")
    assert {"health.json", "log.txt", "configuration.json"} <= set(packed(bundle))

    doctor = run("doctor", "--json", "--config", path, timeout_s=180)
    found = {c["name"]: c for c in json.loads(doctor.stdout)["checks"]}
    assert found["service"]["status"] == "pass"
    assert found["camera:lobby"]["status"] == "pass"
    assert found["light:lobby"]["status"] == "pass"
    assert found["view:lobby"]["status"] == "pass"
    assert found["pin mask:lobby"]["status"] == "fail"
    assert doctor.returncode == 2


def test_without_a_service_the_files_answer(run: Any, config: Config, tmp_path: Path) -> None:
    config.cameras[0]["pin_pad_in_view"] = False
    config.mail_to(1)
    password = tmp_path / "mail-password"
    password.write_text("correct horse\n")
    password.chmod(0o600)
    config.tables["email"]["password_file"] = str(password)
    path = config.write()
    (tmp_path / "state").mkdir(mode=0o750)

    status = run("status", "--config", path)
    assert status.returncode == 2
    assert "does not answer" in status.stdout

    alarm = run("test-alarm", "--config", path)
    assert alarm.returncode == 69
    assert "systemctl status" in alarm.stderr

    doctor = run("doctor", "--json", "--config", path, timeout_s=180)
    found = {c["name"]: c for c in json.loads(doctor.stdout)["checks"]}
    assert found["service"]["status"] == "warn"
    assert found["camera:lobby"]["status"] == "pass"
    assert found["sharpness:lobby"]["status"] == "pass"
    assert found["pin mask:lobby"]["status"] == "pass"
    assert found["mail"]["status"] == "fail"
    assert found["permissions:mail password"]["status"] == "pass"

    made = run("support-bundle", "--out", tmp_path, "--config", path, timeout_s=180)
    assert made.returncode == 0, made.stderr
    assert "from the files" in made.stdout
    (bundle,) = tmp_path.glob("kiosk-guard-*.tar.gz")
    files = packed(bundle)
    assert {"doctor.json", "configuration.toml"} <= set(files)
    assert "correct horse" not in "".join(files.values())


def test_a_faulty_configuration_is_a_finding_not_an_end(run: Any, config: Config) -> None:
    path = config.write()
    path.write_text(path.read_text().replace("dwell_s", "dwel_s"))
    doctor = run("doctor", "--config", path, timeout_s=180)
    assert doctor.returncode == 2
    assert doctor.stdout.count("unknown key") == 2
    assert "disk wear" in doctor.stdout  # it goes on with all that does not need the file
