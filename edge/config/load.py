"""Reading the configuration file: every fault is reported at once, with file, key, value and what is allowed."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from edge.config.tables import Config, State, ZonesFile
from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load(path: Path) -> Config:
    """Read and check a configuration file. Relative paths in it are taken from the file's own folder.

    :raises ConfigError: with every fault found, each naming file, key, value and what is allowed.
    """
    data = read_toml(path)
    cameras = [str(c.get("name")) for c in _tables(data.get("cameras"))]
    faults = _faults(Config, data, path) + _cross_faults(data, cameras, path)
    faults += [
        f'{path}: cameras: name "{n}": each name once' for n in sorted({n for n in cameras if cameras.count(n) > 1})
    ]
    further = ZonesFile()
    zones_path = _zones_path(path, data.get("scene"), data.get("state"))
    try:
        extra = _read_drawn(zones_path, _state_dir(path, data.get("state")))
        found = _zone_faults(extra, data, cameras, zones_path)
        faults += [f for f in found if f"{path}{f[len(str(zones_path)) :]}" not in faults]
        if not faults:
            further = ZonesFile.model_validate(extra)
    except ConfigError as error:
        faults.append(str(error))
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise ConfigError("\n".join([f"{path}: {count}:", *(f"  {line}" for line in faults)]))
    config = Config.model_validate(data)
    return config.model_copy(
        update={"zones": [*config.zones, *further.zones], "masks": [*config.masks, *further.masks]}
    )


def resolve(config_path: Path, value: str) -> Path:
    """A path as written in the configuration file: relative to that file's folder."""
    return config_path.parent / Path(value).expanduser()


def zones_path(config: Config, config_path: Path) -> Path:
    """The file with further zones and masks: what ``[scene] zones_file`` names, else ``zones.toml`` in the state."""
    return _zones_path(config_path, {"zones_file": config.scene.zones_file}, {"dir": config.state.dir})


def check_zones(drawn: dict[str, Any], path: Path, *, cameras: Sequence[str], fixed: ZonesFile) -> ZonesFile:
    """Zones and masks from elsewhere, checked like those of a file.

    :param path: the file that they are for, named in every fault.
    :param cameras: those that there are; ``fixed``: the configuration's own, whose names are taken.
    :raises ConfigError: with every fault found.
    """
    faults = _zone_faults(drawn, fixed.model_dump(), list(cameras), path)
    if faults:
        raise ConfigError("\n".join(line.removeprefix(f"{path}: ") for line in faults))
    return ZonesFile.model_validate(drawn)


def read_zones(text: str, path: Path, *, cameras: Sequence[str], fixed: ZonesFile) -> ZonesFile:
    """The content of a zones file. :raises ConfigError: with every fault found."""
    try:
        drawn = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return check_zones(drawn, path, cameras=cameras, fixed=fixed)


def zone_history(path: Path) -> Path:
    """The folder with the earlier versions of a file that was drawn on the page."""
    return path.with_name(f"{path.name}.versions")


def _zones_path(path: Path, scene: Any, state: Any) -> Path:
    named = scene.get("zones_file") if isinstance(scene, dict) else None
    return resolve(path, named) if isinstance(named, str) and named else _state_dir(path, state) / "zones.toml"


def _state_dir(path: Path, state: Any) -> Path:
    named = state.get("dir") if isinstance(state, dict) else None
    return resolve(path, named if isinstance(named, str) and named else State().dir)


def _read_drawn(path: Path, state_dir: Path) -> dict[str, Any]:
    """The zones file. In the state directory it need not be there: the page makes it."""
    if path.parent != state_dir:
        return read_toml(path)
    # A state directory that is none is told where it is claimed.
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return _parse(path)
    if any(zone_history(path).glob("*.toml")):
        raise ConfigError(
            f"{path}: is gone, but zones or masks were drawn before",
            hint=f"copy the last one of {zone_history(path)} to its place, or remove that folder, too",
        )
    return {}


def _zone_faults(extra: dict[str, Any], beside: dict[str, Any], cameras: list[str], path: Path) -> list[str]:
    both = {k: [*_tables(beside.get(k)), *_tables(extra.get(k))] for k in ("zones", "masks")}
    return _faults(ZonesFile, extra, path) + _cross_faults(both, cameras, path)


def read_toml(path: Path) -> dict[str, Any]:
    """What the file says, unchecked. :raises ConfigError: it is not there, cannot be read, or is no TOML."""
    try:
        return _parse(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"{path}: no such file",
            hint="Name the file with --config; firmware_config/kiosk-guard.toml shows every key.",
        ) from None


def _parse(path: Path) -> dict[str, Any]:
    """:raises FileNotFoundError, NotADirectoryError: it is not there."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except PermissionError:
        raise ConfigError(
            f"{path}: may not be read by this user",
            hint="Run this with sudo. If the service itself says so, see to it that its user may read the file.",
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _tables(value: Any) -> list[dict[str, Any]]:
    """The tables in what should be a list of tables, whatever else is wrong with it."""
    return [t for t in value if isinstance(t, dict)] if isinstance(value, list) else []


def _faults(model: type[BaseModel], data: dict[str, Any], path: Path) -> list[str]:
    try:
        model.model_validate(data)
    except ValidationError as error:
        return [f"{path}: {_fault(e, model)}" for e in error.errors(include_url=False)]
    return []


def _cross_faults(data: dict[str, Any], cameras: list[str], path: Path) -> list[str]:
    """What no table can see by itself."""
    known = ", ".join(cameras) or "none configured"
    faults: list[str] = []
    for kind in ("zones", "masks"):
        one, tables = kind[:-1], _tables(data.get(kind))
        faults += [
            f"{path}: {kind}: {one} {t.get('name')!r}: camera = {_short(t.get('camera'))}: allowed: {known}"
            for t in tables
            if "camera" in t and t["camera"] not in cameras
        ]
        keys = [(str(t.get("camera")), str(t.get("name"))) for t in tables]
        faults += [
            f"{path}: {kind}: {one} {n!r} of camera {c!r}: each name once"
            for c, n in sorted({k for k in keys if keys.count(k) > 1})
        ]
    return faults


def _fault(error: Any, model: type[BaseModel]) -> str:
    key = ""
    for part in error["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    value = error["input"]
    # A password in the wrong place must not reach a log; a camera's URL may hold one.
    hidden = re.search(r"pass|secret|token|source$", key, re.IGNORECASE) or isinstance(value, dict)
    shown = "" if hidden else f" = {_short(value)}"
    if error["type"] == "missing":
        return f"{key}: is missing; allowed: {_expected(error)}"
    if error["type"] == "extra_forbidden":
        return f"{key}{shown}: unknown key; allowed here: {', '.join(_siblings(model, error['loc'][:-1]))}"
    return f"{key or 'file'}{shown}: allowed: {_expected(error)}"


_PATTERNS = {
    r"^[A-Za-z0-9_-]{1,40}$": "1 to 40 letters, digits, - and _",
    r"^[^\x00-\x1f\x7f]*$": "one line without control characters",
}


def _expected(error: Any) -> str:
    message = str(error["msg"])
    for prefix in ("Value error, ", "Input should be "):
        message = message.removeprefix(prefix)
    if error["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(error["ctx"]["pattern"], message)
    return {"Field required": "a value (this key has no default)"}.get(message, message)


def _siblings(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """The keys of the table that a fault's location names."""
    here: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        if isinstance(here, type) and issubclass(here, BaseModel) and part in here.model_fields:
            here = _table_in(here.model_fields[part].annotation)
    return sorted(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _table_in(annotation: Any) -> Any:
    """The table model inside ``list[Annotated[T, ...]]``, ``dict[str, T]`` or ``T`` itself."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in reversed(getattr(annotation, "__args__", ())):
        found = _table_in(inner)
        if found is not None:
            return found
    return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
