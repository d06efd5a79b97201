"""``kiosk-guard model``: install, list, roll back, verify and fetch models; the running service follows within seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.app.build import build_detector, resting_rules
from edge.app.evidence_commands import record_command
from edge.app.state import as_owner, existing_state
from edge.clock import SystemClock
from edge.config import resolve
from edge.detect.manifest import MANIFEST_NAME, read_manifest
from edge.detect.onnx import OnnxDetector
from edge.errors import EX_DATAERR, EX_NOINPUT, EX_OK, KioskError, ManifestError
from edge.models.checks import check_origin, step_back
from edge.models.golden import GOLDEN_NAME, verify_golden
from edge.models.incoming import opened
from edge.models.shipped import shipped_bundle
from edge.models.signature import verify_files
from edge.models.store import ModelRefused, ModelStore
from edge.models.switches import SHIPPED
from edge.models.trust import pinned_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.clock import Clock
    from edge.config import Config
    from edge.detect.manifest import Manifest
    from edge.models.durable import Disk

SHIPPED_WORD = "shipped"
_PATIENCE_S = 10.0


class UnknownModel(KioskError):  # noqa: N818 - reads as the fact it states
    """No model of that name is installed."""

    exit_code = EX_NOINPUT


def install(
    config: Config,
    config_path: Path,
    source: Path,
    *,
    force: bool,
    by: str,
    say: Callable[[str], object],
    clock: Clock | None = None,
    disk: Disk | None = None,
) -> int:
    """Check a bundle in every way there is, then make it the one that runs; returns the exit code.

    :param source: a folder or an archive of one.
    :param force: take a step back, a model that failed here, or, where no key is pinned, one nobody vouches for; that
        stands in the incident log.
    :param by: who or what wants it, for the records.
    :raises KioskError: it is refused, with the reason; nothing has changed then.
    """
    clock = clock or SystemClock()
    _not_named(config, config_path)
    folder = existing_state(config, config_path)
    keys_folder = resolve(config_path, config.model.trusted_keys)
    keys = pinned_keys(keys_folder)
    store = ModelStore(folder, clock=clock, disk=disk)
    with opened(source) as incoming, as_owner(folder), store.changing(patience_s=_PATIENCE_S):
        bundle = incoming.unpack(store.staging(), store.disk)
        manifest, unsigned = check_origin(bundle, keys, folder=keys_folder)
        same = _same(store, bundle)
        if same is not None and same == store.current():
            say(f"{manifest.label} is the current model already")
            return EX_OK
        doubts = [
            unsigned,
            _steps_back(store, manifest),
            _failed_before(store, same),
            _unproved(config, bundle, manifest),
        ]
        doubts = [d for d in doubts if d]
        if doubts and not force:
            raise ModelRefused(
                f"{source}: refused: {'; '.join(doubts)}",
                hint="`--force` takes it all the same, and the incident log says so",
            )
        detector = build_detector(config, config_path, bundle=bundle)
        data = {"action": "install", "model": manifest.label, "sha256": manifest.model.sha256, "forced": doubts}
        record_command(folder, "model", data, clock=clock)
        name = same if same is not None else store.place(bundle, manifest)
        store.switch(name, by=by, why="forced: " + "; ".join(doubts) if doubts else "installed", trial=True)
        store.prune()
    say(f"{manifest.label} is the current model ({name})" + (f"; forced: {'; '.join(doubts)}" if doubts else ""))
    for rule, lacks in resting_rules(config, detector.classes, detector.map_name).items():
        say(f"rule {rule} rests: the model knows no {', '.join(lacks)}")
    say(f"a running service takes it within seconds; it then has {config.model.trial_min:g} min to prove itself")
    return EX_OK


def rollback(
    config: Config,
    config_path: Path,
    to: str,
    *,
    by: str,
    clock: Clock | None = None,
    disk: Disk | None = None,
) -> str:
    """Make an installed model the current one again; returns what to print.

    :param to: its name as ``list`` shows it, ``shipped``, or empty: the one before.
    :raises UnknownModel: there is none of that name.
    """
    clock = clock or SystemClock()
    _not_named(config, config_path)
    folder = existing_state(config, config_path)
    store = ModelStore(folder, clock=clock, disk=disk)
    with as_owner(folder), store.changing(patience_s=_PATIENCE_S):
        now = store.current()
        target = {"": store.way_back(), SHIPPED_WORD: SHIPPED}.get(to, to)
        if target != SHIPPED and target not in store.installed():
            raise UnknownModel(f"no model {to!r} is installed", hint="`kiosk-guard model list` names them")
        if target == now:
            return f"{_word(now)} is the current model already; there is none before it"
        bundle = store.path(target) if target else shipped_bundle()
        verify_files(bundle)
        label = build_detector(config, config_path, bundle=bundle).model
        record_command(folder, "model", {"action": "rollback", "model": label, "from": _word(now)}, clock=clock)
        store.switch(target, by=by, why="rolled back by command", trial=False)
    return f"{label} is the current model ({_word(target)}); a running service takes it within seconds"


def list_models(config: Config, config_path: Path) -> Iterator[str]:
    """The models on this box in lines, the current one marked. Writes nothing."""
    store = ModelStore(existing_state(config, config_path), clock=SystemClock())
    current = None if config.model.path else store.current()
    states = {s.to: s for s in store.switches()}
    for name in [SHIPPED, *store.installed()]:
        mark = "*" if name == current else " "
        try:
            manifest = read_manifest(store.path(name) if name else shipped_bundle())
            about = f"{manifest.label}, made {manifest.created_utc:%Y-%m-%d}, knows {_few(manifest.classes)}"
        except KioskError as error:
            about = f"damaged: {error.message.splitlines()[0]}"
        switch = states.get(name)
        told = {"trial": "on trial", "failed": f"failed: {switch.reason}" if switch else ""}.get(
            switch.state if switch else "", ""
        )
        since = f"; since {switch.utc} by {switch.by}" if switch and name == current else ""
        yield f"{mark} {_word(name):40} {about}{since}{'; ' + told if told else ''}"
    if config.model.path:
        yield f"* {resolve(config_path, config.model.path)}: named in {config_path}, so none of these runs"


def verify(config: Config, config_path: Path, *, say: Callable[[str], object]) -> int:
    """Check every installed model: files, signature, and the golden pictures of the current one; returns the exit code."""
    store = ModelStore(existing_state(config, config_path), clock=SystemClock())
    keys_folder = resolve(config_path, config.model.trusted_keys)
    keys = pinned_keys(keys_folder)
    named = resolve(config_path, config.model.path) if config.model.path else None
    current = None if named else store.current()
    bundles = {name: store.path(name) for name in {*store.installed(), *([current] if current else [])}}
    bundles[SHIPPED] = shipped_bundle()
    if named:
        bundles["named in the configuration"] = named
    faults = 0
    for name, bundle in sorted(bundles.items()):
        runs = name == current or bundle == named
        try:
            if name == SHIPPED:  # whoever vouches for the software vouches for it
                manifest, doubt = verify_files(bundle), ""
            else:
                manifest, doubt = check_origin(bundle, keys, folder=keys_folder)
            pictures = _prove(config, bundle, manifest) if runs and (bundle / GOLDEN_NAME).exists() else 0
        except KioskError as error:
            faults += 1
            say(f"WRONG: {_word(name)}: {error.message}")
            continue
        proof = f", {pictures} golden pictures answered as expected" if pictures else ""
        say(f"good: {_word(name)}: {manifest.label}: every file is as the manifest says{proof}")
        if doubt:
            say(f"note: {_word(name)}: {doubt}")
    return EX_DATAERR if faults else EX_OK


def _prove(config: Config, bundle: Path, manifest: Manifest) -> int:
    """The golden pictures through the runtime that kiosks use; returns how many. :raises ManifestError: not as expected."""
    detector = OnnxDetector(bundle, threads=config.model.threads, providers=config.model.providers)
    return verify_golden(bundle, detector, thresholds=manifest.thresholds).pictures


def _unproved(config: Config, bundle: Path, manifest: Manifest) -> str:
    if not (bundle / GOLDEN_NAME).exists():
        return "it has no golden pictures to prove itself with"
    _prove(config, bundle, manifest)
    return ""


def _same(store: ModelStore, bundle: Path) -> str | None:
    """The installed model with the very same manifest, if it is whole."""
    wanted = (bundle / MANIFEST_NAME).read_bytes()
    for name in store.installed():
        path = store.path(name)
        try:
            if (path / MANIFEST_NAME).read_bytes() == wanted and verify_files(path):
                return name
        except (KioskError, OSError):
            continue
    return None


def _steps_back(store: ModelStore, manifest: Manifest) -> str:
    current = store.current()
    try:
        return step_back(manifest, read_manifest(store.path(current) if current else shipped_bundle()))
    except ManifestError:
        return ""  # what runs now is broken: nothing is a step back from there


def _failed_before(store: ModelStore, same: str | None) -> str:
    last = next((s for s in reversed(store.switches()) if s.to == same and same), None)
    return f"it failed on this box: {last.reason}" if last and last.state == "failed" else ""


def _not_named(config: Config, config_path: Path) -> None:
    if config.model.path:
        raise ModelRefused(
            f'{config_path}: [model] path = "{config.model.path}" names the model that runs: a switch would do nothing',
            hint='set path = "" and restart the service; then the installed model that is current runs',
        )


def _word(name: str) -> str:
    return name or SHIPPED_WORD


def _few(classes: tuple[str, ...]) -> str:
    return ", ".join(classes) if len(classes) <= 8 else f"{', '.join(classes[:6])} and {len(classes) - 6} more"
