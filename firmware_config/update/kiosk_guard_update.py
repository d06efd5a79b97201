#!/usr/bin/python3 -I
"""kiosk-guard-update: puts a signed release beside the running one, switches to it, judges it, and goes back.

It belongs to root and lies outside every release, so that no release can break the way back. Standard library of
Python 3.10 only; the signature is checked by the system's openssl.

    install FILE   check a release, build it, switch, and judge it
    fetch          the same with the release at the address in /etc/kiosk-guard/update.conf, if it is a new one
    boot           at every boot, before the service: a release on trial that boots too often is taken back
    judge          after a boot: go on with the trial
    rollback       to the release before, now
    status         what runs, what is on trial, what failed
    trial VERSION  for install.sh, just before its own switch: should the power fail, the next boot goes on judging

What a power cut may find: ``current`` names the old release or the new one, both whole. ``trial.json`` is written before
the switch, and says nothing as long as ``current`` does not name its release.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # -I leaves it out

from release_archive import Refused, check_release, unpack, version_order
from release_fetch import fetch_release
from service_probe import Probe
from update_box import COMPLETE_TAG, EX_OK, OWNER_TAG, Box, say, sync_folder
from update_refusals import Refusals
from update_trial import begin_trial, boot, clear, finish_trial, judge, prune, roll_back

EX_REFUSED, EX_NOROOM, EX_NOPERM, EX_INTERRUPTED = 65, 73, 77, 130
UNPACKED = 4  # a release takes so many times its archive: unpacked, and built of it
MARGIN_BYTES = 64 * 1024 * 1024


def install(box: Box, archive: Path, *, force: bool) -> int:
    """Everything from the file to the verdict."""
    finish_trial(box)
    (box.opt / "releases").mkdir(parents=True, exist_ok=True)
    clear(box)
    prune(box)  # one that was taken back
    check_room(box, archive)
    staged = box.opt / ".incoming"
    try:
        unpack(archive, staged)
        told = check_release(staged, box.etc / "release-keys")
        version = str(told["version"])
        check_fits(box, told, force=force)
        if version == box.current() and box.complete(version):
            say(f"release {version} runs already")
            return EX_OK
        build(box, staged, version)
    finally:
        clear(box)  # cards are small: what was refused does not wait for the next attempt or boot
    return switch(box, version)


def check_fits(box: Box, told: dict[str, Any], *, force: bool) -> None:
    version, target = str(told["version"]), told.get("target", {})
    here = {"machine": platform.machine(), "python": f"cp{sys.version_info[0]}{sys.version_info[1]}"}
    if target not in ({}, here):
        raise Refused(f"release {version} is made for {target}, this is {here}: fetch the one for it")
    reasons = []
    now = box.current()
    if now and version_order(version) < version_order(now):
        reasons.append(f"release {version} is older than {now}")
    failed = box.read("failed.json").get(version)
    if failed:
        reasons.append(f"release {version} failed here: {failed}")
    if reasons and not force:
        raise Refused("; ".join(reasons) + " (--force takes it all the same)")
    for reason in reasons:
        say(f"forced: {reason}")


def check_room(box: Box, archive: Path) -> None:
    needed = archive.stat().st_size * UNPACKED + MARGIN_BYTES
    free = shutil.disk_usage(box.opt).free
    if free < needed:
        told = f"{free >> 20} MiB are free for {box.opt}, the release needs {needed >> 20} MiB"
        raise Refused(f"{told}: make room, or use a larger card", EX_NOROOM, lasting=False)


def build(box: Box, staged: Path, version: str) -> None:
    """The release's own Python environment. It counts as there only when its tag is."""
    place = box.opt / "releases" / version
    if place.exists():
        if version == box.current("previous") and box.complete(version):
            raise Refused(f"release {version} is the one before this: `kiosk-guard-update rollback` takes it")
        if version in {box.current(), box.current("previous")}:
            raise Refused(f"{place} is in use but not whole: run install.sh")
        shutil.rmtree(place)
    say(f"building release {version} in {place}")
    wheels = staged / "wheelhouse"
    pip = sorted(wheels.glob("pip-*.whl"))
    if not pip:
        raise Refused("the release brings no pip")
    run([sys.executable, "-m", "venv", "--without-pip", str(place)])
    (place / OWNER_TAG).touch()
    python = str(place / "bin/python")
    # No network, no cache, nothing that is not named with its hash.
    options = ["--no-index", "--no-cache-dir", "--no-deps", "--require-hashes", "--disable-pip-version-check", "-q"]
    requirements = ["--find-links", str(wheels), "-r", str(staged / "requirements.txt")]
    run([python, f"{pip[-1]}/pip", "install", *options, *requirements])
    link_lgpio(python)
    if (staged / "setup").is_dir():
        shutil.copytree(staged / "setup", place / "setup")
    run([python, f"{pip[-1]}/pip", "check"])
    run([str(place / "bin/kiosk-guard"), "version"])
    check_config(box, place)
    os.sync()
    (place / COMPLETE_TAG).write_text(f"release {version}\n")
    sync_folder(place)
    os.sync()


def link_lgpio(python: str) -> None:
    """Where no wheel of it exists the pin driver is the system's, and nothing else of the system's is seen."""
    have = subprocess.run([python, "-c", "import lgpio"], check=False, capture_output=True).returncode == 0
    find = "import lgpio, _lgpio; print(lgpio.__file__); print(_lgpio.__file__)"
    found = subprocess.run([sys.executable, "-c", find], check=False, capture_output=True, text=True)
    if have or found.returncode != 0:
        return
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
    platlib = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    for line in found.stdout.split():
        (platlib / Path(line).name).symlink_to(line)


def check_config(box: Box, place: Path) -> None:
    """The new release must understand the configuration, unless the old one did not either."""
    config = box.etc / "kiosk-guard.toml"
    old = box.opt / "current/bin/kiosk-guard"

    def accepts(command: Path) -> bool:
        return subprocess.run([str(command), "check-config", str(config)], check=False).returncode == 0

    if config.exists() and not accepts(place / "bin/kiosk-guard") and old.exists() and accepts(old):
        raise Refused(f"the release does not accept {config}")


def switch(box: Box, version: str) -> int:
    """From here on a power cut is followed by ``boot`` and ``judge``."""
    old = box.current()
    begin_trial(box, version)
    say(f"switching from {old or 'nothing'} to {version}")
    if old:
        box.point("previous", old)
    box.point("current", version)
    box.service("restart")
    return judge(box)


def status(box: Box) -> int:
    """In lines, for people."""
    trial, failed = box.trial(), box.read("failed.json")
    say(f"current {box.current() or 'none'}, previous {box.current('previous') or 'none'}")
    say(f"on trial, started {trial['boots']} times" if trial else "nothing is on trial")
    for version, why in failed.items():
        say(f"failed: {version}: {why}")
    if refused := box.read("refused.json"):
        say(f"refused: {refused.get('name')}: {refused.get('why')}")
    return EX_OK


def act(box: Box, args: argparse.Namespace) -> int:
    """What the command line asks for."""
    if args.action == "status":
        return status(box)
    if args.action == "trial":  # whoever asks holds the lock
        begin_trial(box, str(args.file))
        return EX_OK
    with box.alone():
        if args.action == "install":
            return install(box, args.file, force=args.force)
        if args.action == "fetch":
            return fetch(box)
        if args.action == "rollback":
            bad = box.current()
            roll_back(box, "by command")
            return EX_OK if box.current() != bad else EX_REFUSED
        return {"boot": boot, "judge": judge}[args.action](box)


def fetch(box: Box) -> int:
    """A file that is refused is not kept, and not fetched again as long as nothing has changed here or there."""
    finish_trial(box)
    refusals = Refusals(box)
    got = fetch_release(box.etc / "update.conf", box.state, lambda version: unwanted(box, version), refusals)
    if got is None:
        return EX_OK
    try:
        return install(box, got, force=False)
    except Refused as refusal:
        if refusal.lasting:
            refusals.remember(str(refusal))
        raise
    finally:
        got.unlink(missing_ok=True)


def unwanted(box: Box, version: str) -> str:
    """Why it is not worth a download; empty: it is."""
    now, failed = box.current(), box.read("failed.json").get(version)
    if version == now:
        return "it runs already"
    if failed:
        return f"it failed here: {failed}"
    return f"{now} runs already" if now and version_order(version) < version_order(now) else ""


def interrupted(box: Box) -> int:
    """Ctrl-C. A trial that has begun must find its end all the same: the unit that judges after a boot takes it over."""
    if box.trial():
        subprocess.run([box.systemctl, "start", "--no-block", "kiosk-guard-update-judge.service"], check=False)
        say(f"interrupted; the trial of release {box.current()} goes on by itself: kiosk-guard-update status")
    else:
        say(f"interrupted; release {box.current() or 'none'} stays")
    return EX_INTERRUPTED


def run(command: list[str]) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        raise Refused(f"{' '.join(command[:3])} ... failed (see above); the old release runs on", lasting=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="kiosk-guard-update", description="Signed releases, switched and taken back.")
    parser.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    parser.add_argument("--systemctl", default="systemctl", help=argparse.SUPPRESS)
    parser.add_argument("--health", default="", metavar="URL", help="default: the control socket, else port 8787")
    parser.add_argument("--trial-s", type=float, default=900.0, metavar="S", help="default: 900")
    parser.add_argument("--ready-s", type=float, default=240.0, metavar="S", help="not ready for so long: back; 240")
    parser.add_argument("--force", action="store_true", help="also an older release, or one that failed here")
    parser.add_argument("action", choices=("install", "fetch", "boot", "judge", "rollback", "status", "trial"))
    parser.add_argument("file", nargs="?", type=Path)
    args = parser.parse_args()
    if args.action in {"install", "trial"} and args.file is None:
        parser.error(f"{args.action} needs a {'file' if args.action == 'install' else 'version'}")
    probe = Probe(args.health, socket=args.root / "run/kiosk-guard/control.sock")
    box = Box(args.root, systemctl=args.systemctl, probe=probe, trial_s=args.trial_s, ready_s=args.ready_s)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a connection that breaks in the middle ends nothing
    try:
        return act(box, args)
    except Refused as refusal:
        say(f"error: {refusal}")
        return refusal.code
    except PermissionError as error:
        say(f"error: {error.filename}: {error.strerror}: kiosk-guard-update is root's")
        return EX_NOPERM
    except OSError as error:
        say(f"error: {error}; release {box.current() or 'none'} stays")
        return EX_REFUSED
    except KeyboardInterrupt:
        return interrupted(box)


if __name__ == "__main__":
    sys.exit(main())
