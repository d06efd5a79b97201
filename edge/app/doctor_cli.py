"""How ``kiosk-guard doctor`` and ``status`` are called, and what they print."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import EX_OK

if TYPE_CHECKING:
    import argparse

_WARN_EXIT, _FAIL_EXIT = 1, 2
_COLOURS = {"pass": "32", "warn": "33", "fail": "31;1"}
_MARKS = {"pass": "+", "warn": "!", "fail": "x"}  # never by colour alone
_NAME_WIDTH = 24


def add_to(commands: Any, *, default_config: Path) -> None:
    """Add the commands to an argument parser's commands."""
    doctor = commands.add_parser(
        "doctor", help="try every part of the box; what is wrong, and what to do. Exit status 0, 1 (warning), 2 (fault)"
    )
    status = commands.add_parser("status", help="how the running service is, in some lines")
    for each, command in ((doctor, _doctor), (status, _status)):
        each.add_argument("--config", type=Path, default=default_config, metavar="FILE")
        each.add_argument("--json", action="store_true", help="for programs")
        each.set_defaults(command=command)


def _doctor(args: argparse.Namespace) -> int:
    from edge.app.doctor import Doctor  # noqa: PLC0415 - start-up time

    found = []
    for check in Doctor(args.config).checks():
        found.append(check)
        if not args.json:
            _say(line(check.status.label, check.name, check.output, figure(check.observed, check.unit)))
    worst = max(check.status for check in found)
    if args.json:
        entries = [
            {"name": c.name, "status": c.status.label, "output": c.output, "observed": c.observed, "unit": c.unit}
            for c in found
        ]
        _say(json.dumps({"status": worst.label, "checks": entries}, indent=1))
    else:
        counts = {label: sum(c.status.label == label for c in found) for label in ("pass", "warn", "fail")}
        _say(", ".join(f"{n} {label}" for label, n in counts.items()))
    return (EX_OK, _WARN_EXIT, _FAIL_EXIT)[worst]


def _status(args: argparse.Namespace) -> int:
    from edge.app.control_client import ControlClient, ServiceDown  # noqa: PLC0415
    from edge.app.state import state_path  # noqa: PLC0415
    from edge.app.status import file_status, service_status  # noqa: PLC0415
    from edge.config.salvage import salvage  # noqa: PLC0415

    config = salvage(args.config)
    try:
        report = ControlClient(state_path(config, args.config)).health()
    except ServiceDown as error:
        if args.json:
            _say(json.dumps({"status": "fail", "output": error.message, "service": "down"}))
            return _FAIL_EXIT
        _say(line("fail", "service", f"{error.message}. {error.hint}"))
        for each in file_status(config, args.config):
            _say(line(*each))
        return _FAIL_EXIT
    if args.json:
        _say(json.dumps(report, indent=1))
    else:
        for each in service_status(report):
            _say(line(*each))
    return {"pass": EX_OK, "warn": _WARN_EXIT}.get(str(report.get("status")), _FAIL_EXIT)


def figure(observed: object, unit: str) -> str:
    """A measured value with its unit; empty: there is none."""
    return "" if observed is None else f"{observed} {unit}".strip()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()  # as it is found, into a pipe too


def line(label: str, name: str, words: str, observed: str = "") -> str:
    """One finding: in colour and wrapped on a terminal, one plain line elsewhere."""
    words = " ".join(words.split())
    text = f"{words} ({observed})" if words and observed and observed not in words else words or observed
    head = f"{_MARKS.get(label, ' ')} {label:4}  {name:{_NAME_WIDTH}} "
    if not sys.stdout.isatty():
        return f"{head}{text}".rstrip()
    width = max(40, os.get_terminal_size().columns - len(head))
    body = f"\n{' ' * len(head)}".join(textwrap.wrap(text, width) or [""])
    plain = bool(os.environ.get("NO_COLOR")) or label not in _COLOURS
    return f"{head}{body}" if plain else f"\x1b[{_COLOURS[label]}m{head}\x1b[0m{body}"
