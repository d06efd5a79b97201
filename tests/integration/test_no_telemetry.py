"""onnxruntime neither reports to its maker nor collects anything to report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import edge

LOAD = """
from edge.detect.onnx import OnnxDetector
from edge.models.shipped import shipped_bundle
OnnxDetector(shipped_bundle(), threads=1)
"""
# onnxruntime itself keeps quiet where it believes itself under test.
QUIET = ("CI", "ORT_", "GITHUB_", "TF_BUILD", "BUILD_", "JENKINS", "TEAMCITY", "TRAVIS")


@pytest.mark.parametrize("variable", [None, "0"])
def test_loading_a_model_leaves_nothing_in_the_home_directory(tmp_path: Path, variable: str | None) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith((*QUIET, "XDG_", "PYTEST"))}
    env |= {"HOME": str(tmp_path), "PYTHONPATH": str(Path(edge.__file__).parents[1])}
    if variable is not None:  # whatever the surroundings say
        env["ORT_DISABLE_TELEMETRY"] = variable
    subprocess.run([sys.executable, "-c", LOAD], env=env, cwd=tmp_path, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
