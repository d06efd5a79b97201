from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes.users import become_nobody, become_root, nobody_beside_a_folder

from edge.config import Config, load
from edge.config.alert_tables import InputLine, OutputLine
from edge.config.load import _table_in
from edge.config.rule_tables import ObjectTable
from edge.config.tables import ZoneTable
from edge.errors import EX_CONFIG, ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REFERENCE = Path(__file__).parents[2] / "firmware_config" / "kiosk-guard.toml"
CAMERA = '[[cameras]]\nname = "c1"\nsource = "x.mp4"\n'


def write(folder: Path, text: str, name: str = "kiosk.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def faults(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.exit_code == EX_CONFIG
    return str(caught.value)


def test_the_reference_file_states_the_defaults() -> None:
    built_in = Config.model_validate({"cameras": [{"name": "lobby", "source": "/dev/video0"}]})
    assert load(REFERENCE) == built_in


def test_the_commented_tables_of_the_reference_file_are_valid_and_state_the_defaults() -> None:
    commented = "\n".join(re.findall(r"^# ((?:\[|\w+ = ).*)$", REFERENCE.read_text(), re.MULTILINE))
    data = tomllib.loads(commented)
    (zone,) = data["zones"]
    ZoneTable.model_validate(zone)
    line = OutputLine.model_validate(data["outputs"]["lines"]["siren"])
    assert line == OutputLine(pin=line.pin)
    assert set(data["outputs"]["lines"]["siren"]) == set(OutputLine.model_fields)
    assert set(zone) == set(ZoneTable.model_fields)
    button = InputLine.model_validate(data["inputs"]["lines"]["panic"])
    assert button == InputLine(pin=button.pin, role=button.role)
    assert set(data["inputs"]["lines"]["panic"]) == set(InputLine.model_fields)
    bat = data["rules"]["objects"]["bat"]
    assert ObjectTable.model_validate(bat) == ObjectTable(classes=bat["classes"])
    assert set(bat) == set(ObjectTable.model_fields)


def test_the_reference_file_names_every_key() -> None:
    text = REFERENCE.read_text()

    def keys(model: type[BaseModel]) -> set[str]:
        found = set()
        for name, field in model.model_fields.items():
            found.add(name)
            inner = _table_in(field.annotation)
            if inner is not None:
                found |= keys(inner)
        return found

    missing = [k for k in keys(Config) if not re.search(rf"(^|[\s\[.#]){k}(\s*=|[\].])", text, re.MULTILINE)]
    assert missing == []


def test_all_faults_are_reported_at_once_with_file_key_value_and_what_is_allowed(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [kiosk]
        timezone = "Mars/Olympus"
        colour = 3
        [[cameras]]
        name = "c1"
        source = "x.mp4"
        max_fps = "five"
        [rules.loitering]
        dwell_s = -1
        [[zones]]
        camera = "c2"
        name = "z"
        kind = "lobbi"
        polygon = [[0.0, 0.0], [1, 1]]
        """,
    )
    text = faults(path)
    for key, value, allowed in (
        ("kiosk.timezone", "'Mars/Olympus'", "time zone database"),
        ("kiosk.colour", "3", "unknown key; allowed here: address, id, site, timezone"),
        ("cameras[0].max_fps", "'five'", "number"),
        ("rules.loitering.dwell_s", "-1", "greater than 0"),
        ("zones[0].kind", "'lobbi'", "'restricted'"),
        ("zones[0].polygon", "", "at least 3"),
        ("camera = 'c2'", "", "allowed: c1"),
    ):
        (line,) = [row for row in text.splitlines() if key in row]
        assert str(path) in line
        assert value in line
        assert allowed in line
    assert "7 faults" in text


@pytest.mark.parametrize("table", ["email", "cameras", "kiosk"])
def test_a_password_in_the_wrong_place_is_refused_without_being_repeated(tmp_path: Path, table: str) -> None:
    text = CAMERA + 'password = "hunter2"\n' if table == "cameras" else f'{CAMERA}[{table}]\npassword = "hunter2"\n'
    message = faults(write(tmp_path, text))
    assert "password" in message
    assert "hunter2" not in message


def test_a_camera_url_is_never_repeated(tmp_path: Path) -> None:
    text = '[[cameras]]\nname = "c1"\nsource = "rtsp://u:hunter2@cam\\u0001/"\n'
    message = faults(write(tmp_path, text))
    assert "cameras[0].source" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "cameras: is missing"),
        ("cameras = 3\n", "cameras = 3"),
        ("[[cameras]\n", "not valid TOML"),
        (CAMERA + CAMERA, 'name "c1": each name once'),
        (CAMERA + "max_fps = 0.2\n", "no fewer than 10 s"),
        (CAMERA + "fresh_timeout_s = 0.1\n", "that leave time for 2 pictures"),
        (
            '[[cameras]]\nname = "c1"\nsource = "rtsp://192.0.2.1/x"\npassword_file = "p"\n',
            "a user beside password_file",
        ),
        (CAMERA + "[email]\nenabled = true\n", "needs host, sender, recipients"),
        (
            CAMERA + '[email]\nenabled = true\nhost = "h"\nsender = "x"\nrecipients = ["a@b", "c d@e"]\n',
            "not a mail address: 'x', 'c d@e'",
        ),
        (
            CAMERA + '[email]\nenabled = true\nhost = "h"\nsender = "a@b"\nrecipients = ["größe@b", "a(b@c"]\n',
            "not a mail address: 'größe@b', 'a(b@c'; wanted: name@domain, ASCII",
        ),
        (
            CAMERA
            + '[email]\nenabled = true\nhost = "mail.bank.example"\nsender = "a@b"\nrecipients = ["a@b"]\n'
            + 'user = "u"\nsecurity = "none"\n',
            "would send the password in clear",
        ),
        (CAMERA + "[rules.loitering]\ndwell_s = 10\nescalate_s = 5\n", "must not be less than dwell_s"),
        (CAMERA + "[rules.helmet]\nseen_s = 12\n", "seen_s (12) must be less than window_s (10)"),
        (CAMERA + "[rules.knife]\nscore_s = 3\n", "score_s (3) must be less than window_s (3)"),
        (CAMERA + "[rules.person_down]\nlow = 0\n", "rules.person_down.low"),
        (CAMERA + '[rules.objects.loitering]\nclasses = ["knife"]\n', "name of a built-in rule"),
        (CAMERA + '[rules.objects.firearm]\nclasses = ["knife"]\n', "name of a built-in rule"),
        (CAMERA + '[opening_hours]\nmonday = ["8-18"]\n', "opening_hours.monday"),
        (CAMERA + '[opening_hours]\nmonday = ["08:00-25:00"]\n', 'as "08:00-18:00"'),
        (CAMERA + '[opening_hours]\nholidays = ["31-12"]\n', '"12-25" for every year'),
        (CAMERA + '[opening_hours]\nholidays = ["2026-02-30"]\n', "2026-02-30"),
        (CAMERA + '[health]\nhost = "kiosk.example"\n', "an address of this machine"),
        (CAMERA + '[health]\nnames = ["a b"]\n', "names"),
        (CAMERA + '[health]\ncert_file = "a.pem"\n', "cert_file and key_file go together"),
        (CAMERA + "[outputs.lines.a]\npin = 3\n[outputs.lines.b]\npin = 3\n", "used twice: 3"),
        (CAMERA + "[state]\ndir = 7\n", "state.dir = 7"),
        (CAMERA + "[track]\nnew_score = nan\n", "track.new_score"),
        (
            CAMERA
            + '[[zones]]\ncamera = "c1"\nname = "z"\nkind = "lobby"\npolygon = [[0.0, 0.0], [0.5, 0.5], [1, 1]]\n',
            "a polygon with an area",
        ),
    ],
)
def test_each_kind_of_fault(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in faults(write(tmp_path, text))


def test_a_rule_that_is_off_need_not_be_reachable(tmp_path: Path) -> None:
    load(write(tmp_path, CAMERA + "[rules.helmet]\nenabled = false\nseen_s = 12\n"))


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    message = faults(tmp_path / "none.toml")
    assert "no such file" in message
    assert "--config" in message


def test_a_file_that_is_no_text_is_a_config_error(tmp_path: Path) -> None:
    path = tmp_path / "kiosk.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in faults(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_file_for_other_eyes_says_how_to_read_it() -> None:
    with nobody_beside_a_folder() as folder:
        become_root()
        (folder / "kiosk-guard.toml").write_text("")
        (folder / "kiosk-guard.toml").chmod(0o600)
        become_nobody()
        message = faults(folder / "kiosk-guard.toml")
    assert "may not be read by this user\n  Run this with sudo" in message
    assert "Errno" not in message


def zone(camera: str, name: str = "z") -> str:
    return f'[[zones]]\ncamera = "{camera}"\nname = "{name}"\nkind = "lobby"\npolygon = [[0.0, 0.0], [1, 0], [1, 1]]\n'


def test_zones_of_a_further_file_are_added(tmp_path: Path) -> None:
    write(tmp_path, zone("c1", "b"), "zones.toml")
    config = load(write(tmp_path, CAMERA + zone("c1", "a") + '[scene]\nzones_file = "zones.toml"\n'))
    assert [z.name for z in config.zones] == ["a", "b"]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (zone("c9"), "camera = 'c9'"),
        (zone("c1", "a"), "each name once"),
        ("zone = 1", "unknown key"),
        (None, "no such file"),
    ],
)
def test_faults_of_the_further_file_name_that_file(tmp_path: Path, extra: str | None, expected: str) -> None:
    if extra is not None:
        write(tmp_path, extra, "zones.toml")
    message = faults(write(tmp_path, CAMERA + zone("c1", "a") + '[scene]\nzones_file = "zones.toml"\n'))
    assert expected in message
    assert str(tmp_path / "zones.toml") in message


def test_nothing_in_a_configuration_can_be_changed_later() -> None:
    config: Any = load(REFERENCE)
    with pytest.raises(Exception, match="frozen"):
        config.kiosk.id = "other"


def test_a_mask_is_read_from_both_files_and_a_mistaken_one_is_a_fault(tmp_path: Path) -> None:
    text = '[[cameras]]\nname = "hall"\nsource = "v4l2:0"\n[scene]\nzones_file = "zones.toml"\n'
    mask = '[[masks]]\ncamera = "{}"\nname = "{}"\nkind = "{}"\npolygon = [[0.0, 0.0], [0.5, 0.0], [0.5, 0.5]]\n'
    (tmp_path / "kg.toml").write_text(text + mask.format("hall", "keypad", "never_stored"))
    (tmp_path / "zones.toml").write_text(mask.format("hall", "street", "never_seen"))
    assert [(m.name, m.kind) for m in load(tmp_path / "kg.toml").masks] == [
        ("keypad", "never_stored"),
        ("street", "never_seen"),
    ]
    (tmp_path / "zones.toml").write_text(mask.format("hal", "street", "never_seen"))
    with pytest.raises(ConfigError, match="mask 'street': camera = 'hal': allowed: hall"):
        load(tmp_path / "kg.toml")
    (tmp_path / "zones.toml").write_text(mask.format("hall", "keypad", "never_show"))
    with pytest.raises(ConfigError, match=r"(?s)never_show.*mask 'keypad' of camera 'hall': each name once"):
        load(tmp_path / "kg.toml")


@pytest.mark.parametrize(
    ("keys", "for_others", "encrypted"),
    [
        ("", False, False),
        ('host = "::1"', False, False),
        ('host = "127.0.0.2"\ntls = "on"', False, True),
        ('host = "0.0.0.0"', True, True),
        ('host = "10.0.0.9"\ntls = "off"', True, False),
    ],
)
def test_others_may_ask_only_where_told_and_then_over_tls(
    keys: str, for_others: bool, encrypted: bool, tmp_path: Path
) -> None:
    path = tmp_path / "kiosk-guard.toml"
    path.write_text(f"{CAMERA}[health]\n{keys}\n")
    health = load(path).health
    assert (health.for_others, health.encrypted) == (for_others, encrypted)
