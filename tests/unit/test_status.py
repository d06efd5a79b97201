"""What ``kiosk-guard status`` prints of a health report."""

from __future__ import annotations

import pytest

from edge.app.status import service_status


@pytest.mark.parametrize(
    ("cameras", "where"), [(["lobby"], "loitering in picture: "), (["lobby", "hall"], "loitering in picture of hall: ")]
)
def test_an_open_incident_names_its_camera_where_there_are_several(cameras: list[str], where: str) -> None:
    incident = {"rule": "loitering", "zone": "picture", "camera": "hall", "what": "one person", "opened": "now"}
    report = {
        "status": "warn",
        "details": {"cameras": {name: {} for name in cameras}, "incidents": {"open": [incident]}},
    }
    (words,) = [words for _, name, words, _ in service_status(report) if name == "open incident"]
    assert words.startswith(where)
