"""The hash locks that releases are made from follow what pyproject.toml asks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
LOCKS = sorted((REPO / "firmware_config" / "release").glob("requirements-cp*.txt"))


def locked(path: Path) -> dict[str, tuple[int, ...]]:
    found = re.findall(r"^([a-z0-9-]+)==([0-9.]+)\S* \\$", path.read_text(), re.MULTILINE)
    return {name: numbers(version) for name, version in found}


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in version.strip(".").split("."))


def wanted() -> dict[str, tuple[int, ...]]:
    """Name and least version of each dependency without a marker."""
    text = (REPO / "pyproject.toml").read_text()
    block = text.split("\ndependencies = [", 1)[1].split("\n]", 1)[0]
    found = re.findall(r'^\s*"([A-Za-z0-9-]+)(?:\[[a-z,]+\])?>=([0-9.]+)[^;"]*"', block, re.MULTILINE)
    return {name.lower(): numbers(version) for name, version in found}


def test_there_is_one_lock_for_each_python() -> None:
    assert [path.stem for path in LOCKS] == [f"requirements-cp3{n}" for n in (10, 11, 12, 13)]
    assert len(wanted()) >= 9


@pytest.mark.parametrize("path", LOCKS, ids=lambda p: p.stem)
def test_a_lock_holds_all_that_is_asked_for_each_with_hashes(path: Path) -> None:
    have = locked(path)
    for name, least in wanted().items():
        assert name in have, f"{name} is missing: run make_release.py lock"
        assert have[name] >= least, f"{name} is too old: run make_release.py lock"
    assert "://" not in path.read_text(), "a lock names versions and hashes, not places"
    packages = re.findall(
        r"^[a-z0-9-]+==[^\\]*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", path.read_text(), re.MULTILINE
    )
    assert len(packages) == len(re.findall(r"^[a-z0-9-]+==", path.read_text(), re.MULTILINE))
