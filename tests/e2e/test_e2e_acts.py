"""The technician's acts on the running service, over HTTP, without a browser."""

from __future__ import annotations

import io
import tarfile
import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from e2e.technician_box import Box, running_box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "correct-horse-battery"
FLOOR = {
    "camera": "lobby",
    "name": "whole-floor",
    "kind": "restricted",
    "polygon": [[0.02, 0.3], [0.98, 0.3], [0.98, 0.99], [0.02, 0.99]],
}


@pytest.fixture(scope="module")
def box(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with running_box(command, tmp_path_factory.mktemp("acts"), secret=SECRET) as found:
        yield found


def eventually(question: Callable[[], Any], timeout_s: float = 120.0) -> Any:
    until_s = time.monotonic() + timeout_s
    while not (answer := question()):
        assert time.monotonic() < until_s, f"not within {timeout_s} s"
        time.sleep(0.3)
    return answer


def test_nothing_is_done_or_shown_without_the_token(box: Box) -> None:
    for method, path in (("POST", "/acts/test-alarm"), ("GET", "/live/lobby.jpg"), ("GET", "/acts/support-bundle")):
        assert box.ask(method, path, token="", json={} if method == "POST" else None).status_code == 401
        assert box.ask(method, path, token="x", json={} if method == "POST" else None).status_code in {401, 429}


def test_outputs_go_on_and_off_by_themselves(box: Box) -> None:
    answer = box.ask("POST", "/acts/test-alarm", json={"seconds": 1, "outputs": ["siren"]})
    assert answer.json() == {"outputs": ["siren"], "seconds": 1.0}
    box.process.wait_for("output", name="siren", on=True)
    box.process.wait_for("output", name="siren", on=False)
    assert box.ask("POST", "/acts/test-alarm", json={"outputs": ["bell"]}).status_code == 400
    assert box.ask("POST", "/acts/test-alarm", json={"seconds": 3600}).status_code == 400


def test_a_test_mail_ends_with_the_server_s_words(box: Box) -> None:
    def ended() -> Any:
        state = box.told(f"/acts/test-mail/{sent['id']}")
        return state if state["state"] != "waiting" else None

    sent = box.ask("POST", "/acts/test-mail", json={}).json()
    assert eventually(ended)["state"] == "delivered"
    box.mailbox.answers["security-desk@bank.example"] = "550 5.1.1 no such desk here"
    try:
        sent = box.ask("POST", "/acts/test-mail", json={}).json()
        refused = eventually(ended)
    finally:
        box.mailbox.answers.clear()
    assert refused["state"] == "failed"
    assert "no such desk here" in refused["words"]
    assert box.told(f"/acts/test-mail/{sent['id']}") == refused
    assert box.ask("GET", "/acts/test-mail/test-unknown").status_code == 404


def test_a_zone_counts_and_a_mask_hides_from_the_next_frame_on(box: Box) -> None:
    before = box.told("/acts/zones")
    mask = {
        "camera": "lobby",
        "name": "pin-pad",
        "kind": "never_stored",
        "polygon": [[0.2, 0.2], [0.4, 0.2], [0.4, 0.4]],
    }
    body = {"zones": [FLOOR], "masks": [mask], "version": before["version"]}
    assert box.ask("PUT", "/acts/zones", json=body).status_code == 200
    assert box.ask("PUT", "/acts/zones", json=body).status_code == 409  # drawn upon what was there before

    def hidden() -> bool:
        jpeg = box.ask("GET", "/live/lobby.jpg?plain").content
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        return bool(image[int(0.25 * image.shape[0]), int(0.35 * image.shape[1])].max() < 12)

    eventually(hidden, timeout_s=20)
    seen = eventually(lambda: [i for i in box.told("/incidents")["incidents"] if i["zone"] == "whole-floor"])
    assert seen[0]["title"] == "Person in restricted area"
    assert len(box.process.said("started")) == 1
    version = box.told("/acts/zones")["versions"][0]["version"]
    assert box.ask("POST", "/acts/zones/restore", json={"version": version}).status_code == 200


def test_a_verdict_is_kept_and_a_picture_is_on_record_when_it_is_opened_but_not_when_it_is_small(box: Box) -> None:
    one = eventually(lambda: [i for i in box.told("/incidents")["incidents"] if "annotated" in i["pictures"]])[0]
    log = box.state / "incidents.log"
    before = log.read_text().count('"kind":"viewed"')
    small = box.ask("GET", f"/incidents/{one['id']}/picture?small")
    assert small.headers["content-type"] == "image/jpeg"
    assert log.read_text().count('"kind":"viewed"') == before
    assert len(box.ask("GET", f"/incidents/{one['id']}/picture").content) > len(small.content)
    assert log.read_text().count('"kind":"viewed"') == before + 1
    assert box.ask("GET", "/incidents/none/picture").status_code == 404
    box.ask("POST", "/acts/verdict", json={"incident_id": one["id"], "verdict": "true"})
    assert box.told(f"/incidents/{one['id']}")["verdict"] == "true"
    assert box.ask("POST", "/acts/verdict", json={"incident_id": one["id"], "verdict": "maybe"}).status_code == 400
    assert box.ask("POST", "/acts/verdict", json={"incident_id": "none", "verdict": "true"}).status_code == 404


def test_a_support_bundle_holds_what_is_needed_and_no_secret_and_no_picture(box: Box) -> None:
    answer = box.ask("GET", "/acts/support-bundle")
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        files = {m.name.partition("/")[2]: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
    assert {"health.json", "configuration.json", "log.txt", "versions.json", "zones.toml", "incidents.log"} <= set(
        files
    )
    assert b"guarding: lobby" in files["log.txt"]
    assert b'"id": "main-street-1"' in files["configuration.json"]
    everything = b"".join(files.values())
    assert SECRET.encode() not in everything
    assert box.token.encode() not in everything
    assert b"PRIVATE KEY" not in everything
    assert b"\xff\xd8\xff" not in everything


def test_maintenance_goes_on_and_off_at_once_and_needs_a_reason(box: Box) -> None:
    assert box.ask("POST", "/acts/maintenance", json={"on": True, "minutes": 5}).status_code == 400
    on = box.ask("POST", "/acts/maintenance", json={"on": True, "minutes": 5, "reason": "lens"}).json()
    assert on["on"]
    assert 200 < on["remaining_s"] <= 300
    assert box.ask("POST", "/acts/walk-test", json={"on": True}).status_code == 409
    assert not box.ask("POST", "/acts/maintenance", json={"on": False}).json()["on"]


def test_a_walk_test_over_http_ends_in_a_record(box: Box) -> None:
    state = box.ask("POST", "/acts/walk-test", json={"on": True, "minutes": 10, "technician": "Anna"}).json()
    assert state["on"]
    assert box.ask("POST", "/acts/maintenance", json={"on": True, "minutes": 5, "reason": "x"}).status_code == 409
    eventually(lambda: any(r["fired"] for r in box.told("/acts/walk-test")["rules"]))
    assert [i["told"] for i in box.told("/incidents")["incidents"] if i["test"]][0] == "no mail on record"  # noqa: RUF015
    assert not box.ask("POST", "/acts/walk-test", json={"on": False}).json()["on"]
    record = eventually(lambda: box.told("/acts/walk-test/records")["records"])[0]
    assert record["technician"] == "Anna"
    page = box.ask("GET", f"/acts/walk-test/records/{record['id']}.html")
    assert "Test mail" in page.text  # what was tried besides is in it
    assert "data:image/jpeg;base64," in page.text
