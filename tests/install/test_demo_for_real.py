"""install.sh --demo as a newcomer runs it: a clean copy in a path with a space, downloads and all (minutes)."""

from __future__ import annotations

import email
import email.policy
import shutil
import subprocess
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PROMISED_S = 180


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is committed, and nothing else."""
    path = tmp_path_factory.mktemp("newcomer") / "kiosk guard"
    subprocess.run(["git", "clone", "--quiet", REPO, path], check=True)
    return path


def test_the_demo_sees_everything_and_again_without_downloads(clone: Path, tmp_path: Path) -> None:
    out = tmp_path / "what I saw"
    began = time.monotonic()
    done = _demo(clone, out)
    took_s = time.monotonic() - began
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "The demo saw everything it should have." in done.stdout
    assert took_s < PROMISED_S
    mails = sorted((out / "mails").glob("*.eml"))
    assert len(mails) == 2
    for mail in mails:
        message = email.message_from_bytes(mail.read_bytes(), policy=email.policy.default)
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
    assert len(list((out / "mails").glob("*.eml"))) == 2


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
