"""Killed before every single change that ``model install`` and ``rollback`` make: the old model or the new, never neither.

What a power cut loses besides is what was not synced: the order of syncs and renames is a test of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from fakes.bundles import Operator, make_bundle
from fakes.clocks import FakeClock

from edge.app.model_commands import install, rollback
from edge.config import Config
from edge.detect.manifest import read_manifest
from edge.errors import KioskError
from edge.models.durable import Disk
from edge.models.incoming import opened
from edge.models.shipped import shipped_bundle
from edge.models.signature import verify_files
from edge.models.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Place:
    """A box with one installed model, and a bundle that is to replace it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.operator = Operator(folder / "keys")
        (folder / "state").mkdir()
        self.path = folder / "kiosk-guard.toml"
        self.config = Config.model_validate(
            {
                "cameras": [{"name": "lobby", "source": "/dev/video0"}],
                "state": {"dir": "state"},
                "model": {"trusted_keys": "keys", "threads": 1},
            }
        )
        self.new = make_bundle(folder / "made" / "2", version="102", key=self.operator.key)

    def install(self, bundle: Path, disk: Disk | None = None) -> None:
        install(
            self.config, self.path, bundle, force=False, by="test", say=lambda _: None, clock=FakeClock(), disk=disk
        )

    def store(self, state: Path | None = None) -> ModelStore:
        return ModelStore(state or self.folder / "state", clock=FakeClock())

    def runs(self, state: Path | None = None) -> str:
        """Label of the model that a start would take now; it is whole, or this raises."""
        store = self.store(state)
        name = store.current()
        return verify_files(store.path(name) if name else shipped_bundle()).label


def steps_of(act: Callable[[Disk], object]) -> list[str]:
    seen: list[str] = []
    act(Disk(seen.append))
    return seen


def killed_at(number: int, act: Callable[[Disk], object]) -> None:
    """Do it in a process that is killed before its n-th change."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def step(_: str) -> None:
            nonlocal count
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

        try:
            act(Disk(step))
        except BaseException as error:  # noqa: BLE001 - the child must never come back into pytest
            sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"step {number} was not reached"


class Proved(Place):
    """The checks before the switch change nothing on the disk; here they are done once, and the switch many times."""

    def switch(self, disk: Disk) -> None:
        store = ModelStore(self.folder / "state", clock=FakeClock(), disk=disk)
        with opened(self.new) as incoming, store.changing():
            bundle = incoming.unpack(store.staging(), disk)
            name = store.place(bundle, read_manifest(bundle))
            store.switch(name, by="test", why="installed", trial=True)
            store.prune()


def test_the_installing_command_makes_exactly_the_steps_that_are_tried_below(tmp_path: Path) -> None:
    place = Proved(tmp_path)
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    by_command = steps_of(lambda disk: place.install(place.new, disk))
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "copy").rename(tmp_path / "state")

    def plain(steps: list[str]) -> list[str]:
        return [" ".join(word for word in step.split() if "incoming" not in word) for step in steps]

    assert plain(by_command) == plain(steps_of(place.switch))
    assert len(by_command) > 15


@pytest.mark.parametrize("before", ["shipped", "installed"])
def test_killed_at_any_step_the_old_model_runs_or_the_new_one(tmp_path: Path, before: str) -> None:
    place = Proved(tmp_path)
    if before == "installed":
        place.install(make_bundle(tmp_path / "made" / "1", version="101", key=place.operator.key))
    old = place.runs()
    shutil.copytree(tmp_path / "state", tmp_path / "begin", symlinks=True)
    steps = steps_of(place.switch)
    outcomes = []
    for number in range(len(steps)):
        shutil.rmtree(tmp_path / "state")
        shutil.copytree(tmp_path / "begin", tmp_path / "state", symlinks=True)
        killed_at(number, place.switch)
        outcomes.append(place.runs())
        assert outcomes[-1] in {old, "kiosk 102"}, f"killed before {steps[number]!r}"
        assert place.store().switches() == [] or place.store().switches()[-1].to == place.store().current()
        # The next command finds its way from there, and nothing unfinished is left.
        place.switch(Disk())
        assert place.runs() == "kiosk 102"
        left = [p.name for p in (tmp_path / "state" / "models").iterdir() if p.name.startswith((".incoming", ".gone"))]
        assert left == []
    switched = outcomes.index("kiosk 102")
    assert outcomes == [old] * switched + ["kiosk 102"] * (len(outcomes) - switched), "one moment decides"
    assert switched > len(steps) // 2


def test_killed_at_any_step_of_a_way_back_a_whole_model_runs(tmp_path: Path) -> None:
    place = Proved(tmp_path)
    place.install(make_bundle(tmp_path / "made" / "1", version="101", key=place.operator.key))
    place.install(place.new)
    shutil.copytree(tmp_path / "state", tmp_path / "begin", symlinks=True)

    def give_up(disk: Disk) -> None:
        store = ModelStore(tmp_path / "state", clock=FakeClock(), disk=disk)
        with store.changing():
            store.give_up("it sees nothing")

    def by_command(disk: Disk) -> None:
        rollback(place.config, place.path, "", by="test", clock=FakeClock(), disk=disk)

    for act in (give_up, by_command):
        for number in range(len(steps_of(act))):
            shutil.rmtree(tmp_path / "state")
            shutil.copytree(tmp_path / "begin", tmp_path / "state", symlinks=True)
            killed_at(number, act)
            assert place.runs() in {"kiosk 101", "kiosk 102"}
        shutil.rmtree(tmp_path / "state")
        shutil.copytree(tmp_path / "begin", tmp_path / "state", symlinks=True)


def test_everything_is_synced_before_the_link_is_switched(tmp_path: Path) -> None:
    steps = steps_of(Proved(tmp_path).switch)
    switch = steps.index("rename .current.new")
    created = [s.removeprefix("create ") for s in steps if s.startswith("create ")]
    for name in created:
        assert f"sync {name}" in steps[:switch]
    assert steps.index("rename .switches.json.new") < switch
    assert "sync folder golden" in steps[:switch]
    assert steps[switch + 1] == "sync folder models"


def test_a_disk_that_is_full_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    place = Proved(tmp_path)
    steps = steps_of(place.switch)
    shutil.rmtree(tmp_path / "state" / "models")
    for number in range(0, steps.index("rename .current.new") + 1, 3):
        count = 0

        def step(_: str, stop: int = number) -> None:
            nonlocal count
            count += 1
            if count == stop + 1:
                raise OSError(28, "No space left on device")

        with pytest.raises((KioskError, OSError), match="No space left"):
            place.switch(Disk(step))
        assert place.runs() == read_manifest(shipped_bundle()).label
