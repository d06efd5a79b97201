"""One string names a camera, and its secrets show nowhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras.source import Kind, SourceMalformed, parse_source, redact


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("file:/data/a clip.mp4", Kind.FILE, "/data/a clip.mp4"),
        ("file:///data/clip.mp4", Kind.FILE, "/data/clip.mp4"),
        ("/data/clip.mp4", Kind.FILE, "/data/clip.mp4"),
        ("clip.mp4", Kind.FILE, str(Path.cwd() / "clip.mp4")),
        ("v4l2:0", Kind.V4L2, "/dev/video0"),
        ("v4l2:/dev/video2", Kind.V4L2, "/dev/video2"),
        (" 3 ", Kind.V4L2, "/dev/video3"),
        ("/dev/v4l/by-id/usb-Cam-index0", Kind.V4L2, "/dev/v4l/by-id/usb-Cam-index0"),
        ("rpicam:", Kind.RPICAM, "0,1280x720@10"),
        ("rpicam:1", Kind.RPICAM, "1,1280x720@10"),
        ("rpicam:1280x720", Kind.RPICAM, "0,1280x720@10"),
        ("rpicam:@15", Kind.RPICAM, "0,1280x720@15"),
        ("RPICAM:2,1920x1080@7.5", Kind.RPICAM, "2,1920x1080@7.5"),
        ("rtsp://10.0.0.5/stream1", Kind.RTSP, "rtsp://10.0.0.5/stream1"),
        ("RTSPS://cam.example:322/s", Kind.RTSP, "RTSPS://cam.example:322/s"),
        ("https://cam.example/mjpeg", Kind.HTTP, "https://cam.example/mjpeg"),
        ("rtsp://[fe80::1]:554/s", Kind.RTSP, "rtsp://[fe80::1]:554/s"),
    ],
)
def test_each_form_is_understood(text: str, kind: Kind, target: str) -> None:
    source = parse_source(text)
    assert (source.kind, source.target) == (kind, target)
    assert source.live is (kind is not Kind.FILE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "file:",
        "ftp://host/x",
        "v4l2:camera",
        "v4l2:256",
        "v4l2:/etc/passwd",
        "/dev/../etc/passwd",
        "rpicam:front",
        "rpicam:,",
        "rpicam:10",
        "rpicam:0,1300x720",
        "rpicam:0,1280x721",
        "rpicam:0,128x720",
        "rpicam:0,1280x720@0",
        "rpicam:0,1280x720@61",
        "rpicam://0",
        "rpicam:0;reboot",
        "rtsp:///x",
        "rtsp://host:99999/x",
        "rtsp://host:0/x",
        "rtsp://a\nb/x",
        "http://",
        "rtsp://[::1/x",
        "x" * 3000,
    ],
)
def test_what_names_no_camera_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(SourceMalformed, match="allowed") as caught:
        parse_source(text)
    assert isinstance(caught.value, ValueError)
    assert caught.value.exit_code == 78


def test_credentials_from_a_store_go_into_the_url_and_not_into_the_label() -> None:
    source = parse_source("rtsp://old:one@10.0.0.5:554/s?channel=1", user="guard", password="p@ss/w:rd")
    assert source.target == "rtsp://guard:p%40ss%2Fw%3Ard@10.0.0.5:554/s?channel=1"
    assert source.label == "rtsp://***@10.0.0.5:554/s?channel=1"
    assert source.place == "10.0.0.5:554"
    assert "p%40ss" not in repr(source)
    assert "guard" not in repr(source)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://10.0.0.5/s", "rtsp://10.0.0.5/s"),
        ("rtsp://u:p@10.0.0.5/s", "rtsp://***@10.0.0.5/s"),
        ("rtsp://u@10.0.0.5/s", "rtsp://***@10.0.0.5/s"),
        ("rtsp://u:a@b:c@10.0.0.5/s", "rtsp://***@10.0.0.5/s"),
        ("rtsp://u:a/b?c#d@10.0.0.5/s", "rtsp://***@10.0.0.5/s"),
        ("rtsp://u:12/3@10.0.0.5/s", "rtsp://***@10.0.0.5/s"),
        ("http://h/v?user=a&pwd=1234&channel=2", "http://h/v?user=***&pwd=***&channel=2"),
        (
            "rtsp://h/user=a_password=b_c_channel=1_stream=0.sdp",
            "rtsp://h/user=***_password=***_channel=1_stream=0.sdp",
        ),
        ("rtsp://h/user=a&password=&channel=1", "rtsp://h/user=***&password=&channel=1"),
        ("/data/clip@home.mp4", "/data/clip@home.mp4"),
    ],
)
def test_redacted(url: str, shown: str) -> None:
    assert redact(url) == shown


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=20).filter(
    lambda s: any(c.isalpha() for c in s)
)


@given(SECRETS)
def test_no_password_survives_however_it_is_written(secret: str) -> None:
    for written in (secret, quote(secret, safe="")):
        assert written not in redact(f"rtsp://user:{written}@10.0.0.5:554/stream").replace("10.0.0.5:554/stream", "")
    source = parse_source("rtsp://10.0.0.5/stream", user="u", password=secret)
    said = source.scrub(f"cannot open {source.target}: '{secret}' is wrong")
    assert quote(secret, safe="") not in said
    assert secret not in said


def test_a_library_that_repeats_the_url_is_scrubbed() -> None:
    source = parse_source("http://10.0.0.5/v?usr=admin&pwd=hunter22")
    assert "hunter22" not in source.scrub("GET http://10.0.0.5/v?usr=admin&pwd=hunter22 failed; pwd hunter22")
    assert "else" in source.scrub("tcp://u:p@10.1.1.1:554 and something else")
    assert "u:p" not in source.scrub("tcp://u:p@10.1.1.1:554 and something else")
