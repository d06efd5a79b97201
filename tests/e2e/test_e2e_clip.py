"""The committed clip: exactly what its ground truth says, through the installed command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from e2e.appliance_process import CLIP, TRUTH, free_port
from fakes.mailserver import mail_server

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.appliance_process import Config
    from fakes.mailserver import Mail, Mailbox

EXPECTED = [(e["rule"], e["zone"], e["opens_s"], e["closes_s"]) for e in TRUTH["expected"]]


def test_replay_gives_exactly_the_incidents_of_the_ground_truth(run: Any, config: Config, tmp_path: Path) -> None:
    film = tmp_path / "annotated.webm"
    done = run("replay", CLIP, "--config", config.write(), "--json", "--video", film)
    assert done.returncode == 0, done.stderr
    changes = [json.loads(line) for line in done.stdout.splitlines()]
    opened = [c for c in changes if c["change"] == "opened"]
    closed = [c for c in changes if c["change"] == "closed"]
    assert len(changes) == len(opened) + len(closed)
    assert [(c["rule"], c["zone"]) for c in opened] == [(rule, zone) for rule, zone, _, _ in EXPECTED]
    for change, (_, _, opens_s, _) in zip(opened, EXPECTED, strict=True):
        assert change["t_s"] == pytest.approx(opens_s, abs=1.0)
    ends = {(rule, zone): closes_s for rule, zone, _, closes_s in EXPECTED}
    assert {(c["rule"], c["zone"]) for c in closed} == set(ends)
    for change in closed:
        assert change["closed_s"] == pytest.approx(ends[change["rule"], change["zone"]], abs=1.0)
        assert change["close_reason"] == "condition ended"

    reader = cv2.VideoCapture(str(film))
    frames = 0
    while reader.read()[0]:
        frames += 1
    reader.release()
    assert frames == TRUTH["frame_count"]

    again = run("replay", CLIP, "--config", config.path, "--json")
    assert again.stdout == done.stdout


def test_replay_at_the_default_rate_sees_the_same(run: Any, config: Config) -> None:
    del config.cameras[0]["max_fps"]
    done = run("replay", CLIP, "--config", config.write(), "--json")
    changes = [json.loads(line) for line in done.stdout.splitlines()]
    opened = [(c["rule"], c["zone"], c["t_s"]) for c in changes if c["change"] == "opened"]
    assert opened == [(rule, zone, pytest.approx(opens_s, abs=1.0)) for rule, zone, opens_s, _ in EXPECTED]


def test_replay_is_told_when_the_recording_began(run: Any, config: Config) -> None:
    config.tables["kiosk"] = {**config.tables.get("kiosk", {}), "timezone": "Europe/Berlin"}
    week = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    config.tables["opening_hours"] = {day: ["08:00-18:00"] for day in week}
    path = config.write()

    def rules(*options: str) -> set[str]:
        done = run("replay", CLIP, "--config", path, "--json", *options)
        assert done.returncode == 0, done.stderr
        assert ("as if the recording began on 1970-01-01" in done.stderr) is not bool(options)
        return {json.loads(line)["rule"] for line in done.stdout.splitlines()}

    at_day = rules("--at", "2026-07-01 08:30")
    assert "closed_hours" not in at_day
    assert rules("--at", "2026-07-01T05:30Z") == rules() == at_day | {"closed_hours"}, "in Berlin it is half past seven"
    refused = run("replay", CLIP, "--config", path, "--at", "noon")
    assert refused.returncode != 0
    assert '"2026-03-01 14:30"' in refused.stderr


def test_replay_for_people(run: Any) -> None:
    """Without a configuration the whole picture is the lobby, and nobody stays long enough."""
    done = run("replay", CLIP)
    assert (done.returncode, done.stdout) == (0, "")
    assert "0 incidents" in done.stderr


def test_run_raises_alarms_and_mails_exactly_those_incidents(start: Any, run: Any, config: Config) -> None:
    with mail_server(port=free_port()) as (mailbox, port):
        config.mail_to(port)
        box = start(config.write())
        live = box.wait_for("camera_live")
        assert box.ask("livez")[0] == 200
        time.sleep(1.0)
        assert box.ask("readyz") == (200, "ready\n")
        code, body = box.ask("health")
        assert code == 200
        details = json.loads(body)["details"]
        assert details["frames_judged"] > 0
        assert details["outbox"]["waiting"] == 0
        code, metrics = box.ask("metrics")
        assert code == 200
        assert _figure(metrics, "kiosk_frames_judged_total") >= details["frames_judged"]
        assert _figure(metrics, "kiosk_inference_duration_seconds_count") > 0
        assert _figure(metrics, 'kiosk_camera_up{camera="lobby"}') == 1
        _promtool_agrees(metrics)
        assert box.wait(TRUTH["duration_s"] + 30) == 0, box.plain

        opened = box.said("incident", change="opened")
        assert [(e["rule"], e["zone"]) for e in opened] == [(rule, zone) for rule, zone, _, _ in EXPECTED]
        for event, (_, _, opens_s, _) in zip(opened, EXPECTED, strict=True):
            # Log times, on a busy machine: the exact times are the replay's.
            assert _seconds(live, event) == pytest.approx(opens_s, abs=2.0)
        assert box.said("incident", change="escalated") == []
        assert len(box.said("incident", change="closed")) == len(EXPECTED)

        pins = [(e["name"], e["on"]) for e in box.said("output")]
        assert pins == [("led", True), ("siren", True), ("siren", False), ("led", False)]

        ids = [e["incident_id"] for e in opened]
        assert len(set(mailbox.ids)) == len(mailbox.mails)
        opening, closing = of_kind(mailbox, "opened"), of_kind(mailbox, "closed")
        for event, mail in zip([e for e in opened if e["severity"] == "high"], closing, strict=True):
            assert mail.message["References"] == f"<{event['incident_id']}.opened@kiosk.example>"
            assert "Ended because:" in mail.message.get_body(("plain",)).get_content()
        sheets = of_kind(mailbox, "sheet")
        assert {m.message["References"] for m in sheets} == {m.message["Message-ID"] for m in opening}
        for sheet in sheets:
            (picture,) = [p for p in sheet.message.walk() if p.get_content_maintype() == "image"]
            image = cv2.imdecode(np.frombuffer(picture.get_payload(decode=True), np.uint8), cv2.IMREAD_COLOR)
            assert image.shape[1] > 1000
        for mail, incident_id, (rule, zone, _, _) in zip(opening, ids, EXPECTED, strict=True):
            assert mail.recipients == ["desk@bank.example", "night@bank.example"]
            words = mail.message.get_body(("plain",)).get_content()
            assert incident_id in words
            assert zone in words
            assert rule.split("_")[0] in mail.message["Subject"].lower()
            _check_pictures(mail)
        _check_log(run, config, mailbox)


def _check_pictures(mail: Any) -> None:
    """The whole picture twice, marked and as it was, and a close-up."""
    pictures = {p.get_filename(""): p for p in mail.message.walk() if p.get_content_maintype() == "image"}
    assert {name.rpartition("-")[2] for name in pictures} == {"annotated.jpg", "clean.jpg", "closeup.jpg"}
    for name, picture in pictures.items():
        image = cv2.imdecode(np.frombuffer(picture.get_payload(decode=True), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        if "closeup" in name:
            assert 200 < image.shape[1] <= TRUTH["width"]
        else:
            assert image.shape[1] == TRUTH["width"]
            assert image.shape[0] >= TRUTH["height"]  # a caption may hang on below


def _check_log(run: Any, config: Config, mailbox: Mailbox) -> None:
    """What the mails name is in the log; with a record less it is not."""
    heads = []
    for mail in mailbox.mails:
        words = mail.message.get_body(("plain",)).get_content()
        heads += ["--head", re.search(r"Incident log: +(\d+:[0-9a-f]{64})", words).group(1)]
    whole = run("verify-log", "--config", config.path, *heads)
    assert whole.returncode == 0, whole.stdout
    log = config.path.parent / "state" / "incidents.log"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-3]))
    cut = run("verify-log", "--config", config.path, *heads)
    assert cut.returncode == 65
    assert "its end was cut off" in cut.stdout


def of_kind(mailbox: Mailbox, kind: str) -> list[Mail]:
    return [m for m in mailbox.mails if m.message["X-Kiosk-Guard"].split()[0] == kind]


def _seconds(earlier: dict[str, Any], later: dict[str, Any]) -> float:
    return (datetime.fromisoformat(later["time"]) - datetime.fromisoformat(earlier["time"])).total_seconds()


def _figure(metrics: str, name: str) -> float:
    (line,) = [line for line in metrics.splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


def _promtool_agrees(metrics: str) -> None:
    if shutil.which("promtool"):  # Debian's package prometheus; the unit tests say when it is missing
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
