"""Zones drawn on the page: the same file that a person would write, whole or not at all, and never lost."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from fakes.clocks import FakeClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.app.zone_store import ZoneStore, to_toml
from edge.config import load
from edge.config.tables import ZonesFile
from edge.errors import ConfigError, StateError
from edge.health.acts import ActRefused

if TYPE_CHECKING:
    from pathlib import Path

SQUARE = [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4], [0.1, 0.4]]
CONFIG = '[[cameras]]\nname = "lobby"\nsource = "v4l2:0"\n[state]\ndir = "state"\n'


def zone(name: str = "service-side", kind: str = "restricted", polygon: Any = None) -> dict[str, Any]:
    return {"camera": "lobby", "name": name, "kind": kind, "polygon": polygon or SQUARE}


class Box:
    """A store on a folder, with what it put to use."""

    def __init__(self, folder: Path, fixed: ZonesFile | None = None, **kwargs: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.used: list[ZonesFile] = []
        self.clock = FakeClock()
        self.path = folder / "zones.toml"
        self.store = ZoneStore(
            self.path,
            cameras=["lobby"],
            fixed=fixed or ZonesFile(),
            apply=self.used.append,
            clock=self.clock,
            **kwargs,
        )

    def save(self, *zones: dict[str, Any], masks: list[dict[str, Any]] | None = None) -> ZonesFile:
        return self.store.save({"zones": list(zones), "masks": masks or []}, based_on=self.store.read()[1], by="anna")


def test_what_is_drawn_is_stored_as_a_person_would_write_it_and_used_at_once(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    box.save(zone(), masks=[zone("pin-pad", "never_stored")])
    assert box.path.read_text() == (
        "# saved 2026-03-01T02:00:00+00:00 by anna\n\n"
        '[[zones]]\ncamera = "lobby"\nname = "service-side"\nkind = "restricted"\n'
        "polygon = [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4], [0.1, 0.4]]\n\n"
        '[[masks]]\ncamera = "lobby"\nname = "pin-pad"\nkind = "never_stored"\n'
        "polygon = [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4], [0.1, 0.4]]\n"
    )
    assert [z.name for z in box.used[-1].zones] == ["service-side"]
    (tmp_path / "kiosk-guard.toml").write_text(CONFIG)
    config = load(tmp_path / "kiosk-guard.toml")  # the state directory's zones.toml needs no mention
    assert [z.name for z in config.zones] == ["service-side"]
    assert [m.name for m in config.masks] == ["pin-pad"]


def test_no_zones_file_in_the_state_directory_is_no_fault_but_one_that_vanished_is(tmp_path: Path) -> None:
    config = tmp_path / "kiosk-guard.toml"
    config.write_text(CONFIG)
    assert load(config).zones == []
    box = Box(tmp_path / "state")
    box.save(masks=[zone("pin-pad", "never_seen")])
    box.path.unlink()
    with pytest.raises(ConfigError) as caught:
        load(config)
    assert "is gone, but zones or masks were drawn before" in str(caught.value)
    assert "zones.toml.versions" in str(caught.value)
    config.write_text(CONFIG + '[scene]\nzones_file = "elsewhere.toml"\n')
    with pytest.raises(ConfigError, match=r"elsewhere\.toml: no such file"):
        load(config)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            zone(kind="lounge"),
            "zones[0].kind = 'lounge': allowed: 'lobby', 'machine', 'restricted', 'door' or 'ignore'",
        ),
        (zone(polygon=[[0, 0], [1, 1], [1, 0], [0, 0.5]]), "its outline crosses itself"),
        (zone(polygon=[[0, 0], [0.5, 0], [1, 0]]), "a polygon with an area"),
        (zone(polygon=[[0, 0], [1.2, 0], [1, 1]]), "zones[0].polygon[1][0] = 1.2"),
        (zone(polygon=[[0, 0], [float("nan"), 0], [1, 1]]), "polygon"),
        (zone(name='x"\n[state]'), "1 to 40 letters, digits, - and _"),
        (zone(name="fixed"), "zone 'fixed' of camera 'lobby': each name once"),
        ({**zone(), "camera": "yard"}, "allowed: lobby"),
        ({**zone(), "colour": "red"}, "unknown key"),
        ("zone", "zones[0]"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(table: Any, words: str, tmp_path: Path) -> None:
    fixed = ZonesFile.model_validate({"zones": [zone("fixed")]})
    box = Box(tmp_path / "state", fixed)
    with pytest.raises(ActRefused) as caught:
        box.save(table)
    assert words in caught.value.message
    assert str(tmp_path) not in caught.value.message
    assert caught.value.status == 400
    assert not box.path.exists()
    assert box.used == []


def test_a_lobby_that_only_touches_itself_at_a_corner_is_no_crossing(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    box.save(zone(polygon=[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.5, 0.5], [0.1, 0.9]]))
    assert len(box.used) == 1


def test_two_who_draw_at_once_do_not_overwrite_each_other(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    _, seen = box.store.read()
    box.save(zone("first"))
    with pytest.raises(ActRefused, match="changed by somebody else") as caught:
        box.store.save({"zones": [zone("second")], "masks": []}, based_on=seen, by="bob")
    assert caught.value.status == 409
    assert [z.name for z in box.store.read()[0].zones] == ["first"]


def test_ten_versions_are_kept_and_any_of_them_can_be_used_again(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    for number in range(14):
        box.save(zone(f"v{number}"))
        box.clock.advance(60)
    versions = box.store.versions()
    assert len(versions) == 11  # ten, and the one in use
    assert versions[0].by == "anna"
    box.store.restore(versions[3].name, by="bob")
    assert [z.name for z in box.store.read()[0].zones] == ["v10"]
    assert [z.name for z in box.used[-1].zones] == ["v10"]
    assert box.store.versions()[0].by == "bob"
    with pytest.raises(ActRefused) as caught:
        box.store.restore("../../etc/passwd", by="bob")
    assert caught.value.status == 404


def test_what_was_written_by_hand_is_a_version_too(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    by_hand = "# mine\n" + to_toml(ZonesFile.model_validate({"zones": [zone("by-hand")]}))
    box.path.write_text(by_hand)
    box.save(zone("drawn"))
    assert [(v.by, v.saved_utc is None) for v in box.store.versions()] == [("anna", False), ("", True)]
    box.store.restore(box.store.versions()[1].name, by="anna")
    assert [z.name for z in box.store.read()[0].zones] == ["by-hand"]


def test_who_drew_for_the_first_time_can_go_back_to_nothing_drawn(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    box.save(zone("first"))
    in_use, nothing = box.store.versions()
    assert (in_use.zones, nothing.zones, nothing.masks, nothing.saved_utc) == (1, 0, 0, None)
    box.store.restore(nothing.name, by="anna")
    assert box.store.read()[0].zones == []
    assert box.used[-1].zones == []
    assert [v.zones for v in box.store.versions()] == [0, 1, 0]


def test_a_disk_that_refuses_leaves_the_old_zones_in_file_and_in_use(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    box.save(zone("old"))
    before = box.path.read_text()
    (box.path.parent / f".zones.toml.{os.getpid()}.tmp").mkdir()  # where the new content would be written first
    with pytest.raises(StateError, match="cannot be written"):
        box.save(zone("new"))
    assert box.path.read_text() == before
    assert [f.zones[0].name for f in box.used] == ["old"]


def test_a_file_elsewhere_is_not_written(tmp_path: Path) -> None:
    box = Box(tmp_path / "state", writable="they are written by hand in /etc")
    with pytest.raises(ActRefused, match="written by hand"):
        box.save(zone())
    with pytest.raises(ActRefused, match="written by hand"):
        box.store.restore("000001", by="anna")


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["camera", "polygon", "x"]), inner),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(zones=JUNK, masks=JUNK)
def test_whatever_is_sent_is_stored_whole_or_refused(zones: Any, masks: Any, tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    try:
        box.store.save({"zones": zones, "masks": masks}, based_on=box.store.read()[1], by="\x00\n[x]")
    except ActRefused:
        return
    assert box.store.read()[0] == box.used[-1]
