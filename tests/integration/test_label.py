"""The label: a token that opens the real endpoint, a fingerprint that is the certificate's, and nothing kept."""

from __future__ import annotations

import hashlib
import itertools
import os
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from fakes.health import FakeSource

from edge.app.build_health import build_health
from edge.app.label_commands import label
from edge.clock import SystemClock
from edge.config import load
from edge.errors import ConfigError, HealthError, StateError

if TYPE_CHECKING:
    from pathlib import Path

CAMERA = '[[cameras]]\nname = "lobby"\nsource = "file:clip.mp4"\n[state]\ndir = "state"\n'


class Kiosk:
    """A configuration, its state directory and the commands on it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kiosk-guard.toml"
        self.state = folder / "state"
        self.state.mkdir()
        self.health("host = '127.0.0.1'")

    def health(self, keys: str) -> None:
        self.path.write_text(f"{CAMERA}[health]\n{keys}\n")

    def label(self, *, new: bool = False, host: str = "") -> str:
        said: list[object] = []
        assert label(load(self.path), self.path, new=new, host=host, say=said.append) == 0
        return "\n".join(map(str, said))

    def kept(self) -> str:
        return "".join(f.read_text(errors="replace") for f in self.state.iterdir())


@pytest.fixture(name="kiosk")
def _kiosk(tmp_path: Path) -> Kiosk:
    return Kiosk(tmp_path)


def word(said: str, key: str) -> str:
    (line,) = [line for line in said.splitlines() if line.startswith(key)]
    return line.removeprefix(key).strip()


def test_the_token_is_shown_once_and_only_its_hash_is_kept(kiosk: Kiosk) -> None:
    first = kiosk.label()
    token = word(first, "token")
    assert len(token) == 31
    assert token not in kiosk.kept()
    assert token.replace("-", "") not in kiosk.kept()
    assert "--new" in word(kiosk.label(), "token")
    other = word(kiosk.label(new=True), "token")
    assert other not in (token, "")


def test_the_code_holds_address_and_token(kiosk: Kiosk) -> None:
    cv2 = pytest.importorskip("cv2")
    numpy = pytest.importorskip("numpy")
    said = kiosk.label()
    lines = [line for line in said.splitlines() if set(line) & set("█▀▄")]
    # Two rows of modules a line: the full block is light on light.
    halves = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
    assert lines
    rows = [[halves[c][half] for c in line] for line in lines for half in (0, 1)]
    picture = numpy.array(rows, numpy.uint8) * 255
    read = ""
    # OpenCV's reader, unlike a phone's, misses one sharp code in fifteen at any one size: it gets several tries.
    readers = (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco())
    for image, reader, scale in itertools.product((picture, 255 - picture), readers, (8, 4, 6, 10)):
        big = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        big = cv2.copyMakeBorder(big, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=255)
        read = read or reader.detectAndDecode(big)[0]
    assert read == f"http://127.0.0.1:8787/login#{word(said, 'token')}"


def test_off_loopback_the_label_opens_the_real_endpoint_over_tls(kiosk: Kiosk) -> None:
    kiosk.health("host = '0.0.0.0'\nport = 0\nnames = ['kiosk.example']")
    said = kiosk.label()
    token, fingerprint = word(said, "token"), word(said, "fingerprint")
    assert word(said, "address").startswith("https://kiosk.example:")
    server = build_health(load(kiosk.path), kiosk.path, state_dir=kiosk.state, source=FakeSource(), clock=SystemClock())
    server.start()
    try:
        assert server.url.startswith("https://")
        pem = ssl.get_server_certificate(("127.0.0.1", server.port))
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
        assert found.startswith(fingerprint.replace(":", ""))
        trusted = ssl.create_default_context(cafile=str(kiosk.state / "health.crt"))  # as Prometheus's ca_file
        with httpx.Client(verify=trusted, base_url=server.url, trust_env=False) as client:
            assert client.get("/livez").status_code == 200
            assert client.get("/health").status_code == 401
            assert client.get("/health", headers={"Authorization": f"Bearer {token}"}).status_code == 200
            entered = client.post("/login", data={"token": token})
            assert entered.status_code == 303
            assert "Secure" in entered.headers["set-cookie"]
            assert client.get("/metrics").status_code == 200  # by the cookie
            other = word(kiosk.label(new=True), "token")
            assert client.get("/metrics").status_code == 401
            assert client.get("/health", headers={"Authorization": f"Bearer {other}"}).status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{server.port}/livez", trust_env=False)
    finally:
        server.stop()
    assert (kiosk.state / "health.key").stat().st_mode & 0o777 == 0o600


def test_the_certificate_is_made_once(kiosk: Kiosk) -> None:
    kiosk.health("host = '10.0.0.9'")
    assert word(kiosk.label(), "fingerprint") == word(kiosk.label(new=True), "fingerprint")


@pytest.mark.parametrize(
    ("keys", "host", "address"),
    [
        ("host = '::1'", "", "http://[::1]:8787/"),
        ("host = '10.0.0.9'\nport = 443", "", "https://10.0.0.9:443/"),
        ("host = '0.0.0.0'\ntls = 'off'", "kiosk-17.example", "http://kiosk-17.example:8787/"),
        ("host = '127.0.0.1'\ntls = 'on'", "", "https://127.0.0.1:8787/"),
    ],
)
def test_the_address_is_the_one_to_type(keys: str, host: str, address: str, kiosk: Kiosk) -> None:
    kiosk.health(keys)
    assert word(kiosk.label(host=host), "address") == address


def test_what_is_wrong_is_said(kiosk: Kiosk) -> None:
    kiosk.health("enabled = false")
    with pytest.raises(ConfigError, match="enabled = false"):
        kiosk.label()
    kiosk.health(f"host = '0.0.0.0'\ncert_file = '{kiosk.path}'\nkey_file = '{kiosk.path}'")
    with pytest.raises(HealthError, match="holds no certificate"):
        kiosk.label()
    kiosk.health("token_file = 'nowhere/token'")
    with pytest.raises(StateError, match=r"nowhere.token"):
        kiosk.label()


def test_a_certificate_that_does_not_fit_its_key_is_said_at_the_start(kiosk: Kiosk) -> None:
    kiosk.health("host = '0.0.0.0'")
    kiosk.label()
    (kiosk.state / "health.key").write_text("no key")
    with pytest.raises(HealthError, match="TLS cannot use"):
        build_health(load(kiosk.path), kiosk.path, state_dir=kiosk.state, source=FakeSource(), clock=SystemClock())


@pytest.mark.parametrize(
    ("keys", "made", "said"),
    [
        ("host = '0.0.0.0'", False, ["no token was made"]),
        ("host = '0.0.0.0'\ntls = 'off'", True, ["in clear"]),
        ("host = '0.0.0.0'", True, []),
        ("host = '127.0.0.1'\ntls = 'off'", False, []),
    ],
)
def test_a_door_that_is_open_too_wide_or_not_at_all_is_logged(
    keys: str, made: bool, said: list[str], kiosk: Kiosk, caplog: pytest.LogCaptureFixture
) -> None:
    kiosk.health(keys)
    if made:
        kiosk.label()
    build_health(load(kiosk.path), kiosk.path, state_dir=kiosk.state, source=FakeSource(), clock=SystemClock()).stop()
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == len(said)
    assert all(words in warning for words, warning in zip(said, warnings, strict=True))


def test_the_command(kiosk: Kiosk) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", "label", "--config", str(kiosk.path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "token        " in done.stdout
    assert not done.stderr


def test_a_terminal_that_knows_no_blocks_gets_the_token_all_the_same(kiosk: Kiosk) -> None:
    command = [sys.executable, "-m", "edge.cli", "label", "--config", str(kiosk.path)]
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert b"token        " in done.stdout
