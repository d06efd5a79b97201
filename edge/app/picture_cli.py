"""The command line of ``kiosk-guard pictures`` and ``viewed``; what they need is imported when they run."""

# ruff: noqa: PLC0415 - commands import what they need when they need it: start-up time
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import EX_OK

if TYPE_CHECKING:
    import argparse


def add_to(commands: Any, *, default_config: Path) -> None:
    """Add the two commands to the parser."""
    pictures = commands.add_parser("pictures", help="list an incident's pictures, or copy them out (which is recorded)")
    pictures.add_argument("incident", metavar="INCIDENT")
    pictures.add_argument(
        "--copy-to", type=Path, metavar="FOLDER", help="copy them there; the incident log says who did"
    )
    viewed = commands.add_parser("viewed", help="who viewed or copied pictures, as the incident log has it")
    viewed.add_argument("incident", nargs="?", metavar="INCIDENT", help="only of this one")
    for each, action in ((pictures, _pictures), (viewed, _viewed)):
        each.add_argument("--config", type=Path, default=default_config, metavar="FILE")
        each.set_defaults(command=action)


def _pictures(args: argparse.Namespace) -> int:
    from edge.app.picture_commands import pictures
    from edge.clock import SystemClock
    from edge.config import load

    pictures(load(args.config), args.config, args.incident, copy_to=args.copy_to, say=print, clock=SystemClock())
    return EX_OK


def _viewed(args: argparse.Namespace) -> int:
    from edge.app.picture_commands import viewed
    from edge.config import load

    viewed(load(args.config), args.config, args.incident, say=print)
    return EX_OK
