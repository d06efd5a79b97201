"""A box's own particulars, from a file, a spreadsheet or a person, to a configuration that the box accepts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.app.site_cli import provision
from edge.app.site_file import FLAT, complete, config_text, make_site, quoted, read_site, what_lacks
from edge.app.site_sheet import main as sheet_main
from edge.config import load
from edge.errors import EX_CONFIG, EX_OK, ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

FULL = """
kiosk_id = "main-street-1"
camera_user = "viewer"
camera_password = "c4mera"

[kiosk]
site = "Main Street"
timezone = "Europe/Berlin"

[[cameras]]
name = "lobby"
source = "rtsp://192.0.2.10/1"

[[zones]]
camera = "lobby"
name = "service-side"
kind = "restricted"
polygon = [[0.1, 0.5], [0.4, 0.5], [0.4, 0.9]]

[rules.loitering]
dwell_s = 90

[email]
host = "mail.bank.example"
user = "kiosk"
sender = "kiosk@bank.example"
recipients = ["desk@bank.example"]

[secrets]
mail_password = "p4ss \\"word\\""
"""
ENVIRONMENT = """
# as a technician's script writes it
KIOSK_ID=main-street-1
export KIOSK_SITE="Main Street"
MAIL_HOST=mail.bank.example
MAIL_SENDER=kiosk@bank.example
MAIL_RECIPIENTS=desk@bank.example, night@bank.example
MAIL_PORT=2525
"""


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _provision(folder: Path, text: str, **more: Any) -> tuple[bool, list[str]]:
    said: list[str] = []
    site = read_site(_write(folder / "kiosk-site.toml", text))
    complete(site, "the site file", None)
    return provision(site, folder / "kiosk-guard.toml", say=said.append, **more), said


def test_a_configuration_and_two_secrets(tmp_path: Path) -> None:
    done, _ = _provision(tmp_path, FULL)
    assert done
    config = load(tmp_path / "kiosk-guard.toml")
    assert (config.kiosk.id, config.kiosk.site, config.kiosk.timezone) == (
        "main-street-1",
        "Main Street",
        "Europe/Berlin",
    )
    assert (config.cameras[0].source, config.cameras[0].user) == ("rtsp://192.0.2.10/1", "viewer")
    assert config.cameras[0].password_file == "$CREDENTIALS_DIRECTORY/camera-password"
    assert config.email.enabled
    assert config.email.password_file == "$CREDENTIALS_DIRECTORY/mail-password"
    assert config.zones[0].polygon[1] == [0.4, 0.5]
    assert config.rules.loitering.dwell_s == 90
    assert (tmp_path / "mail-password").read_text() == 'p4ss "word"\n'
    assert (tmp_path / "camera-password").read_text() == "c4mera\n"
    assert {p.name: p.stat().st_mode & 0o777 for p in tmp_path.iterdir() if "pass" in p.name} == {
        "mail-password": 0o600,
        "camera-password": 0o600,
    }
    text = (tmp_path / "kiosk-guard.toml").read_text()
    assert "p4ss" not in text
    assert "c4mera" not in text


def test_an_environment_file(tmp_path: Path) -> None:
    _provision(tmp_path, ENVIRONMENT)
    config = load(tmp_path / "kiosk-guard.toml")
    assert (config.kiosk.site, config.email.port) == ("Main Street", 2525)
    assert config.email.recipients == ["desk@bank.example", "night@bank.example"]
    assert config.cameras[0].source == "/dev/video0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kiosk_id = 7", "allowed: a text"),
        ('kiosk_idd = "a"', "kiosk_idd: unknown key"),
        ('kiosk_id = "a"\n[secrets]\nwifi = "x"', r"\[secrets\]: allowed are mail_password, camera_password"),
        ('kiosk_id = "a b"', "kiosk.id"),
        ('kiosk_id = "a"\n[kioskk]\nx = 1', "kioskk: unknown key"),
        ("kiosk_id = ", "not valid TOML"),
        ("MAIL_PORT=many", "a port"),
        ('[kiosk]\nsite = "x"', "missing: kiosk_id"),
        ('kiosk_id = "a"\nmail_host = "m"', "missing: mail_sender, mail_recipients"),
        ('kiosk_id = "a"\ncamera_user = "viewer"', "missing: camera_password"),
    ],
)
def test_a_faulty_file_writes_nothing(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _provision(tmp_path, text)
    assert [p.name for p in tmp_path.iterdir()] == ["kiosk-site.toml"]


def test_what_is_missing_is_asked_for() -> None:
    site = make_site({"mail_host": "m", "mail_user": "u"}, "here")
    answers = {
        "kiosk_id": ["", "box-1"],
        "mail_sender": ["a@b"],
        "mail_recipients": ["c@d e@f"],
        "mail_password": ["p4ss"],
    }
    asked = []

    def ask(key: str, secret: bool) -> str:
        asked.append((key, secret))
        return answers[key].pop(0)

    complete(site, "here", ask)
    assert what_lacks(site) == []
    assert asked == [
        ("kiosk_id", False),
        ("kiosk_id", False),
        ("mail_sender", False),
        ("mail_recipients", False),
        ("mail_password", True),
    ]
    assert site.tables["email"]["recipients"] == ["c@d", "e@f"]
    assert site.secrets == {"mail_password": "p4ss"}
    assert "p4ss" not in repr(site)


def test_a_hand_made_configuration_stays(tmp_path: Path) -> None:
    config = _write(tmp_path / "kiosk-guard.toml", '[[cameras]]\nname = "mine"\nsource = "/dev/video3"\n')
    before = config.read_text()
    done, said = _provision(tmp_path, ENVIRONMENT)
    assert not done
    assert config.read_text() == before
    assert "kiosk-guard.toml.new" in said[0]
    assert load(tmp_path / "kiosk-guard.toml.new").kiosk.id == "main-street-1"
    assert _provision(tmp_path, ENVIRONMENT, force=True)[0]
    assert load(config).kiosk.id == "main-street-1"


def test_an_untouched_one_is_replaced(tmp_path: Path) -> None:
    template = _write(tmp_path / "template", '[[cameras]]\nname = "lobby"\nsource = "/dev/video0"\n')
    config = _write(tmp_path / "kiosk-guard.toml", template.read_text())
    assert _provision(tmp_path, ENVIRONMENT, templates=[template])[0]
    # And the one made from a site file by another site file; the same once more changes nothing.
    assert _provision(tmp_path, ENVIRONMENT.replace("street-1", "street-2"))[0]
    assert load(config).kiosk.id == "main-street-2"
    stamp = config.stat().st_mtime_ns
    assert _provision(tmp_path, ENVIRONMENT.replace("street-1", "street-2"))[0]
    assert config.stat().st_mtime_ns == stamp
    # Until somebody edits it.
    _write(config, config.read_text() + "\n# mine\n")
    assert not _provision(tmp_path, ENVIRONMENT)[0]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_as_toml(text: str) -> None:
    assert tomllib.loads(f"a = {quoted(text)}") == {"a": text}


def test_nested_tables_survive_as_toml() -> None:
    tables = {
        "cameras": [{"name": "a", "source": "/dev/video0"}, {"name": "b", "source": "/dev/video1"}],
        "outputs": {
            "driver": "mock",
            "by_rule": {"knife": "lamp"},
            "lines": {"siren": {"pin": 17, "active_high": True}},
        },
        "track": {"new_score": 0.5},
        "opening_hours": {"mon": ["08:00-18:00"]},
    }
    assert tomllib.loads(config_text(make_site(tables, "here"))) == tables


def test_forty_boxes_from_a_spreadsheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"box-{n};Branch {n};mail.bank.example;kiosk@bank.example;desk@bank.example;p{n}" for n in range(40)]
    heading = "kiosk_id;kiosk_site;mail_host;mail_sender;mail_recipients;mail_password"
    sheet = _write(tmp_path / "boxes.csv", "\n".join(["\ufeff" + heading, *rows, ";;;;;"]) + "\n")
    assert sheet_main([str(sheet), str(tmp_path / "out")]) == EX_OK
    assert "40 site files" in capsys.readouterr().out
    site = read_site(tmp_path / "out/box-7/kiosk-site.toml")
    assert site.tables["kiosk"] == {"id": "box-7", "site": "Branch 7"}
    assert site.secrets == {"mail_password": "p7"}
    assert (tmp_path / "out/box-7/kiosk-site.toml").stat().st_mode & 0o777 == 0o600
    labels = (tmp_path / "out/labels.html").read_text()
    assert labels.count("<section>") == 40
    assert "p7<" not in labels


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kiosk_id,colour\na,b\n", "unknown columns: colour"),
        ("kiosk_site\na\n", "no column kiosk_id"),
        ("kiosk_id\na\nA\n", "row 3: kiosk_id 'A': each once"),
        ("kiosk_id\n../a\n", "row 2: kiosk_id '../a'"),
        ("kiosk_id,mail_host\na,m\n", "row 2: missing: mail_sender, mail_recipients"),
        ("kiosk_id\na,b\n", "row 2: more cells"),
        ("kiosk_id,mail_port\na,many\n", "row 2: this row: mail_port: allowed: a port"),
        ("kiosk_id\n", "no row"),
    ],
)
def test_a_faulty_spreadsheet(tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sheet_main([str(_write(tmp_path / "boxes.csv", text)), str(tmp_path / "out")]) == EX_CONFIG
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_flat_key_is_one_of_the_configuration(tmp_path: Path) -> None:
    values = dict.fromkeys(FLAT, "x") | {
        "kiosk_timezone": "UTC",
        "camera_source": "/dev/video2",
        "mail_port": "25",
        "mail_security": "tls",
        "mail_sender": "a@b",
        "mail_recipients": "a@b",
        "mail_recipients_high": "c@d",
        "mail_recipients_critical": "e@f",
    }
    load(_write(tmp_path / "kiosk-guard.toml", config_text(make_site(values, "here"))))
