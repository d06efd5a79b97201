"""``kiosk-guard model fetch`` against a real https server with every bad habit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fakes.bundles import OLD, Operator, archive, make_bundle
from fakes.file_server import CA, FileServer

from edge.app.build import bundle_path
from edge.app.model_fetch import fetch_and_install
from edge.config import Config
from edge.errors import ConfigError, ManifestError
from edge.models.durable import Disk
from edge.models.fetch import FetchError, fetch
from edge.models.store import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[FileServer]:
    made = FileServer()
    yield made
    made.server.shutdown()
    made.server.server_close()


def get(server: FileServer, folder: Path, **options: Any) -> bytes | None:
    options.setdefault("max_bytes", 1_000_000)
    got = fetch(options.pop("url", server.url), folder, disk=Disk(), ca_file=CA, **options)
    return None if got is None else got.path.read_bytes()


def test_a_cut_connection_goes_on_where_it_broke(server: FileServer, tmp_path: Path) -> None:
    server.content = bytes(range(256)) * 2000
    server.cut_after = 300_000
    with pytest.raises(FetchError, match="cut off"):
        get(server, tmp_path)
    assert get(server, tmp_path) == server.content
    assert server.asked[1]["range"] == "bytes=300000-"


def test_another_version_on_the_server_begins_anew(server: FileServer, tmp_path: Path) -> None:
    server.content, server.cut_after = b"a" * 500_000, 300_000
    with pytest.raises(FetchError):
        get(server, tmp_path)
    server.content, server.etag = b"b" * 400_000, '"2"'
    assert get(server, tmp_path) == server.content


def test_what_is_known_is_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    server.content = b"bundle"
    assert get(server, tmp_path, known_tag='"1"') is None
    assert get(server, tmp_path, known_tag='"0"') == b"bundle"


@pytest.mark.parametrize("says_length", [True, False])
def test_too_large_is_refused_whether_the_server_says_so_or_not(
    server: FileServer, tmp_path: Path, says_length: bool
) -> None:
    server.content, server.says_length = b"x" * 2_000_000, says_length
    with pytest.raises(FetchError, match=r"2000000 bytes|larger than 1000000"):
        get(server, tmp_path)
    part = tmp_path / "part"
    assert not part.exists() or part.stat().st_size == 0


@pytest.mark.parametrize("to", ["http://localhost/plain", "file:///etc/passwd", "ftp://localhost/x"])
def test_it_is_not_led_away_from_https(server: FileServer, tmp_path: Path, to: str) -> None:
    server.redirect = to
    with pytest.raises(FetchError, match=r"sends us on|is not allowed"):
        get(server, tmp_path)


def test_a_redirect_to_https_is_followed(server: FileServer, tmp_path: Path) -> None:
    server.content, server.redirect = b"bundle", server.url + "?again"
    assert get(server, tmp_path) == b"bundle"


@pytest.mark.parametrize("url", ["http://localhost/x", "file:///etc/passwd", "kiosk.tar.gz", "https://a:b@localhost/x"])
def test_other_addresses_are_refused(server: FileServer, tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match="not fetched"):
        get(server, tmp_path, url=url)


def test_an_unknown_certificate_is_refused_and_no_secret_of_the_address_is_told(
    server: FileServer, tmp_path: Path
) -> None:
    url = server.url + "?token=pass-word"
    with pytest.raises(FetchError, match="certificate") as caught:
        fetch(url, tmp_path, disk=Disk(), max_bytes=1000)
    assert "pass-word" not in str(caught.value)


class Box:
    def __init__(self, folder: Path, server: FileServer) -> None:
        self.folder, self.server = folder, server
        self.operator = Operator(folder / "keys")
        (folder / "state").mkdir()
        self.path = folder / "kiosk-guard.toml"
        self.said: list[str] = []
        self.url = server.url

    @property
    def config(self) -> Config:
        return Config.model_validate(
            {
                "cameras": [{"name": "lobby", "source": "/dev/video0"}],
                "state": {"dir": "state"},
                "model": {"trusted_keys": "keys", "fetch_url": self.url, "fetch_ca_file": str(CA)},
            }
        )

    def publish(self, version: str, **options: Any) -> None:
        bundle = make_bundle(self.folder / "made" / version, version=version, **options)
        self.server.content = archive(bundle, self.folder / f"{version}.tar.gz").read_bytes()
        self.server.etag = f'"{version}"'

    def fetch(self, *, force: bool = False) -> str:
        fetch_and_install(self.config, self.path, "", force=force, by="timer", say=self.said.append)
        return bundle_path(self.config, self.path).name


def test_a_fleet_follows_its_server(server: FileServer, tmp_path: Path) -> None:
    box = Box(tmp_path, server)
    box.publish("101", key=box.operator.key)
    assert box.fetch().startswith("kiosk-101-")
    assert box.fetch().startswith("kiosk-101-")
    assert "nothing new" in box.said[-1]
    box.publish("102", key=box.operator.key)
    assert box.fetch().startswith("kiosk-102-")
    assert not (tmp_path / "state" / "models" / ".fetch" / "part").exists()


def test_what_was_refused_is_fetched_once_and_said_again(server: FileServer, tmp_path: Path) -> None:
    box = Box(tmp_path, server)
    box.publish("101", key=None)
    with pytest.raises(ManifestError, match="not signed"):
        box.fetch()
    box.fetch()
    assert "what is there was refused" in box.said[-1]
    box.publish("102", key=box.operator.key, created=OLD)
    with pytest.raises(ModelRefused, match="was made on 2020"):
        box.fetch()
    assert box.fetch(force=True).startswith("kiosk-102-")


def test_without_an_address_it_says_which_key_is_missing(server: FileServer, tmp_path: Path) -> None:
    box = Box(tmp_path, server)
    box.url = ""
    with pytest.raises(ConfigError, match="fetch_url is empty"):
        box.fetch()
