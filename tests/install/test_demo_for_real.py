"""install.sh --demo as a newcomer runs it: a clean copy in a path with a space, downloads and all (minutes)."""

from __future__ import annotations

import email
import email.policy
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from email.message import EmailMessage

REPO = Path(__file__).resolve().parents[2]
PROMISED_S = 180


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is committed, and nothing else."""
    path = tmp_path_factory.mktemp("newcomer") / "kiosk guard"
    subprocess.run(["git", "clone", "--quiet", REPO, path], check=True)
    return path


def _opening_mails(out: Path) -> dict[Path, EmailMessage]:
    """The mails that open an incident; contact sheets and closings follow them in their threads."""
    mails = {
        path: email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted((out / "mails").glob("*.eml"))
    }
    return {path: mail for path, mail in mails.items() if mail["X-Kiosk-Guard"].split()[0] == "opened"}


def test_the_demo_sees_everything_and_again_without_downloads(clone: Path, tmp_path: Path) -> None:
    out = tmp_path / "what I saw"
    began = time.monotonic()
    done = _demo(clone, out)
    took_s = time.monotonic() - began
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "The demo saw everything it should have." in done.stdout
    assert took_s < PROMISED_S
    mails = _opening_mails(out)
    assert len(mails) == 2
    for mail, message in mails.items():
        assert message["To"] == "security-desk@bank.example"
        assert sorted((out / "mails").glob(f"{mail.stem}-*.jpg"))
    assert (out / "annotated.webm").stat().st_size > 100_000
    assert not list((clone / ".venv").rglob("torch"))
    assert (
        subprocess.run(["git", "status", "--porcelain"], cwd=clone, check=True, capture_output=True, text=True).stdout
        == ""
    )

    again = _demo(clone, out)
    assert again.returncode == 0, again.stdout
    assert "already installed" in again.stdout
    assert len(_opening_mails(out)) == 2


def test_an_output_folder_of_somebody_else_s_is_not_touched(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = _demo(clone, tmp_path)
    assert done.returncode == 73
    assert "not the demo's" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def _demo(clone: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("sh") or "sh", clone / "install.sh", "--demo", "--out", out],
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
