"""No alert is lost and none is told twice, whatever happens to the process and the mail server."""

from __future__ import annotations

import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from e2e.appliance_process import CLIP, free_port
from fakes.mailserver import Mailbox, mail_server

if TYPE_CHECKING:
    from e2e.appliance_process import Config

CAMERAS = ["north", "south", "east"]


def _box(config: Config, smtp_port: int) -> Config:
    """Three cameras on the clip: the customer alone is an incident for each, four seconds in."""
    config.cameras = [{"name": name, "source": str(CLIP), "max_fps": 5.0, "loop": True} for name in CAMERAS]
    config.tables["rules.loitering"] = {"dwell_s": 1.0}
    config.tables["rules.restricted_area"] = {"enabled": False}
    config.mail_to(smtp_port)
    return config


def test_smtp_down_killed_started_again_smtp_up(start: Any, config: Config) -> None:
    port = free_port()  # nobody listens yet
    path = _box(config, port).write()
    first = start(path)
    first.wait_for("alert_queued", count=len(CAMERAS))
    first.signal(signal.SIGKILL)
    assert first.wait(10) == -signal.SIGKILL
    assert first.said("alert_delivered") == []
    queued = {e["alert_id"] for e in first.said("alert_queued")}
    assert len(queued) == len(CAMERAS)

    mailbox = Mailbox()
    with mail_server(port=port, box=mailbox):
        second = start(path)
        mailbox.wait_for(len(CAMERAS), timeout_s=30)
        for _ in CAMERAS:
            second.wait_for("alert_delivered", count=len(CAMERAS))
        assert {e["alert_id"] for e in second.said("alert_delivered")} == queued
        # The customer is seen again: the incidents go on, and nobody is told a second time.
        time.sleep(6)
        second.signal(signal.SIGTERM)
        assert second.wait(10) == 0

        third = start(path)
        third.wait_for("camera_live", count=len(CAMERAS))
        time.sleep(2)
        third.signal(signal.SIGTERM)
        assert third.wait(10) == 0
        assert third.said("alert_delivered") == []

    assert Counter(mailbox.ids).most_common(1)[0][1] == 1
    assert len(mailbox.ids) == len(CAMERAS)
    told = sorted(
        name for mail in mailbox.mails for name in CAMERAS if name in mail.message["Subject"] or _says(mail, name)
    )
    assert told == sorted(CAMERAS)


def _says(mail: Any, camera: str) -> bool:
    return f"Camera:        {camera}" in mail.message.get_body(("plain",)).get_content()


def test_a_mail_server_that_comes_back_gets_what_waited(start: Any, config: Config) -> None:
    """The same without a crash: the running box delivers by itself."""
    port = free_port()
    box = start(_box(config, port).write())
    box.wait_for("alert_queued", count=len(CAMERAS))
    mailbox = Mailbox()
    with mail_server(port=port, box=mailbox):
        mailbox.wait_for(len(CAMERAS), timeout_s=90)
        box.wait_for("alert_delivered", count=len(CAMERAS))
    box.signal(signal.SIGTERM)
    assert box.wait(10) == 0
    assert len(mailbox.ids) == len(set(mailbox.ids)) == len(CAMERAS)
