"""The appliance at work, for someone who has never seen it: a lobby clip in; alarm, email and health out.

Runs ``kiosk-guard`` as a process on ``lobby.mp4``, with simulated outputs and a mailbox on this machine, shows what
happens as it happens, and holds it against the clip's ground truth. Exit code 0: all that should happen was seen.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo_appliance import COMMAND, Appliance, free_port
from demo_mailbox import Mailbox
from demo_place import CLIP, TRUTH, Place, write_config
from demo_screen import Screen, show_verdict
from demo_show import Show
from demo_verdict import Seen, judge
from rich.console import Console

from edge.config import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo_mailbox import Mail
    from demo_verdict import Line

EX_UNAVAILABLE = 69
EX_CANTCREAT = 73
EX_INTERRUPTED = 130

HEALTH_PORT = 8787
PLAIN_WIDTH = 120
GRACE_S = 45.0  # for starting and stopping, on a busy machine


@contextlib.contextmanager
def running(appliance: Appliance) -> Iterator[Appliance]:
    """No appliance outlives this program."""
    try:
        yield appliance
    finally:
        appliance.stop()


def replay(place: Place, seen: Seen) -> str:
    """Judge the clip again, as fast as it goes, for the annotated video; returns the command's own last words."""
    command = [COMMAND, "replay", CLIP, "--config", place.config, "--video", place.video, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    place.replayed.write_text(done.stdout, encoding="utf-8")
    if done.returncode == 0:
        seen.replayed = [json.loads(line) for line in done.stdout.splitlines()]
    words = done.stderr.strip().splitlines()
    return words[-1] if words else f"exit code {done.returncode}"


def demonstrate(console: Console, place: Place, *, keep: bool) -> int:
    """The whole demo; returns its exit code."""
    truth = json.loads(TRUTH.read_text(encoding="utf-8"))
    seen = Seen()
    console.print(
        f"A lobby of {truth['duration_s']:.0f} seconds: a customer, then someone who stays too long and steps into the "
        f"service corner.\nExpected: {', '.join(e['rule'] for e in truth['expected'])}; siren and LED; a mail for each.",
        highlight=False,
        soft_wrap=True,
    )
    news: queue.Queue[dict[str, Any] | Mail] = queue.Queue()
    mailbox = Mailbox(place.mails, news.put)
    ports = (mailbox.port, free_port(HEALTH_PORT))
    try:
        write_config(place, truth, *ports, loop=False)
        outputs = {name: line.pin for name, line in load(place.config).outputs.lines.items()}
        screen = Screen(console, outputs)
        with screen, running(Appliance(place.config, place.log, news.put)) as appliance:
            code = Show(screen, seen, news).watch(appliance, time.monotonic() + truth["duration_s"] + GRACE_S)
        if code != 0:
            console.print(f"kiosk-guard run {'did not end' if code is None else f'ended with exit code {code}'}:")
            console.print("\n".join(appliance.complaints[-10:]) or f"see {place.log}", highlight=False, markup=False)
        console.print("Replaying the clip for the annotated video ...")
        console.print(f"  {replay(place, seen)}", highlight=False, markup=False, soft_wrap=True)
        lines = judge(seen, truth, outputs, exit_code=code, video=place.video)
        fine = conclude(console, place, lines)
        if keep and fine:
            write_config(place, truth, *ports, loop=True)
            keep_serving(console, place, Show(screen, Seen(), news))
    finally:
        mailbox.close()
    return 0 if fine else 1


def conclude(console: Console, place: Place, lines: list[Line]) -> bool:
    """Show the summary; returns whether all that was expected was seen."""
    show_verdict(console, lines)
    for what, where in {
        "annotated video": place.video,
        "mails": place.mails,
        "the appliance's log": place.log,
        "its configuration": place.config,
    }.items():
        console.print(f"  {what}: {where}", soft_wrap=True, highlight=False, markup=False)
    missing = [f"{line.what}: {line.missing}" for line in lines if line.missing]
    if missing:
        console.print("\nThe demo did not see:", style="bold red")
        for item in missing:
            console.print(f"  {item}", soft_wrap=True, highlight=False, markup=False)
        return False
    console.print("\nThe demo saw everything it should have.", style="bold green")
    return True


def keep_serving(console: Console, place: Place, show: Show) -> None:
    """Guard the looping clip until Ctrl-C."""
    console.print("\nServing on, the clip loops; Ctrl-C ends it.")
    show.screen.health_url = ""
    with (
        contextlib.suppress(KeyboardInterrupt),
        running(Appliance(place.config, place.log, show.news.put)) as appliance,
    ):
        while not show.screen.health_url and show.watch(appliance, time.monotonic() + 0.5) is None:
            pass
        url = show.screen.health_url
        console.print(f"Health page: {url}   report: {url}health", soft_wrap=True, highlight=False)
        with show.screen:
            code = show.watch(appliance, None)
        console.print(
            f"kiosk-guard run ended with exit code {code}: {' '.join(appliance.complaints[-3:])}", markup=False
        )
    console.print("Stopped.")


def main() -> int:
    """Parse the options, prepare the folder, run the demo."""
    parser = argparse.ArgumentParser(description="Kiosk Guard at work on a lobby clip.")
    parser.add_argument("--out", type=Path, default=Path("demo-output"), metavar="DIR", help="where the results go")
    parser.add_argument("--keep", action="store_true", help="keep serving afterwards, until Ctrl-C")
    args = parser.parse_args()
    # Whatever the terminal's character set, a sign it lacks is no reason to stop; a file or a pipe has no width.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    if not COMMAND.exists():
        console.print(f"{COMMAND} does not exist: run this with the Python that kiosk-guard is installed in")
        return EX_UNAVAILABLE
    place = Place(args.out.absolute())
    try:
        place.prepare()
    except OSError as error:
        console.print(f"cannot use the output folder: {error}", soft_wrap=True, markup=False)
        return EX_CANTCREAT
    # An end from outside, or a closed terminal, is an end like Ctrl-C: the appliance is stopped in order.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        return demonstrate(console, place, keep=args.keep)
    except KeyboardInterrupt:
        console.print("interrupted")
        return EX_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
