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
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # -I leaves it out

from release_archive import Refused, check_release, unpack, version_order
from release_fetch import fetch_release
from service_probe import Probe
from update_box import COMPLETE_TAG, EX_BUSY, EX_OK, OWNER_TAG, Box, say, sync_folder

MAX_BOOTS = 2  # of a release on trial: one may be a power cut, or two
EX_REFUSED, EX_ROLLED_BACK, EX_NOPERM = 65, 70, 77


def install(box: Box, archive: Path, *, force: bool) -> int:
    """Everything from the file to the verdict."""
    if box.trial():
        raise Refused(f"release {box.current()} is still on trial: wait for its end", EX_BUSY)
    (box.opt / "releases").mkdir(parents=True, exist_ok=True)
    clear(box)
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


def begin_trial(box: Box, version: str) -> None:
    """On record before ``current`` follows."""
    told = {"version": version, "previous": box.current(), "boots": 0, "was_ready": box.probe.ready()}
    box.state.mkdir(parents=True, exist_ok=True)
    box.write("trial.json", told)


def judge(box: Box) -> int:
    """Watch the trial to its end. Ready within ``ready_s`` and from then on, but for moments, until ``trial_s``.

    A box that was not ready before (its camera is away) is asked only whether it lives.
    """
    trial = box.trial()
    if not trial:
        return EX_OK
    began = last_good = time.monotonic()
    question = "readyz" if trial.get("was_ready", True) else "livez"
    say(f"release {trial['version']} is on trial for {box.trial_s / 60:g} min, judged by /{question}")
    good = False
    while not good or time.monotonic() - began < box.trial_s:
        good, why = box.probe.ask(question)
        now = time.monotonic()
        last_good = now if good else last_good
        if now - last_good > box.ready_s:
            return roll_back(box, f"/{question} was not good for {now - last_good:.0f} s: {why}")
        time.sleep(min(2.0, box.ready_s / 4))
    box.forget("trial.json")
    say(f"release {trial['version']} has proved itself")
    prune(box)
    return EX_OK


def roll_back(box: Box, why: str) -> int:
    """What failed is on record first, so that it is neither tried nor fetched again; then the way back."""
    bad = box.current()
    back = str(box.trial().get("previous") or box.current("previous"))
    if not box.complete(back) or back == bad:
        say(f"release {bad} failed ({why}), and there is no whole release to go back to")
        return EX_ROLLED_BACK
    box.write("failed.json", {**box.read("failed.json"), bad: why})
    box.point("current", back)
    box.forget("trial.json")
    say(f"release {bad} is taken back: {why}; {back} runs again")
    box.service("restart")
    return EX_ROLLED_BACK


def boot(box: Box) -> int:
    """Before the service starts. Finishes what a power cut left half done."""
    clear(box)
    trial = box.trial()
    if not trial:
        if box.read("trial.json"):
            box.forget("trial.json")  # its switch, or its way back, came first
        return EX_OK
    boots = int(trial.get("boots", 0)) + 1
    box.write("trial.json", {**trial, "boots": boots})
    cut_off = box.read("failed.json").get(box.current())
    if boots > MAX_BOOTS or cut_off:
        box.systemctl = "true"  # the service is about to start anyway
        return roll_back(box, str(cut_off or f"the box started {boots} times during its trial"))
    return EX_OK


def clear(box: Box) -> None:
    """Remove what is unfinished."""
    shutil.rmtree(box.opt / ".incoming", ignore_errors=True)
    for place in (box.opt / "releases").glob("*"):
        if (place / OWNER_TAG).exists() and not box.complete(place.name) and place.name != box.current():
            shutil.rmtree(place)


def prune(box: Box) -> None:
    """SD cards are small: only what runs and what ran before stays."""
    for place in (box.opt / "releases").glob("*"):
        if (place / OWNER_TAG).exists() and place.name not in {box.current(), box.current("previous")}:
            shutil.rmtree(place)


def status(box: Box) -> int:
    """In lines, for people."""
    trial, failed = box.trial(), box.read("failed.json")
    say(f"current {box.current() or 'none'}, previous {box.current('previous') or 'none'}")
    say(f"on trial, started {trial['boots']} times" if trial else "nothing is on trial")
    for version, why in failed.items():
        say(f"failed: {version}: {why}")
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
    """A file that is refused is not kept: the next one may be whole."""
    got = fetch_release(box.etc / "update.conf", box.state, {box.current(), *box.read("failed.json")})
    if got is None:
        return EX_OK
    try:
        return install(box, got, force=False)
    finally:
        got.unlink(missing_ok=True)


def run(command: list[str]) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        raise Refused(f"{' '.join(command[:3])} ... failed (see above); the old release runs on")


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
    try:
        return act(box, args)
    except Refused as refusal:
        say(f"error: {refusal}")
        return refusal.code
    except PermissionError as error:
        say(f"error: {error.filename}: {error.strerror}: kiosk-guard-update is root's")
        return EX_NOPERM
    except OSError as error:
        say(f"error: {error}; the old release runs on")
        return EX_REFUSED


if __name__ == "__main__":
    sys.exit(main())
