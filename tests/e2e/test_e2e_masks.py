"""No masked pixel leaves the real service: every picture that it stores, mails, serves or packs is found and decoded.

The clip has two areas in a colour that occurs nowhere else, each under a mask of one kind. Whatever is a picture, wherever
it lies, must not show that colour; and without masks it must, or this test proves nothing.
"""

from __future__ import annotations

import contextlib
import io
import re
import tarfile
import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from e2e.appliance_process import CLIP
from fakes.mailserver import Mailbox, mail_server

from edge.app.control_client import ControlClient, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.appliance_process import Config, Process

    from edge.types import U8

MAGENTA = (255, 0, 255)
AREAS = {
    "never_stored": (0.02, 0.03, 0.14, 0.3),
    "never_seen": (0.84, 0.03, 0.97, 0.3),
}  # x1 y1 x2 y2, share of the picture
_MARGIN = 0.01  # codecs smear a colour over an edge; a mask is drawn with a little room
_STARTS = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP|GIF8[79]a", re.DOTALL)


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's clip with both areas painted."""
    path = tmp_path_factory.mktemp("painted") / "painted.avi"
    source = cv2.VideoCapture(str(CLIP))
    writer: Any = None
    for _ in range(150):
        ok, picture = source.read()
        if not ok:
            break
        height, width = picture.shape[:2]
        for x1, y1, x2, y2 in AREAS.values():
            corners = (int(x1 * width), int(y1 * height)), (int(x2 * width), int(y2 * height))
            cv2.rectangle(picture, *corners, MAGENTA, -1)
        if writer is None:
            code = cv2.VideoWriter.fourcc(*"MJPG")
            writer = cv2.VideoWriter(str(path), code, source.get(cv2.CAP_PROP_FPS), (width, height))
        writer.write(picture)
    writer.release()
    return path


def pictures_in(name: str, data: bytes) -> Iterator[tuple[str, U8]]:
    """Every picture that begins anywhere in these bytes, archives opened."""
    if data[:2] == b"\x1f\x8b":
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            for member in archive.getmembers():
                inner = archive.extractfile(member)
                if inner is not None:
                    yield from pictures_in(f"{name}/{member.name}", inner.read())
        return
    for found in _STARTS.finditer(data):
        picture = cv2.imdecode(np.frombuffer(data[found.start() :], np.uint8), cv2.IMREAD_COLOR)
        if picture is not None:
            yield f"{name}@{found.start()}", np.asarray(picture, np.uint8)


def shows(picture: U8) -> int:
    """How many pixels have the colour, or nearly."""
    blue, green, red = (picture[..., k].astype(int) for k in range(3))
    return int(((np.minimum(blue, red) - green > 90) & (np.abs(blue - red) < 80)).sum())


def served(client: ControlClient) -> dict[str, U8]:
    found: dict[str, U8] = {}
    for query in ("", "?plain"):
        for _ in range(3):
            found |= pictures_in(f"live{query}", client.fetch("GET", f"/live/lobby.jpg{query}")[1])
            time.sleep(0.3)
    roles = [f"role={role}{small}" for role in ("annotated", "closeup", "clean", "sheet") for small in ("", "&small")]
    for one in client.get("/incidents?limit=50")["incidents"]:
        for query in roles:
            with contextlib.suppress(Refused):  # not every incident has a sheet
                path = f"/incidents/{one['id']}/picture?{query}"
                found |= pictures_in(path, client.fetch("GET", path)[1])
    found |= pictures_in("bundle", client.fetch("GET", "/acts/support-bundle")[1])
    for page in ("/", "/zones", "/walk-test", "/health"):
        found |= pictures_in(page, client.fetch("GET", page, failing=(503,))[1])
    return found


def mailed(mailbox: Mailbox) -> dict[str, U8]:
    found: dict[str, U8] = {}
    for number, mail in enumerate(mailbox.mails):
        for part in mail.message.walk():
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                found |= pictures_in(f"mail {number} {part.get_filename('')} {part.get_content_type()}", content)
    return found


def stored(state: Path) -> dict[str, U8]:
    found: dict[str, U8] = {}
    for file in sorted(p for p in state.rglob("*") if p.is_file()):
        found |= pictures_in(str(file.relative_to(state)), file.read_bytes())
    return found


def guard(start: Any, config: Config, clip: Path, mailbox: Mailbox) -> dict[str, U8]:
    config.cameras = [{"name": "lobby", "source": str(clip), "max_fps": 5.0, "loop": True}]
    config.tables["rules.loitering"] = {"dwell_s": 1.0, "escalate_s": 3.0}
    config.tables["evidence"] = {"before_s": 2.0, "after_s": 2.0}
    box: Process = start(config.write())
    box.wait_for("alert_queued", count=1, timeout_s=120.0)
    box.wait_for("alert_queued", count=2, timeout_s=120.0)
    mailbox.wait_for(2, timeout_s=120.0)
    time.sleep(3)
    state = config.path.parent / "state"
    return served(ControlClient(state)) | mailed(mailbox) | stored(state)


def kinds(found: dict[str, U8]) -> set[str]:
    return {re.split(r"[ /?@]", name.lstrip("/"), maxsplit=1)[0] for name in found}


def test_masked_pixels_are_in_no_picture(start: Any, config: Config, painted: Path) -> None:
    mailbox = Mailbox()
    with mail_server(box=mailbox) as (_, port):
        config.mail_to(port)
        config.masks = [
            {
                "camera": "lobby",
                "name": kind,
                "kind": kind,
                "polygon": [
                    [x1 - _MARGIN, y1 - _MARGIN],
                    [x2 + _MARGIN, y1 - _MARGIN],
                    [x2 + _MARGIN, y2 + _MARGIN],
                    [x1 - _MARGIN, y2 + _MARGIN],
                ],
            }
            for kind, (x1, y1, x2, y2) in AREAS.items()
        ]
        found = guard(start, config, painted, mailbox)
    assert {"live", "incidents", "mail", "evidence"} <= kinds(found), kinds(found)
    assert all(picture.mean() > 20 for picture in found.values())  # they show the lobby
    assert {name: shows(picture) for name, picture in found.items() if shows(picture)} == {}


def test_without_masks_the_colour_would_be_seen(start: Any, config: Config, painted: Path) -> None:
    mailbox = Mailbox()
    with mail_server(box=mailbox) as (_, port):
        config.mail_to(port)
        found = guard(start, config, painted, mailbox)
    near, whole = ({n: shows(p) for n, p in found.items() if ("closeup" in n) == close} for close in (True, False))
    assert all(count > 100 for count in whole.values()), whole
    assert near  # who stands beside the paint shows none of it
