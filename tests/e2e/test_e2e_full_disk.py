"""The disk is filled to its last byte: the box starts and guards, alerts go out as text, once, and the log is whole after."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from e2e.appliance_process import CLIP
from fakes.mailserver import mail_server
from fakes.own_disk import fill, mounted_disk
from fakes.patience import wait_for

from edge.alerts.reserve import RESERVE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.appliance_process import Config

CAMERAS = ["north", "south", "east"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_disk(tmp_path, size_mib=160) as folder:
        yield folder


def test_not_one_byte_is_free(start: Any, run: Any, config: Config, disk: Path) -> None:
    config.cameras = [{"name": name, "source": str(CLIP), "max_fps": 5.0, "loop": True} for name in CAMERAS]
    config.tables["rules.loitering"] = {"dwell_s": 1.0}  # the customer alone is an incident for each, four seconds in
    config.tables["rules.restricted_area"] = {"enabled": False}
    config.tables["incidents"] = {"close_after_s": 2.0, "cooldown_s": 0.0}
    config.tables["state"] = {"dir": str(disk / "state")}
    with mail_server() as (mailbox, port):
        config.mail_to(port)
        path, reserve, filler = config.write(), disk / "state" / RESERVE_NAME, disk / "filler"
        first = start(path)
        first.wait_for("started")
        wait_for(reserve.exists)
        first.signal(signal.SIGTERM)
        assert first.wait(20) == 0

        fill(filler)
        box = start(path)
        box.wait_for("reserve_released")
        box.wait_for("camera_live", count=len(CAMERAS))
        fill(filler)  # the reserve's room as well
        mailbox.wait_for(len(CAMERAS), timeout_s=90)
        assert box.said("alert_queued") == []
        assert len(box.said("alert_unstored")) >= len(CAMERAS)
        blind = mailbox.mails[: len(CAMERAS)]
        assert all("There is no picture of this moment" in words(m) for m in blind)
        filler.unlink()

        mailbox.wait_for(2 * len(CAMERAS), timeout_s=90)
        wait_for(lambda: len(box.said("alert_queued")) >= len(CAMERAS))
        box.signal(signal.SIGTERM)
        assert box.wait(30) == 0
    assert len(mailbox.ids) == len(set(mailbox.ids))
    assert any(part.get_content_maintype() == "image" for m in mailbox.mails for part in m.message.walk())
    # What was mailed meanwhile stands in the log by now, and the heads that the mails named are in it.
    heads = [f"--head={found}" for m in mailbox.mails for found in re.findall(r"\d+:[0-9a-f]{64}", words(m))]
    verdict = run("verify-log", "--config", path, *heads)
    assert verdict.returncode == 0, verdict.stdout
    log = (disk / "state" / "incidents.log").read_text()
    for mail in blind:
        incident_id = str(mail.message["Message-ID"]).removeprefix("<").partition(".opened@")[0]
        assert re.search(rf'"change":"opened"[^\n]*"incident_id":"{incident_id}"', log), incident_id


def words(mail: Any) -> str:
    return str(mail.message.get_body(("plain",)).get_content())
