"""Who had a picture: nothing is handed out that the incident log does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fakes.alarms import make_frame
from fakes.clocks import FakeClock

from edge.alerts.device_key import open_device_key
from edge.alerts.evidence import EvidenceStore
from edge.alerts.incident_log import LOG_NAME, IncidentLog
from edge.alerts.log_check import check_log
from edge.alerts.viewing import NoSuchPicture, PictureDesk, viewings
from edge.app.evidence_commands import UnknownIncident
from edge.app.picture_commands import pictures, viewed
from edge.cli import main
from edge.config import Config
from edge.errors import EX_NOINPUT, StateError

if TYPE_CHECKING:
    from pathlib import Path


class Box:
    """An incident with two pictures, which are in the log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.key = open_device_key(folder)
        self.log = IncidentLog(folder, key=self.key, clock=self.clock)
        store = EvidenceStore(folder / "evidence", clock=self.clock, min_free_bytes=0)
        refs = [
            store.save(make_frame(seed=i).image, incident_id="inc-1", role=role, t_utc=self.clock.utc_now())
            for i, role in enumerate(("annotated", "clean"))
        ]
        self.log.append(
            "incident", {"incident_id": "inc-1", "pictures": [{"path": r.path, "sha256": r.sha256} for r in refs]}
        )
        self.desk = PictureDesk(folder / "evidence", record=self.log.append, clock=self.clock)
        self.first = self.desk.pictures_of("inc-1")[0]
        self.config = Config.model_validate(
            {
                "state": {"dir": str(folder)},
                "email": {"enabled": False},
                "cameras": [{"name": "lobby", "source": "clip.avi"}],
            }
        )

    def looks(self) -> list[tuple[str, str, str]]:
        return [(v.who, v.how, v.picture) for v in viewings(self.folder / LOG_NAME)]

    def faults(self) -> list[str]:
        return check_log(self.folder / LOG_NAME, self.folder / "evidence", public_key=self.key.public).faults


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_look_is_recorded_with_who_what_and_when(box: Box) -> None:
    data = box.desk.read("inc-1", box.first, who="anna")
    assert data == (box.folder / "evidence" / box.first).read_bytes()
    (look,) = viewings(box.folder / LOG_NAME, "inc-1")
    assert (look.who, look.how, look.picture, look.at_utc) == ("anna", "viewed", box.first, box.clock.utc_now())
    assert box.faults() == []
    assert list(viewings(box.folder / LOG_NAME, "another")) == []


def test_looking_again_is_the_same_look_for_a_while_a_download_never_is(box: Box) -> None:
    for _ in range(5):
        box.desk.read("inc-1", box.first, who="anna")
    box.desk.read("inc-1", box.first, who="ben")
    box.clock.advance(600)
    box.desk.read("inc-1", box.first, who="anna")
    for _ in range(2):
        box.desk.read("inc-1", box.first, who="anna", how="downloaded")
    assert [look[:2] for look in box.looks()] == [
        ("anna", "viewed"),
        ("ben", "viewed"),
        ("anna", "viewed"),
        ("anna", "downloaded"),
        ("anna", "downloaded"),
    ]


def test_nothing_is_shown_that_cannot_be_recorded(box: Box) -> None:
    def refuse(kind: str, data: dict[str, Any]) -> None:
        raise StateError(f"{kind} {data['picture']}: no space", hint="")

    desk = PictureDesk(box.folder / "evidence", record=refuse, clock=box.clock)
    for _ in range(2):
        with pytest.raises(StateError):
            desk.read("inc-1", box.first, who="anna")


@pytest.mark.parametrize(
    ("incident", "picture"),
    [
        ("inc-1", "../incidents.log"),
        ("inc-1", "../device.key"),
        ("inc-1", "/etc/passwd"),
        ("inc-2", None),
        ("..", None),
        ("*", None),
        ("inc-1", "no.jpg"),
    ],
)
def test_only_pictures_of_the_incident_are_handed_out(box: Box, incident: str, picture: str | None) -> None:
    with pytest.raises(NoSuchPicture):
        box.desk.read(incident, picture or box.first, who="anna")
    assert box.looks() == []


def test_who_viewed_cannot_be_taken_back(box: Box) -> None:
    box.desk.read("inc-1", box.first, who="anna")
    path = box.folder / LOG_NAME
    path.write_bytes(path.read_bytes().replace(b'"who":"anna"', b'"who":"bert"'))
    assert any("was altered" in fault for fault in box.faults())


def test_the_commands_list_copy_and_tell(box: Box, tmp_path: Path) -> None:
    said: list[str] = []
    config_path = tmp_path / "kiosk.toml"
    pictures(box.config, config_path, "inc-1", copy_to=None, say=said.append, clock=box.clock)
    assert said == box.desk.pictures_of("inc-1")
    assert box.looks() == []  # their names show nothing
    out = tmp_path / "out"
    pictures(box.config, config_path, "inc-1", copy_to=out, say=said.append, clock=box.clock)
    assert sorted(p.name for p in out.iterdir()) == sorted(p.rpartition("/")[2] for p in said[:2])
    assert [how for _, how, _ in box.looks()] == ["downloaded", "downloaded"]
    told: list[str] = []
    viewed(box.config, config_path, None, say=told.append)
    assert len(told) == 2
    assert "downloaded" in told[0]
    viewed(box.config, config_path, "inc-9", say=told.append)
    assert told[-1] == "nobody, as far as the incident log goes"
    assert box.faults() == []
    with pytest.raises(UnknownIncident):
        pictures(box.config, config_path, "inc-9", copy_to=None, say=said.append, clock=box.clock)


def test_the_command_line_names_both(box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "kiosk.toml"
    config.write_text(
        f'[state]\ndir = "{box.folder}"\n[email]\nenabled = false\n[[cameras]]\nname = "a"\nsource = "b.avi"\n',
        encoding="utf-8",
    )
    assert main(["pictures", "inc-1", "--config", str(config)]) == 0
    assert capsys.readouterr().out.split() == box.desk.pictures_of("inc-1")
    assert main(["viewed", "--config", str(config)]) == 0
    assert main(["pictures", "inc-9", "--config", str(config)]) == EX_NOINPUT
