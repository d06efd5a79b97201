from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from fakes.clocks import FakeClock

from edge.app.support_bundle import SupportBundle, without_secrets

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("rtsp://viewer:hunter2@192.0.2.1/stream", "hunter2"),
        ("source=http://tok3n@cam.example/", "tok3n"),
        ('source = "rtsp://viewer:hun/ter22@192.0.2.1/stream"', "ter22"),
        ("rtsp://viewer:hun@ter22@192.0.2.1/stream", "ter22"),
        ("http://192.0.2.1/video?channel=1&usr=viewer&pwd=hunter2", "hunter2"),
        ('password = "hunter2"', "hunter2"),
        ("API_KEY: hunter2, next", "hunter2"),
        ('{"secret": "hunter2"}', "hunter2"),
        ("the word s3cr3t-value somewhere", "s3cr3t-value"),
    ],
)
def test_secrets_are_blotted_out(text: str, gone: str) -> None:
    clean = without_secrets(text, ["s3cr3t-value"])
    assert gone not in clean
    assert "[secret]" in clean or "***" in clean


@pytest.mark.parametrize(
    "text", ["password_file = 'mail-password'", "user@bank.example", "http://192.0.2.1/x", "no key here"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text, ["a", ""]) == text


def test_a_part_that_fails_is_in_the_bundle_as_its_error(tmp_path: Path) -> None:
    def broken() -> str:
        raise OSError(5, "Input/output error")

    (tmp_path / "kiosk.db").write_bytes(b"x" * 17)
    made = SupportBundle(
        kiosk="kiosk-1",
        facts={"health.json": lambda: {"status": "pass"}, "outbox.json": broken},
        secrets=list,
        state_dir=tmp_path,
        clock=FakeClock(),
    ).make()
    assert made[0] == "kiosk-guard-kiosk-1-20260301-020000.tar.gz"
    with tarfile.open(fileobj=io.BytesIO(made[1])) as tar:
        texts = {m.name.partition("/")[2]: tar.extractfile(m).read().decode() for m in tar}  # type: ignore[union-attr]
    assert '"status": "pass"' in texts["health.json"]
    assert "Input/output error" in texts["outbox.json"]
    assert "kiosk.db" in texts["state-files.txt"]
    assert "onnxruntime" in texts["versions.json"]
