"""How ``kiosk-guard label`` is called; what it does is imported when it is called."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_to(commands: Any, *, default_config: Path) -> None:
    """Add the command to an argument parser's commands."""
    label = commands.add_parser(
        "label", help="the box's label: address, fingerprint and, once, the token of the health page"
    )
    label.add_argument("--new", action="store_true", help="make another token; the old one ends")
    label.add_argument("--host", default="", metavar="NAME", help="name or address to print (default: found out)")
    label.add_argument("--config", type=Path, default=default_config, metavar="FILE")
    label.set_defaults(command=_label)


def _label(args: argparse.Namespace) -> int:
    from edge.app.label_commands import label  # noqa: PLC0415 - start-up time
    from edge.config import load  # noqa: PLC0415

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot draw the code still gets the token
    return label(load(args.config), args.config, new=args.new, host=args.host, say=print)
