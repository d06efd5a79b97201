"""``kiosk-guard provision``: a box gets what is particular to it from a site file."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import EX_OK, StateError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from edge.app.site_file import Site

_MADE = ".made-from-site"  # beside the configuration: the hash of the one that was made from a site file
_FIRST_LINE = "# Made from a site file. Change it as you like; every key is explained in kiosk-guard.toml.example.\n"


def add_to(commands: Any, *, default_config: Path) -> None:
    """Add the command to an argument parser's commands."""
    provision = commands.add_parser("provision", help="write the configuration and passwords from a site file")
    provision.add_argument("site", type=Path, metavar="SITE", help="kiosk-site.toml, or KEY=value lines")
    provision.add_argument("--config", type=Path, default=default_config, metavar="FILE")
    provision.add_argument(
        "--template", type=Path, action="append", default=[], help="a file that nobody has changed yet"
    )
    provision.add_argument("--force", action="store_true", help="replace a configuration that was changed by hand, too")
    provision.add_argument("--check", action="store_true", help="only say whether the site file is good")
    provision.set_defaults(command=_provision)


def _provision(args: argparse.Namespace) -> int:
    from edge.app.site_file import complete, read_site  # noqa: PLC0415 - start-up time

    site = read_site(args.site)
    complete(site, str(args.site), ask_person if sys.stdin.isatty() and sys.stderr.isatty() else None)
    provision(site, args.config, templates=args.template, force=args.force, only_check=args.check, say=print)
    return EX_OK


def ask_person(key: str, secret: bool) -> str:  # noqa: FBT001 - the type of Ask
    """On the terminal. End of input is no answer: :raises KeyboardInterrupt: nobody will answer."""
    try:
        if secret:
            return getpass.getpass(f"{key}: ")
        sys.stderr.write(f"{key}: ")
        sys.stderr.flush()
        return input()
    except EOFError:
        raise KeyboardInterrupt from None


def provision(
    site: Site,
    config_path: Path,
    *,
    templates: Sequence[Path] = (),
    force: bool = False,
    only_check: bool = False,
    say: Callable[[str], object],
) -> bool:
    """Write configuration and passwords; False: a configuration changed by hand was kept, the other lies beside it.

    :raises ConfigError: the site's configuration would not be a good one; nothing was written.
    :raises StateError: the folder cannot be written.
    """
    from edge.app.site_file import SECRETS, config_text  # noqa: PLC0415
    from edge.config import load  # noqa: PLC0415

    folder, text = config_path.parent, _FIRST_LINE + config_text(site)
    candidate = config_path.with_name(config_path.name + ".new")
    try:
        _write(candidate, text, 0o640)
        try:
            load(candidate)
        except BaseException:  # raised again: what does not load must not lie beside the configuration
            candidate.unlink()
            raise
        if only_check:
            candidate.unlink()
            say("the site file is good")
            return True
        for key, name in SECRETS.items():
            if key in site.secrets:
                _write(folder / name, site.secrets[key] + "\n", 0o600, group=False)
        if config_path.exists() and config_path.read_text(encoding="utf-8") == text:
            candidate.unlink()
            say(f"{config_path} says what the site file says")
            return True
        if config_path.exists() and not force and not _untouched(config_path, templates):
            say(f"{config_path} was changed by hand and stays; the site file's lies beside it as {candidate.name}")
            return False
        _write(folder / _MADE, _digest(text.encode()) + "\n", 0o600)
        candidate.replace(config_path)
    except OSError as error:
        raise StateError(
            f"{error.filename or folder} cannot be written: {error.strerror}", hint="Run it as root."
        ) from None
    say(f"{config_path} was made from the site file")
    return True


def _untouched(config_path: Path, templates: Sequence[Path]) -> bool:
    """Whether it is still what some program has put there."""
    now = config_path.read_bytes()
    known = []
    with contextlib.suppress(OSError):
        known.append((config_path.parent / _MADE).read_text().strip())
    for template in templates:
        with contextlib.suppress(OSError):
            known.append(_digest(template.read_bytes()))
    return _digest(now) in known


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, text: str, mode: int, *, group: bool = True) -> None:
    """Whole or not at all; of the folder's group where the service is to read it."""
    new = path.with_name(f".{path.name}.writing")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        if group and os.geteuid() == 0:
            os.fchown(file.fileno(), -1, path.parent.stat().st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
