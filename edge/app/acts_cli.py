"""How ``test-alarm``, ``walk-test``, ``verdict`` and ``support-bundle`` are called: the page's acts, for a terminal."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import EX_CANTCREAT, EX_OK, KioskError
from edge.health.acts import VERDICTS

if TYPE_CHECKING:
    import argparse

    from edge.app.control_client import ControlClient

_LOOK_EVERY_S = 1.0


class NotWritten(KioskError):  # noqa: N818 - the state it states
    """A file cannot be made where it was asked for."""

    exit_code = EX_CANTCREAT


def add_to(commands: Any, *, default_config: Path) -> None:
    """Add the commands to an argument parser's commands."""
    alarm = commands.add_parser("test-alarm", help="sound and light the outputs for some seconds")
    alarm.add_argument("outputs", nargs="*", metavar="OUTPUT", help="names, such as siren (default: all alarm outputs)")
    alarm.add_argument("--seconds", type=float, default=3.0, metavar="S", help="0.5 to 10; default: 3")
    alarm.set_defaults(command=_test_alarm)

    walk = commands.add_parser("walk-test", help="try the rules on foot: incidents are tests, the desk gets no alarm")
    walk.add_argument("action", choices=("on", "off", "status", "watch"), help="watch: on, then each rule as it fires")
    walk.add_argument("--minutes", type=float, default=10.0, metavar="N", help="1 to 60; default: 10")
    walk.add_argument("--technician", default="", metavar="NAME", help="who walks, for the commissioning record")
    walk.add_argument("--siren", action="store_true", help="the outputs sound as in earnest")
    walk.set_defaults(command=_walk_test)

    bundle = commands.add_parser(
        "support-bundle", help="one file for whoever helps: log, configuration without secrets, health; no pictures"
    )
    bundle.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to put it (default: here)")
    bundle.set_defaults(command=_support_bundle)

    verdict = commands.add_parser("verdict", help="what the desk says of an incident: counted, to tune rules by")
    verdict.add_argument("incident", metavar="INCIDENT", help="its number, as in the mail and on the page")
    verdict.add_argument("verdict", choices=(*VERDICTS, "none"), help="none takes it back")
    verdict.set_defaults(command=_verdict)
    for each in (alarm, walk, bundle, verdict):
        each.add_argument("--config", type=Path, default=default_config, metavar="FILE")


def _client(args: argparse.Namespace) -> ControlClient:
    from edge.app.control_client import ControlClient  # noqa: PLC0415 - start-up time
    from edge.app.state import state_path  # noqa: PLC0415
    from edge.config.salvage import salvage  # noqa: PLC0415

    return ControlClient(state_path(salvage(args.config), args.config))


def _test_alarm(args: argparse.Namespace) -> int:
    done = _client(args).post("/acts/test-alarm", seconds=args.seconds, outputs=args.outputs or None)
    _say(f"{', '.join(done['outputs']) or 'no output'}: on for {done['seconds']:g} s")
    return EX_OK


def _walk_test(args: argparse.Namespace) -> int:
    client = _client(args)
    if args.action in ("on", "watch"):
        state = client.post(
            "/acts/walk-test", on=True, minutes=args.minutes, siren=args.siren, technician=args.technician
        )
    elif args.action == "off":
        state = client.post("/acts/walk-test", on=False)
    else:
        state = client.get("/acts/walk-test")
    for line in _walk_lines(state):
        _say(line)
    if args.action == "watch":
        _watch_walk(client, state)
    return EX_OK


def _watch_walk(client: ControlClient, state: dict[str, Any]) -> None:
    """Tell each rule as it fires for the first time, until the test is over; Ctrl-C ends it."""
    fired: set[str] = {rule["rule"] for rule in state["rules"] if rule["fired"]}
    try:
        while state["on"]:
            time.sleep(_LOOK_EVERY_S)
            state = client.get("/acts/walk-test")
            for rule in state["rules"]:
                if rule["fired"] and rule["rule"] not in fired:
                    fired.add(rule["rule"])
                    _say(f"fired: {rule['rule']}")
    except KeyboardInterrupt:
        state = client.post("/acts/walk-test", on=False)
    for line in _walk_lines(state):
        _say(line)


def _walk_lines(state: dict[str, Any]) -> list[str]:
    if state["on"]:
        lines = [f"the walk test is on for {state['remaining_s'] / 60:.1f} min more; the desk gets no alarm"]
    else:
        lines = ["no walk test is on" + (f"; newest record: {state['record']}" if state["record"] else "")]
    for rule in state["rules"]:
        verdict = f"fired {rule['fired']} times" if rule["fired"] else rule["resting"] or "not yet"
        if state["on"] or rule["fired"]:
            lines.append(f"  {'x' if rule['fired'] else ' '} {rule['rule']}: {verdict}")
    return lines


def _verdict(args: argparse.Namespace) -> int:
    value = "" if args.verdict == "none" else args.verdict
    _client(args).post("/acts/verdict", incident_id=args.incident, verdict=value)
    _say(f"incident {args.incident}: verdict {args.verdict}")
    return EX_OK


def _support_bundle(args: argparse.Namespace) -> int:
    from edge.app.control_client import NotAllowed, Refused, ServiceDown  # noqa: PLC0415

    try:
        headers, content = _client(args).fetch("GET", "/acts/support-bundle")
        name = Path(headers.get_filename("kiosk-guard-support.tar.gz")).name
    except NotAllowed:
        raise
    except (ServiceDown, Refused) as error:
        from edge.app.offline_bundle import offline_bundle  # noqa: PLC0415

        _say(f"{error.message}: taken from the files instead")
        name, content = offline_bundle(args.config)
    path = args.out / name
    try:
        path.write_bytes(content)
    except OSError as error:
        raise NotWritten(f"{path} cannot be written: {error.strerror}", hint="name a folder with --out") from None
    _say(f"{path} ({len(content) / 1e6:.1f} MB): no secrets and no pictures are in it; look into it before you send it")
    return EX_OK


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
