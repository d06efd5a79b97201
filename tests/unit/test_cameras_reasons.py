"""What a library says becomes what a technician can act on."""

from __future__ import annotations

import pytest

from edge.cameras.reasons import explain, is_refused
from edge.cameras.source import parse_source

SOURCE = parse_source("rtsp://guard:hunter22@10.0.0.5/s")


@pytest.mark.parametrize(
    ("line", "words", "hint"),
    [
        ("[rtsp @ 0x55ba] method DESCRIBE failed: 401 (Unauthorized)", "user name or password", "user and password"),
        ("[OPENCV:FFMPEG:16] method DESCRIBE failed: 404 (Not Found)", "no such stream", "path"),
        (
            "[tcp @ 0x1] Connection to tcp://10.0.0.5:554?timeout=0 failed: Connection refused",
            "nothing listens",
            "port",
        ),
        ("[tcp @ 0x1] Failed to resolve hostname cam.invalid: Name or service not known", "host name", "address"),
        ("[tcp @ 0x1] Connection to tcp://10.0.0.5 failed: No route to host", "does not reach", "cable"),
        ("Connection timed out", "does not answer", "power"),
        ("[OPENCV:FFMPEG:16] Failed reading RTSP data: Immediate exit requested", "does not answer", "power"),
        ("[OPENCV:FFMPEG:16] Failed reading RTSP data: End of file", "closed the connection", "restarting"),
        ("[OPENCV:FFMPEG:16] Stream ends prematurely at 0, should be 18446744073709551615", "closed the", "restarting"),
        ("[tls @ 0x1] error:0A000086:SSL routines::certificate verify failed", "TLS", "clock"),
    ],
)
def test_known_lines(line: str, words: str, hint: str) -> None:
    said, do = explain(["[h264 @ 0x1] something before", line], SOURCE)
    assert words in said
    assert hint in do


def test_the_telling_line_wins_over_what_follows() -> None:
    said, _ = explain(["method DESCRIBE failed: 401 (Unauthorized)", "could not open the stream"], SOURCE)
    assert "401" in said


def test_an_unknown_line_is_repeated_without_secrets() -> None:
    assert explain(["[x @ 0x1] odd thing about rtsp://guard:hunter22@10.0.0.5/s", ""], SOURCE) == (
        "odd thing about rtsp://***@10.0.0.5/s",
        "",
    )
    assert explain([], SOURCE) == ("", "")


@pytest.mark.parametrize(
    "line",
    [
        "[OPENCV:FFMPEG:16] co located POCs unavailable",
        "[h264 @ 0x1] error while decoding MB 12 7, bytestream -5",
        "[hevc @ 0x1] Could not find ref with POC 4",
        "[OPENCV:FFMPEG:16] non-existing PPS 0 referenced",
        "[OPENCV:FFMPEG:16] bits 159 is invalid",
        "[OPENCV:FFMPEG:16] dqt: invalid len 50133",
        "[OPENCV:FFMPEG:24] Could not find codec parameters for stream 0 (Video: mjpeg (JPEG LS), lossless): unspecified size",
    ],
)
def test_a_damaged_picture_is_no_reason(line: str) -> None:
    assert explain([line], SOURCE) == ("", "")
    assert explain(["[x @ 0x1] odd thing", line], SOURCE) == ("odd thing", "")


def test_talkative_lines_are_looked_through_and_never_shown() -> None:
    lines = [
        "[OPENCV:FFMPEG:48] Authorization: Basic Z3VhcmQ6aHVudGVyMjI=",
        "[OPENCV:FFMPEG:56] http_code=401",
        "[OPENCV:FFMPEG:56] header='Server: x'",
    ]
    assert "401" in explain(lines, SOURCE)[0]
    assert explain(lines[:1] + lines[2:], SOURCE) == ("", "")


def test_digits_elsewhere_are_no_status() -> None:
    said, _ = explain(["[tcp @ 0x1] Connection to tcp://10.0.0.5:401 failed: Connection refused"], SOURCE)
    assert "nothing listens" in said


def test_a_request_repeated_for_debugging_is_no_reason() -> None:
    request = ["[OPENCV:FFMPEG:48] request: GET /video HTTP/1.1", "User-Agent: Lavf", "Icy-MetaData: 1", "", ""]
    assert explain(request, SOURCE) == ("", "")
    assert explain([*request, "[OPENCV:FFMPEG:16] odd thing"], SOURCE) == ("odd thing", "")
    assert explain(["plain words", *request], SOURCE) == ("plain words", "")


def test_being_asked_for_the_password_is_no_refusal() -> None:
    asked = [
        "[OPENCV:FFMPEG:48] request: GET /video HTTP/1.1",
        "[OPENCV:FFMPEG:56] header='HTTP/1.1 401 Unauthorized'",
        "[OPENCV:FFMPEG:56] http_code=401",
        "[OPENCV:FFMPEG:48] request: GET /video HTTP/1.1",
        "Authorization: Basic Z3VhcmQ6aHVudGVyMjI=",
    ]
    for then in ([], ["[OPENCV:FFMPEG:56] header='HTTP/1.1 200 OK'", "[OPENCV:FFMPEG:56] http_code=200"]):
        assert explain([*asked, *then], SOURCE) == ("", "")
        assert not is_refused([*asked, *then])
    assert is_refused([*asked, "[OPENCV:FFMPEG:56] http_code=401"])


def test_refused_credentials_are_known_as_such() -> None:
    assert is_refused(["method DESCRIBE failed: 401 (Unauthorized)"])
    assert is_refused(["Server returned 403 Forbidden (access denied)"])
    assert not is_refused(["method DESCRIBE failed: 404 (Not Found)", "port 4011"])
