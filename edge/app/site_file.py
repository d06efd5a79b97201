"""What is particular to one box (kiosk-site.toml), and the configuration that is made from it.

Three ways to write it down, and all may be mixed: the tables of kiosk-guard.toml, a table [secrets], and flat keys such
as ``kiosk_id``, which are also a spreadsheet's columns and, in capitals, the lines of an environment file. Only the
standard library at import: a workstation writes forty of them without the runtime.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    # Asks a person: what for, and whether it is to stay unseen.
    Ask = Callable[[str, bool], str]

_CREDENTIALS = "$CREDENTIALS_DIRECTORY"
_LISTS = ("mail_recipients", "mail_recipients_high", "mail_recipients_critical")
FLAT = {
    "kiosk_id": ("kiosk", "id"),
    "kiosk_site": ("kiosk", "site"),
    "kiosk_address": ("kiosk", "address"),
    "kiosk_timezone": ("kiosk", "timezone"),
    "camera_source": ("cameras", "source"),
    "camera_user": ("cameras", "user"),
    "camera_password": ("secrets", "camera_password"),
    "mail_host": ("email", "host"),
    "mail_port": ("email", "port"),
    "mail_security": ("email", "security"),
    "mail_user": ("email", "user"),
    "mail_password": ("secrets", "mail_password"),
    "mail_sender": ("email", "sender"),
    **{name: ("email", name.removeprefix("mail_")) for name in _LISTS},
}
SECRETS = {"mail_password": "mail-password", "camera_password": "camera-password"}  # key in [secrets]: file in /etc


@dataclass
class Site:
    """One box.

    :param tables: the configuration's tables, as far as the site has something to say.
    :param secrets: passwords by their key in [secrets].
    """

    tables: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)


def read_site(path: Path) -> Site:
    """:raises ConfigError: it cannot be read, or says something that no site file says."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # some editors begin a file with a mark
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8: {error}", hint="In the editor, save it with the encoding UTF-8."
        ) from None
    return make_site(_parse(path, text), str(path))


def make_site(data: Mapping[str, Any], where: str) -> Site:
    """Flat keys and tables together as one site. :raises ConfigError: an unknown flat key or secret, or a wrong type."""
    site = Site()
    for key, value in data.items():
        if isinstance(value, (dict, list)) and key.lower() not in FLAT:
            if key != "secrets":
                site.tables[key] = value
            continue
        if key.lower() not in FLAT:
            raise ConfigError(f"{where}: {key}: unknown key", hint=f"allowed beside tables: {', '.join(FLAT)}")
    secrets = data.get("secrets", {})
    if not isinstance(secrets, dict) or not all(k in SECRETS and isinstance(v, str) for k, v in secrets.items()):
        raise ConfigError(f"{where}: [secrets]: allowed are {', '.join(SECRETS)}, each a text")
    site.secrets.update(secrets)
    for key, value in data.items():
        if key.lower() in FLAT:
            _put_flat(site, key.lower(), value, f"{where}: {key}")
    return site


def what_lacks(site: Site) -> list[str]:
    """Flat keys without which this box cannot be set up."""
    kiosk, email = site.tables.get("kiosk", {}), site.tables.get("email", {})
    camera = _first_camera(site) or {}
    lacks = [] if isinstance(kiosk, dict) and kiosk.get("id") else ["kiosk_id"]
    if isinstance(email, dict) and email.get("enabled", bool(email)):
        lacks += [f"mail_{key}" for key in ("host", "sender", "recipients") if not email.get(key)]
        if email.get("user") and not email.get("password_file") and "mail_password" not in site.secrets:
            lacks.append("mail_password")
    if camera.get("user") and not camera.get("password_file") and "camera_password" not in site.secrets:
        lacks.append("camera_password")
    return lacks


def complete(site: Site, where: str, ask: Ask | None) -> None:
    """Ask for what is missing. :param ask: None: there is nobody to ask. :raises ConfigError: something is missing."""
    while lacks := what_lacks(site):
        if ask is None:
            raise ConfigError(
                f"{where}: missing: {', '.join(lacks)}",
                hint="Add it to the file, or run this on a terminal, where it is asked for.",
            )
        key = lacks[0]
        answer = ask(key, FLAT[key][0] == "secrets").strip()
        if answer:
            _put_flat(site, key, answer, key)


def config_text(site: Site) -> str:
    """The configuration that follows: what the site says; everything else keeps its default."""
    tables = json.loads(json.dumps(site.tables, default=str))
    tables.setdefault("cameras", [{"name": "lobby", "source": "/dev/video0"}])
    email = tables.get("email")
    if isinstance(email, dict):
        email.setdefault("enabled", True)
        if email.get("user"):
            email.setdefault("password_file", f"{_CREDENTIALS}/{SECRETS['mail_password']}")
    for camera in tables["cameras"]:
        if isinstance(camera, dict) and camera.get("user"):
            camera.setdefault("password_file", f"{_CREDENTIALS}/{SECRETS['camera_password']}")
    return "\n".join(_emit(tables, ())) + "\n"


def quoted(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _parse(path: Path, text: str) -> dict[str, Any]:
    """As TOML, or as KEY=value lines (an environment file), whichever it is."""
    import sys  # noqa: PLC0415

    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415
    else:
        import tomli as tomllib  # noqa: PLC0415
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        lines = [line.strip() for line in text.splitlines()]
        pairs = [re.fullmatch(r"(?:export\s+)?([A-Za-z_]+)=(.*)", line) for line in lines if line and line[0] != "#"]
        if not pairs or not all(pairs):
            raise ConfigError(f"{path}: not valid TOML, and not KEY=value lines either: {error}") from None
        return {pair[1]: _unquoted(pair[2].strip()) for pair in pairs if pair}


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _put_flat(site: Site, key: str, value: Any, where: str) -> None:
    table, name = FLAT[key]
    if key in _LISTS:
        value = [v.strip() for v in re.split(r"[,;\s]+", value) if v.strip()] if isinstance(value, str) else value
    elif key == "mail_port":
        if not str(value).isdigit():
            raise ConfigError(f"{where}: allowed: a port, 1 to 65535")
        value = int(value)
    elif not isinstance(value, str):
        raise ConfigError(f"{where}: allowed: a text")
    if value in ("", []):  # an empty cell of a spreadsheet
        return
    if table == "secrets":
        site.secrets[name] = value
    elif table == "cameras":
        camera = _first_camera(site)
        if camera is None:
            site.tables["cameras"] = [{"name": "lobby", name: value}]
        else:
            camera[name] = value
    else:
        there = site.tables.setdefault(table, {})
        if not isinstance(there, dict):
            raise ConfigError(f"{where}: [{table}] is no table here")
        there[name] = value


def _first_camera(site: Site) -> dict[str, Any] | None:
    cameras = site.tables.get("cameras")
    first = cameras[0] if isinstance(cameras, list) and cameras else None
    return first if isinstance(first, dict) else None


def _emit(table: Mapping[str, Any], name: tuple[str, ...]) -> list[str]:
    """TOML lines: a table's own keys first, then the tables in it."""
    lines, further = [], []
    for key, value in table.items():
        inner = (*name, key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else quoted(key))
        if isinstance(value, dict):
            further += ["", f"[{'.'.join(inner)}]", *_emit(value, inner)]
        elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            for each in value:
                further += ["", f"[[{'.'.join(inner)}]]", *_emit(each, inner)]
        else:
            lines.append(f"{inner[-1]} = {_value(value)}")
    return lines + further


def _value(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"[{', '.join(_value(v) for v in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {_value(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)
