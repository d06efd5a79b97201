"""``kiosk-guard``: the commands. Results go to standard output, everything else to standard error."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edge import __version__
from edge.app import acts_cli, bench_cli, doctor_cli, label_cli, model_cli, picture_cli, site_cli
from edge.errors import EX_IOERR, EX_OK, EX_USAGE, KioskError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_CONFIG = Path("/etc/kiosk-guard/kiosk-guard.toml")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (sysexits.h)."""
    args = _parser().parse_args(argv)
    try:
        code: int = args.command(args)
    except KioskError as error:
        sys.stderr.write(f"kiosk-guard: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output left (a pager, head): nothing to say, and nothing more to write at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_IOERR
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="kiosk-guard", description="Guards an ATM lobby: camera in; alarm, email and health out.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="guard, until stopped (the service)")
    run.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}")
    run.add_argument("--log", choices=("text", "json"), help="form of the log lines (default: the configuration's)")
    run.add_argument(
        "--service", action="store_true", help="as the system's service: tells systemd; stays up and says what is wrong"
    )
    run.set_defaults(command=_run)

    replay = commands.add_parser("replay", help="judge a video file; sends and stores nothing")
    replay.add_argument("clip", type=Path, metavar="CLIP")
    replay.add_argument("--config", type=Path, metavar="FILE", help="zones, rules, model (default: built-in values)")
    replay.add_argument("--camera", default="", metavar="NAME", help="whose zones count (default: the first camera)")
    replay.add_argument("--json", action="store_true", help="one JSON object a line per incident change")
    replay.add_argument("--video", type=Path, metavar="OUT", help="also write an annotated video (.webm, .mp4, .avi)")
    replay.add_argument(
        "--at", default="", metavar="WHEN", help='when the recording began ("2026-03-01 14:30"): opening hours'
    )
    replay.set_defaults(command=_replay)

    check = commands.add_parser("check-config", help="report every fault of a configuration file")
    check.add_argument("file", type=Path, metavar="FILE", nargs="?", default=DEFAULT_CONFIG)
    check.set_defaults(command=_check_config)

    why = commands.add_parser("why", help="why there was, or was no, alert: incidents, suppressions, maintenance")
    why.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}")
    why.add_argument(
        "--since", default="24h", metavar="WHEN", help='so long ago ("90m", "12h", "3d") or a time in UTC; default: 24h'
    )
    why.set_defaults(command=_why)

    maintenance = commands.add_parser("maintenance", help="silence the rules for a while (not the health)")
    maintenance.add_argument("action", choices=("on", "off", "status"))
    maintenance.add_argument("--minutes", type=float, default=60.0, metavar="N", help="for so long; default: 60")
    maintenance.add_argument("--reason", default="", metavar="TEXT", help="what for; the desk reads it in the mail")
    maintenance.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}"
    )
    maintenance.set_defaults(command=_maintenance)

    _add_alert_commands(commands)
    confirm = commands.add_parser(
        "confirm-masks", help="a camera was moved: its privacy masks lie where they should again"
    )
    confirm.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}"
    )
    confirm.set_defaults(command=_confirm_masks)

    version = commands.add_parser("version", help="print the versions of software, model and libraries")
    version.set_defaults(command=_version)
    return parser


def _add_alert_commands(commands: Any) -> None:
    outbox = commands.add_parser("outbox", help="alerts that wait for the mail server")
    actions = outbox.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="what waits, newest first")
    listing.add_argument("--all", action="store_true", help="what was delivered, too")
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many; default: 100")
    listing.add_argument("--json", action="store_true", help="one JSON object a line per alert")
    show = actions.add_parser("show", help="all about one alert")
    show.add_argument("id", metavar="ID")
    retry = actions.add_parser("retry", help="try one alert, or all, now")
    retry.add_argument("id", metavar="ID", nargs="?")
    drop = actions.add_parser("drop", help="give one alert up: it will not be sent")
    drop.add_argument("id", metavar="ID")
    for name, each in {"list": listing, "show": show, "retry": retry, "drop": drop}.items():
        each.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE")
        each.set_defaults(command=_outbox, action=name)

    verify = commands.add_parser("verify-log", help="check the incident log and its pictures; names what was altered")
    verify.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE")
    verify.add_argument(
        "--head",
        action="append",
        default=[],
        metavar="N:HASH",
        help="a record as a mail names it (record N, head HASH): must be in the log; may be repeated",
    )
    verify.add_argument(
        "--key", type=Path, metavar="PUB", help="the kiosk's device.pub (default: the one beside the log)"
    )
    verify.set_defaults(command=_verify_log)

    erase = commands.add_parser("erase", help="remove an incident's pictures now; the incident log says so")
    hold = commands.add_parser("hold", help="keep an incident's pictures whatever their age (legal hold)")
    hold.add_argument("--release", action="store_true", help="the hold is over")
    for name, each in {"erase": erase, "hold": hold}.items():
        each.add_argument("incident", metavar="INCIDENT")
        each.add_argument("--reason", required=True, metavar="TEXT", help="stands in the incident log")
        each.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE")
        each.set_defaults(command=_evidence, action=name)
    picture_cli.add_to(commands, default_config=DEFAULT_CONFIG)
    doctor_cli.add_to(commands, default_config=DEFAULT_CONFIG)
    acts_cli.add_to(commands, default_config=DEFAULT_CONFIG)
    bench_cli.add_to(commands, default_config=DEFAULT_CONFIG)
    label_cli.add_to(commands, default_config=DEFAULT_CONFIG)
    model_cli.add_model_commands(commands, DEFAULT_CONFIG)
    site_cli.add_to(commands, default_config=DEFAULT_CONFIG)

    test_mail = commands.add_parser("test-mail", help="send the desk a test mail; says what the server said")
    test_mail.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}"
    )
    test_mail.add_argument("--timeout", type=float, default=60.0, metavar="S", help="wait so long; default: 60 s")
    test_mail.set_defaults(command=_test_mail)


# Commands import what they need themselves: `version` and a faulty configuration answer at once.


def _run(args: argparse.Namespace) -> int:
    from edge.app.run import run, run_service

    return (run_service if args.service else run)(args.config, log_style=args.log)


def _replay(args: argparse.Namespace) -> int:
    from edge.app.build import opening_hours
    from edge.app.replay import json_line, plain_line, replay
    from edge.cameras.file import EPOCH
    from edge.config import Config, load

    if args.config:
        config, path = load(args.config), args.config
    else:
        config = Config.model_validate({"cameras": [{"name": "replay", "source": "file:replayed"}]})
        path = Path.cwd() / "built-in values"
    line = json_line if args.json else plain_line
    if not args.at and not opening_hours(config).always:
        sys.stderr.write(
            f"opening hours are judged as if the recording began on {EPOCH:%Y-%m-%d %H:%M} UTC; see --at\n"
        )
    done = replay(
        args.clip,
        config,
        path,
        camera=args.camera,
        video=args.video,
        at=args.at,
        emit=lambda change: print(line(change), flush=True),
    )
    judged = max(done.frames_judged, 1)
    sys.stderr.write(
        f"{done.frames_judged} of {done.frames_read} frames judged, {done.clip_s:.1f} s of video in {done.wall_s:.1f} s: "
        f"{done.frames_judged / max(done.wall_s, 1e-9):.1f} frames/s, {1000 * done.cpu_s / judged:.1f} ms of CPU a frame; "
        f"{done.opened} incident{'' if done.opened == 1 else 's'}\n"
    )
    if done.missing_bytes:
        sys.stderr.write(
            f"{args.clip}: the file is cut off, {done.missing_bytes} bytes are missing at its end: what they showed was not judged\n"
        )
    return EX_OK


def _check_config(args: argparse.Namespace) -> int:
    from edge.app.build import build_detector, resting_rules
    from edge.config import load

    config = load(args.file)
    detector = build_detector(config, args.file)
    cameras = ", ".join(c.name for c in config.cameras)
    print(f"{args.file}: good; cameras: {cameras}; zones: {len(config.zones)}; model: {detector.model}")
    for rule, lacks in resting_rules(config, detector.classes, detector.map_name).items():
        print(f"rule {rule} rests: the model knows no {', '.join(lacks)}")
    return EX_OK


def _why(args: argparse.Namespace) -> int:
    from edge.app.why import why
    from edge.config import load

    for line in why(load(args.config), args.config, since=args.since):
        print(line)
    return EX_OK


def _maintenance(args: argparse.Namespace) -> int:
    from edge.app.control import maintenance
    from edge.config import load

    print(maintenance(load(args.config), args.config, args.action, minutes=args.minutes, reason=args.reason))
    return EX_OK


def _outbox(args: argparse.Namespace) -> int:
    from edge.app import outbox_commands as commands
    from edge.config import load

    config = load(args.config)
    if args.action == "retry":
        print(commands.retry(config, args.config, args.id))
    elif args.action == "drop":
        print(commands.drop(config, args.config, args.id))
    else:
        for line in (
            commands.show_alert(config, args.config, args.id)
            if args.action == "show"
            else commands.list_alerts(
                config, args.config, limit=max(1, args.limit), everything=args.all, as_json=args.json
            )
        ):
            print(line)
    return EX_OK


def _verify_log(args: argparse.Namespace) -> int:
    from edge.app.evidence_commands import verify_log
    from edge.config import load

    return verify_log(load(args.config), args.config, heads=args.head, key=args.key, say=print)


def _evidence(args: argparse.Namespace) -> int:
    from edge.app import evidence_commands as commands
    from edge.config import load

    config = load(args.config)
    if args.action == "erase":
        print(commands.erase(config, args.config, args.incident, reason=args.reason))
    else:
        print(commands.hold(config, args.config, args.incident, reason=args.reason, on=not args.release))
    return EX_OK


def _test_mail(args: argparse.Namespace) -> int:
    import threading

    from edge.app.outbox_commands import send_test_mail
    from edge.config import load

    return send_test_mail(
        load(args.config),
        args.config,
        timeout_s=args.timeout,
        say=lambda text: print(text, flush=True),
        cancel=threading.Event(),
    )


def _confirm_masks(args: argparse.Namespace) -> int:
    from edge.app.mask_confirmation import confirm_masks
    from edge.app.state import existing_state
    from edge.config import load

    print(confirm_masks(existing_state(load(args.config), args.config)))
    return EX_OK


def _version(_args: argparse.Namespace) -> int:
    import platform
    from importlib.metadata import version

    from edge.detect.manifest import read_manifest
    from edge.models.shipped import shipped_bundle

    print(f"kiosk-guard {__version__}")
    print(f"model {read_manifest(shipped_bundle()).label} (shipped)")
    names = ("onnxruntime", "opencv-python-headless", "numpy", "gpiozero")
    print(f"python {platform.python_version()}, " + ", ".join(f"{n} {version(n)}" for n in names))
    return EX_OK


if __name__ == "__main__":
    sys.exit(main())
