"""The trial of a release: begun before the switch, judged by the service's own answers, ended well or by the way back."""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING

from service_probe import NO_ANSWER
from update_box import EX_OK, OWNER_TAG, Box, say

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BOOTS = 2  # of a release on trial: one may be a power cut, or two
EX_ROLLED_BACK = 70
_FAULT = "the box does not guard"  # how /readyz begins for a service that is up only to say what is wrong


def begin_trial(box: Box, version: str) -> None:
    """On record before ``current`` follows."""
    ready, why = box.probe.ask("readyz")
    told = {"version": version, "previous": box.current(), "boots": 0, "was_ready": ready}
    told["guarded"] = ready or not (_FAULT in why or why.startswith(NO_ANSWER))
    box.state.mkdir(parents=True, exist_ok=True)
    box.write("trial.json", told)


def finish_trial(box: Box) -> None:
    """One whose judge was stopped (its time was up, memory was short) goes on first.

    Whoever has the lock knows that nobody else is at it, and the box would wait for its next boot.
    """
    if box.trial():
        say(f"release {box.current()} is still on trial, and nobody judges it: that comes first")
        judge(box)


def judge(box: Box) -> int:
    """Watch the trial to its end. Ready within ``ready_s`` and from then on, but for moments, until ``trial_s``.

    A box that was not ready before (its camera is away) is asked only whether it lives; not in fault mode, though, if it
    was not there before.
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
        if good and question == "livez" and trial.get("guarded"):
            told = box.probe.ask("readyz")[1]
            good, why = (False, told) if _FAULT in told else (True, "")
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
    """What failed is on record first, so that it is neither tried nor fetched again; then the way back.

    A disk that takes no record (full, or read-only) is no reason to stay with a release that does not guard.
    """
    bad = box.current()
    back = str(box.trial().get("previous") or box.current("previous"))
    if not box.complete(back) or back == bad:
        say(f"release {bad} failed ({why}), and there is no whole release to go back to")
        return EX_ROLLED_BACK
    with _if_it_can("that it failed is not on record, and it may be tried again"):
        box.write("failed.json", {**box.read("failed.json"), bad: why})
    box.point("current", back)
    with _if_it_can("the next boot forgets the trial"):
        box.forget("trial.json")
    say(f"release {bad} is taken back: {why}; {back} runs again")
    box.service("restart")
    return EX_ROLLED_BACK


def boot(box: Box) -> int:
    """Before the service starts. Finishes what a power cut left half done."""
    with _if_it_can("it stays until the next boot"):
        clear(box)
    trial = box.trial()
    if not trial:
        if box.read("trial.json"):
            box.forget("trial.json")  # its switch, or its way back, came first
        return EX_OK
    boots = int(trial.get("boots", 0)) + 1
    with _if_it_can("this boot is not counted"):
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


@contextlib.contextmanager
def _if_it_can(else_: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        say(f"note: {error}: {else_}")
