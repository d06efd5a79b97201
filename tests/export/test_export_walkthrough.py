"""The walk-through runs from the first cell to the last, and what it shows stays small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ultralytics")

import export  # noqa: E402 - after what may skip

pytestmark = [pytest.mark.export, pytest.mark.usefixtures("trains")]

NOTEBOOK = Path(export.__file__).parent / "walkthrough.ipynb"
FOOTAGE = Path(__file__).parents[2] / "firmware_config" / "demo" / "lobby.mp4"


def test_the_walkthrough_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALK_OUT", str(tmp_path / "out"))
    monkeypatch.setenv("WALK_CLIP", str(FOOTAGE))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "out").mkdir()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error"]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 4
    said = "".join(o.get("text", "") for o in outputs)
    assert "points lost at least" in said
    assert "frames judged" in said
    size = len(json.dumps(outputs))
    assert size < 400_000, f"{size} bytes of outputs"


def test_the_kept_file_holds_no_path_and_is_small() -> None:
    text = NOTEBOOK.read_text()
    assert len(text) < 500_000
    assert "/home/" not in text
    assert "/tmp/" not in text  # noqa: S108
