"""``kiosk-guard model ...`` on the command line."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_model_commands(commands: Any, default_config: Path) -> None:
    """Add the parser; the work is imported when it is asked for."""
    model = commands.add_parser("model", help="install, list, roll back and verify models")
    actions = model.add_subparsers(required=True, metavar="ACTION")
    install = actions.add_parser("install", help="check a bundle (folder or .tar.gz) and make it the one that runs")
    install.add_argument("bundle", type=Path, metavar="BUNDLE")
    fetch = actions.add_parser("fetch", help="get a bundle from an https:// address, then install it if it is new")
    fetch.add_argument("url", metavar="URL", nargs="?", default="", help="default: [model] fetch_url")
    for one in (install, fetch):
        one.add_argument(
            "--force",
            action="store_true",
            help="also an older model, one that failed here, one without golden pictures, or, where no key is pinned, "
            "one nobody vouches for; the incident log says so",
        )
    listing = actions.add_parser("list", help="the models on this box; * marks the one that runs")
    rollback = actions.add_parser("rollback", help="go back to the model before, or to the one named")
    rollback.add_argument("to", metavar="MODEL", nargs="?", default="", help='as `list` names it, or "shipped"')
    verify = actions.add_parser("verify", help="check files, signatures and the golden pictures")
    for name, each in {
        "install": install,
        "fetch": fetch,
        "list": listing,
        "rollback": rollback,
        "verify": verify,
    }.items():
        each.add_argument(
            "--config", type=Path, default=default_config, metavar="FILE", help=f"default: {default_config}"
        )
        each.set_defaults(command=_model, action=name)


def _model(args: argparse.Namespace) -> int:
    from edge.app import model_commands as commands  # noqa: PLC0415 - start-up time of all other commands
    from edge.config import load  # noqa: PLC0415

    config = load(args.config)
    if args.action == "install":
        return commands.install(config, args.config, args.bundle, force=args.force, by=_who(), say=_say)
    if args.action == "fetch":
        from edge.app.model_fetch import fetch_and_install  # noqa: PLC0415

        return fetch_and_install(config, args.config, args.url, force=args.force, by=_who(), say=_say)
    if args.action == "verify":
        return commands.verify(config, args.config, say=_say)
    if args.action == "rollback":
        _say(commands.rollback(config, args.config, args.to, by=_who()))
        return 0
    for line in commands.list_models(config, args.config):
        _say(line)
    return 0


def _who() -> str:
    """Who gives the command: the one behind sudo, if it was used."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command's answer
