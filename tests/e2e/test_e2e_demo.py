"""The demo's own parts: what it would say if something were missing, and that it cleans up behind itself."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from e2e.appliance_process import CLIP, REPO, TRUTH

from edge.config import load

if TYPE_CHECKING:
    from pathlib import Path

DEMO = REPO / "firmware_config" / "demo"


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The demo's modules, found as the script finds them."""
    monkeypatch.syspath_prepend(str(DEMO))
    names = ("mailbox", "place", "verdict")
    return SimpleNamespace(**{name: importlib.import_module(f"demo_{name}") for name in names})


def test_the_template_becomes_a_good_configuration(parts: Any, tmp_path: Path) -> None:
    place = parts.place.Place(tmp_path / 'an "odd" folder')
    place.prepare()
    parts.place.write_config(place, TRUTH, 2525, 8787, loop=True)
    config = load(place.config)
    assert config.cameras[0].source == str(CLIP)
    assert config.cameras[0].loop
    assert (config.email.port, config.health.port) == (2525, 8787)
    assert [z.name for z in config.zones] == [z["name"] for z in TRUTH["zones"]]
    # The ground truth is made for these thresholds.
    assert config.rules.loitering.dwell_s == TRUTH["config"]["loitering"]["dwell_s"]
    assert config.rules.restricted_area.dwell_s == TRUTH["config"]["restricted_area"]["dwell_s"]


def test_an_output_folder_is_cleared_of_the_demo_s_own_files_only(parts: Any, tmp_path: Path) -> None:
    place = parts.place.Place(tmp_path)
    place.prepare()
    (place.mails / "001.eml").write_text("old")
    place.log.write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    place.prepare()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".kiosk-guard-demo", "mails", "notes.txt"]
    assert list(place.mails.iterdir()) == []


def test_a_foreign_folder_is_refused(parts: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not the demo's"):
        parts.place.Place(tmp_path).prepare()
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


class _Perfect:
    """Everything as it should be; a test spoils one thing."""

    def __init__(self, parts: Any, folder: Path) -> None:
        mail = parts.mailbox.Mail("subject", ("desk@bank.example",), folder / "001.eml", (folder / "001-1.jpg",))
        wanted = TRUTH["expected"]
        self.video = folder / "annotated.webm"
        self.video.write_bytes(b"film")
        self.exit_code: int | None = 0
        self.seen = parts.verdict.Seen(
            incidents=[
                {"change": change, "rule": e["rule"], "zone": e["zone"]}
                for e in wanted
                for change in ("opened", "closed")
            ],
            pins=[("siren", True), ("siren", False)],
            mails=[mail for _ in wanted],
            frames_judged=450,
            watched_s=45.0,
            health_status="warn",
            replayed=[
                {"change": "opened", "rule": e["rule"], "zone": e["zone"], "t_s": e["opens_s"] + 0.9} for e in wanted
            ],
        )
        self._judge = parts.verdict.judge

    def missing(self) -> list[str]:
        lines = self._judge(self.seen, TRUTH, ["siren"], exit_code=self.exit_code, video=self.video)
        return [line.what for line in lines if line.missing]


@pytest.fixture
def perfect(parts: Any, tmp_path: Path) -> _Perfect:
    return _Perfect(parts, tmp_path)


def test_a_perfect_demo_misses_nothing(perfect: _Perfect) -> None:
    assert perfect.missing() == []


def test_whatever_is_missing_is_told(perfect: _Perfect, parts: Any, tmp_path: Path) -> None:
    seen = perfect.seen

    def spoil(name: str, value: object, *expected: str) -> None:
        kept = getattr(seen, name)
        setattr(seen, name, value)
        assert perfect.missing() == list(expected), name
        setattr(seen, name, kept)

    spoil("frames_judged", 44, "frames judged, live")
    spoil("health_status", "fail", "health")
    spoil("health_status", "", "health")
    spoil("incidents", seen.incidents[:-2], "incidents opened, live", "incidents closed, live")
    spoil("incidents", [*seen.incidents, seen.incidents[0]], "incidents opened, live")
    spoil("pins", [("siren", True)], "pin changes, siren")
    spoil("pins", [], "pin changes, siren")
    spoil("mails", seen.mails[1:], "opening mails, with pictures")
    spoil("mails", seen.mails * 2, "opening mails, with pictures")
    bare = parts.mailbox.Mail("subject", ("desk@bank.example",), tmp_path, ())
    spoil("mails", [bare, *seen.mails[1:]], "opening mails, with pictures")
    late = [{**c, "t_s": c["t_s"] + 0.2} for c in seen.replayed]  # 1.1 s
    spoil("replayed", late, "incidents opened, replay")
    spoil("replayed", [*seen.replayed, {**seen.replayed[0], "rule": "crowding"}], "incidents opened, replay")
    spoil("replayed", [], "incidents opened, replay")
    perfect.exit_code = None
    assert perfect.missing() == ["kiosk-guard run"]
    perfect.exit_code = 0
    perfect.video.unlink()
    assert perfect.missing() == ["annotated video"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    demo = subprocess.Popen(
        [sys.executable, DEMO / "demo.py", "--out", out],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background job ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no other thread is here
    )
    try:
        end = time.monotonic() + 30
        log = out / "log.jsonl"
        while not (log.exists() and '"started"' in log.read_text()):
            assert time.monotonic() < end
            time.sleep(0.05)
        demo.send_signal(number)
        words, _ = demo.communicate(timeout=20)
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
            demo.wait()
    assert demo.returncode == 130
    assert "interrupted" in words
    said = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert [e["reason"] for e in said if e.get("event") == "stopped"] == ["signal"]
