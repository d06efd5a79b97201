"""``kiosk-guard model``: signed bundles through the real checks and the real runtime, and everything that is refused."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fakes.bundles import OLD, Operator, archive, make_bundle, sign_bundle
from fakes.clocks import FakeClock

from edge.app.build import bundle_path
from edge.app.model_commands import UnknownModel, install, list_models, rollback, verify
from edge.config import Config
from edge.errors import ConfigError, KioskError, ManifestError
from edge.models.incoming import BundleMissing, BundleUnreadable
from edge.models.shipped import shipped_bundle
from edge.models.store import ModelRefused, ModelStore, StoreBusy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Box:
    """A state directory, an operator with a pinned key, and the commands on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir()
        self.operator = Operator(folder / "keys")
        self.path = folder / "kiosk-guard.toml"
        self.tables: dict[str, Any] = {}
        self.clock = FakeClock()
        self.said: list[str] = []

    @property
    def config(self) -> Config:
        return Config.model_validate(
            {
                "cameras": [{"name": "lobby", "source": "/dev/video0"}],
                "state": {"dir": "state"},
                "model": {"trusted_keys": "keys", **self.tables.get("model", {})},
                "rules": self.tables.get("rules", {}),
            }
        )

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.state, clock=self.clock)

    def bundle(self, version: str = "101", **changes: Any) -> Path:
        changes.setdefault("key", self.operator.key)
        return make_bundle(self.folder / "made" / f"{len(self.said)}-{version}", version=version, **changes)

    def install(self, bundle: Path, *, force: bool = False) -> int:
        return install(self.config, self.path, bundle, force=force, by="test", say=self.said.append, clock=self.clock)

    def rollback(self, to: str = "") -> str:
        return rollback(self.config, self.path, to, by="test", clock=self.clock)

    def list(self) -> list[str]:
        return list(list_models(self.config, self.path))

    @property
    def runs(self) -> Path:
        return bundle_path(self.config, self.path)

    @property
    def logged(self) -> list[dict[str, Any]]:
        lines = (self.state / "incidents.log").read_text().splitlines()
        return [r["data"] for r in map(json.loads, lines) if r["kind"] == "model"]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_without_any_installed_model_the_shipped_one_runs(box: Box) -> None:
    assert box.runs == shipped_bundle()
    assert [line[0] for line in box.list()] == ["*"]


@pytest.mark.parametrize("top", ["bundle", ""])
def test_a_signed_bundle_is_installed_from_an_archive_and_runs(box: Box, top: str) -> None:
    packed = archive(box.bundle("101"), box.folder / "bundle.tar.gz", top=top)
    assert box.install(packed) == 0
    assert box.runs == box.state / "models" / box.store.current()
    assert box.store.current().startswith("kiosk-101-")
    assert [p.name for p in (box.state / "models").iterdir() if p.name.startswith(".incoming")] == []
    assert box.logged == [{**box.logged[0], "action": "install", "model": "kiosk 101", "forced": []}]
    assert verify(box.config, box.path, say=box.said.append) == 0
    assert any("1 golden pictures answered as expected" in line for line in box.said)


def test_the_rules_that_rest_are_told(box: Box) -> None:
    box.tables["rules"] = {"objects": {}, "tool": {"classes": ["person"]}, "helmet": {"enabled": False}}
    box.install(box.bundle("101"))
    lacks = [line for line in box.said if line.startswith("rule ")]
    assert not any("rule tool" in line or "rule helmet" in line for line in lacks)


def test_the_newest_of_three_runs_and_rollback_walks_back(box: Box) -> None:
    names = []
    for version in ("101.2", "101.9", "101.10"):
        box.install(box.bundle(version))
        names.append(box.store.current())
    assert "1.9 is the current model" in box.rollback()
    assert box.store.current() == names[1]
    box.rollback("shipped")
    assert box.runs == shipped_bundle()
    box.rollback(names[0])
    assert box.store.current() == names[0]
    with pytest.raises(UnknownModel, match="kiosk-7"):
        box.rollback("kiosk-7")
    assert [line.split()[1] for line in box.list() if line.startswith("*")] == [names[0]]


def test_old_bundles_go_but_never_the_way_back(box: Box) -> None:
    for version in range(101, 106):
        box.install(box.bundle(str(version)))
    kept = [name.split("-")[1] for name in box.store.installed()]
    assert kept == ["103", "104", "105"]


def test_a_bundle_is_installed_once(box: Box) -> None:
    bundle = box.bundle("101")
    box.install(bundle)
    box.install(bundle)
    assert box.said[-1] == "kiosk 101 is the current model already"
    assert len(box.store.installed()) == 1


def changed(change: Callable[[Path], object]) -> Callable[[Box], Path]:
    def make(box: Box) -> Path:
        bundle = box.bundle("101")
        change(bundle)
        return bundle

    return make


def edit(bundle: Path, key: str, value: object, box: Box | None = None) -> None:
    told = json.loads((bundle / "manifest.json").read_text())
    told[key] = value
    (bundle / "manifest.json").write_text(json.dumps(told))
    if box:
        sign_bundle(bundle, box.operator.key)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


FAULTS: dict[str, tuple[Callable[[Box], Path], type[KioskError], str]] = {
    "unsigned": (lambda box: box.bundle("101", key=None), ManifestError, "not signed"),
    "strange key": (lambda box: box.bundle("101", key=Ed25519PrivateKey.generate()), ManifestError, "not trusted"),
    "changed manifest": (changed(lambda b: edit(b, "licence", "none")), ManifestError, "does not fit"),
    "changed model": (changed(lambda b: flip(b / "model.onnx")), ManifestError, "sha256"),
    "changed picture": (changed(lambda b: flip(b / "golden" / "1.png")), ManifestError, "sha256"),
    "one file more": (changed(lambda b: (b / "more.py").write_text("")), ManifestError, "does not know this file"),
    "no model": (changed(lambda b: (b / "model.onnx").unlink()), ManifestError, "no such file"),
    "newer software": (lambda box: box.bundle("101", min_runtime="99.0"), ManifestError, "min_runtime"),
    "newer schema": (lambda box: box.bundle("101", schema_version=2), ManifestError, "schema_version"),
    "missing": (lambda box: box.folder / "nowhere.tar.gz", BundleMissing, "no such file"),
    "link": (changed(lambda b: (b / "golden" / "2.png").symlink_to("/etc/passwd")), BundleUnreadable, "cannot be read"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_refused_and_changes_nothing_even_by_force(box: Box, fault: str) -> None:
    make, error, words = FAULTS[fault]
    bundle = make(box)
    for force in (False, True):
        with pytest.raises(error, match=words):
            box.install(bundle, force=force)
    assert box.runs == shipped_bundle()
    assert box.store.installed() == []
    assert not (box.state / "incidents.log").exists() or box.logged == []


def test_a_model_that_answers_otherwise_than_its_pictures_say_is_refused(box: Box) -> None:
    bundle = box.bundle("101")
    expected = json.loads((bundle / "golden" / "expected.json").read_text())
    box_told = expected["pictures"][0]["boxes"][0]
    box_told["score"] += 0.3 if box_told["score"] < 0.5 else -0.3
    (bundle / "golden" / "expected.json").write_text(json.dumps(expected))
    told = json.loads((bundle / "manifest.json").read_text())
    told["files"]["golden/expected.json"] = hashlib.sha256(
        (bundle / "golden" / "expected.json").read_bytes()
    ).hexdigest()
    edit(bundle, "files", told["files"], box)
    with pytest.raises(ManifestError, match="score"):
        box.install(bundle, force=True)


def test_a_model_without_a_class_that_the_configuration_names_is_refused(box: Box) -> None:
    box.tables["rules"] = {"objects": {"unicorns": {"classes": ["unicorn"]}}}
    with pytest.raises(ConfigError, match="knows no 'unicorn'"):
        box.install(box.bundle("101"), force=True)


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 100, b"\x1f\x8b\x08\x00" + b"\xff" * 500])
def test_junk_is_no_archive(box: Box, content: bytes) -> None:
    junk = box.folder / "bundle.tar.gz"
    junk.write_bytes(content)
    with pytest.raises(BundleUnreadable):
        box.install(junk, force=True)


def test_a_cut_off_archive_is_refused_and_leaves_nothing_behind(box: Box) -> None:
    packed = archive(box.bundle("101"), box.folder / "bundle.tar.gz")
    packed.write_bytes(packed.read_bytes()[:-100_000])
    with pytest.raises(BundleUnreadable):
        box.install(packed)
    with box.store.changing():
        assert list((box.state / "models").glob(".incoming*")) == []


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../../outside"),
        tarfile.TarInfo("/etc/outside"),
        tarfile.TarInfo("a/b/c/d/e"),
        *(
            setattr(i := tarfile.TarInfo("link"), "type", kind) or i
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)
        ),
    ],
    ids=lambda m: f"{m.name}-{m.type.decode()}",
)
def test_an_archive_with_anything_but_plain_files_of_its_own_is_refused(box: Box, member: tarfile.TarInfo) -> None:
    packed = archive(box.bundle("101"), box.folder / "plain.tar.gz")
    hostile = box.folder / "hostile.tar.gz"
    with tarfile.open(packed) as old, tarfile.open(hostile, "w:gz") as new:
        member.linkname = "/etc/passwd"
        new.addfile(member, io.BytesIO(b""))
        for each in old:
            new.addfile(each, old.extractfile(each) if each.isreg() else None)
    with pytest.raises(BundleUnreadable):
        box.install(hostile, force=True)
    assert not (box.folder.parent / "outside").exists()


def test_an_older_model_needs_force_and_the_log_says_so(box: Box) -> None:
    box.install(box.bundle("102"))
    older = box.bundle("101")
    with pytest.raises(ModelRefused, match="kiosk 101 is older than kiosk 102"):
        box.install(older)
    with pytest.raises(ModelRefused, match="was made on 2020-01-01"):
        box.install(box.bundle("103", created=OLD))
    assert box.install(older, force=True) == 0
    assert box.store.current().startswith("kiosk-101-")
    assert box.logged[-1]["forced"] == ["kiosk 101 is older than kiosk 102"]


def test_without_pinned_keys_nothing_is_installed_but_by_force(box: Box) -> None:
    signed, unsigned = box.bundle("101"), box.bundle("102", key=None)
    box.operator.unpin()
    for bundle in (signed, unsigned):
        with pytest.raises(ModelRefused, match="holds no key that could vouch for it"):
            box.install(bundle)
    box.install(unsigned, force=True)
    assert "not signed" in box.logged[-1]["forced"][0]


def test_either_of_two_pinned_keys_will_do_and_a_retired_one_will_not(box: Box) -> None:
    fresh = Ed25519PrivateKey.generate()
    box.operator.pin("next", fresh)
    box.install(box.bundle("101"))
    box.install(box.bundle("102", key=fresh))
    (box.operator.keys / "operator.pub").unlink()
    with pytest.raises(ManifestError, match="not trusted"):
        box.install(box.bundle("103"))
    assert box.runs.name.startswith("kiosk-102-")
    (box.operator.keys / "broken.pub").write_text("no key")
    with pytest.raises(ManifestError, match=r"broken\.pub"):
        box.install(box.bundle("104", key=fresh))


def test_a_model_that_failed_here_is_not_taken_again_without_force(box: Box) -> None:
    bundle = box.bundle("101")
    box.install(bundle)
    with box.store.changing():
        box.store.give_up("it sees nothing")
    assert box.runs == shipped_bundle()
    with pytest.raises(ModelRefused, match="failed on this box: it sees nothing"):
        box.install(bundle)
    box.install(bundle, force=True)
    assert box.store.current().startswith("kiosk-101-")


def test_a_bundle_without_golden_pictures_needs_force(box: Box) -> None:
    bundle = box.bundle("101", golden=False)
    with pytest.raises(ModelRefused, match="no golden pictures"):
        box.install(bundle)
    assert box.install(bundle, force=True) == 0


def test_a_model_named_in_the_configuration_runs_whatever_is_installed(box: Box) -> None:
    box.install(box.bundle("101"))
    named = box.bundle("9")
    box.tables["model"] = {"path": str(named)}
    assert box.runs == named
    with pytest.raises(ModelRefused, match=r"\[model\] path"):
        box.install(box.bundle("102"))
    with pytest.raises(ModelRefused, match=r"\[model\] path"):
        box.rollback()
    assert [line for line in box.list() if line.startswith("*")] == [
        f"* {named}: named in {box.path}, so none of these runs"
    ]


def test_damage_on_the_disk_is_found(box: Box) -> None:
    box.install(box.bundle("101"))
    flip(box.runs / "model.onnx")
    assert verify(box.config, box.path, say=box.said.append) == 65
    assert any(line.startswith("WRONG: kiosk-101-") and "sha256" in line for line in box.said)


def test_two_commands_do_not_get_into_each_others_way(box: Box) -> None:
    with box.store.changing(), pytest.raises(StoreBusy):
        box.install(box.bundle("101"))
    assert box.runs == shipped_bundle()


def test_a_damaged_bundle_of_the_same_name_does_not_stand_in_the_way(box: Box) -> None:
    bundle = box.bundle("101")
    box.install(bundle)
    damaged = box.runs
    shutil.rmtree(damaged / "golden")
    box.rollback("shipped")
    box.install(bundle)
    assert box.runs == damaged.with_name(damaged.name + ".2")
