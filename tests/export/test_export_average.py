"""The average of a model and its own fine-tuning."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
ultralytics = pytest.importorskip("ultralytics")

from edge.errors import EX_CONFIG, EX_NOINPUT  # noqa: E402 - after what may skip
from export.cli import main  # noqa: E402 - the same

pytestmark = pytest.mark.export


def as_source(network: Any, path: Path, *, seed: int) -> Path:
    from export.training import save_network  # noqa: PLC0415

    save_network(copy.deepcopy(network), path, provenance={"imgsz": 64, "seed": seed, "data": "mine"}, version="8")
    return path


@pytest.fixture
def pair(weights: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two models as train-model writes them: every float weight of the second is one higher."""
    network = ultralytics.YOLO(str(weights)).model.float()
    first = as_source(network, tmp_path / "first.pt", seed=1)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(1.0)
    return first, as_source(network, tmp_path / "second.pt", seed=2)


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(str(path), map_location="cpu", weights_only=False)
    return content


def test_each_weight_lies_between_the_two(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "both.pt"
    assert main(["average", str(pair[0]), str(pair[1]), "--share", "0.25", "--out", str(out)]) == 0
    first, mixed = load(pair[0]), load(out)
    before = dict(first["model"].float().named_parameters())
    for name, value in mixed["model"].float().named_parameters():
        torch.testing.assert_close(value, before[name] + 0.25, atol=2e-3, rtol=2e-3)
    assert mixed["provenance"]["seed"] == 2
    assert mixed["provenance"]["before_seed"] == 1
    assert mixed["provenance"]["averaged_share"] == 0.25
    assert str(tmp_path).encode() not in out.read_bytes()
    assert ultralytics.YOLO(str(out)).names == first["model"].names


def test_what_does_not_fit_is_refused(
    pair: tuple[Path, Path], weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "both.pt"
    other = load(pair[1])["model"]
    other.names = {**other.names, 0: "horse"}
    renamed = as_source(other, tmp_path / "renamed.pt", seed=3)
    torn = tmp_path / "torn.pt"
    torn.write_bytes(pair[0].read_bytes()[:500])
    for second, code, words in (
        (renamed, EX_CONFIG, "different classes"),
        (weights, EX_CONFIG, "not written by train-model"),
        (torn, EX_CONFIG, "cannot be read as weights"),
        (tmp_path / "absent.pt", EX_NOINPUT, "no such file"),
    ):
        assert main(["average", str(pair[0]), str(second), "--out", str(out)]) == code
        assert words in capsys.readouterr().err
    assert not out.exists()
    for place in (tmp_path, tmp_path / "absent" / "both.pt"):
        assert main(["average", str(pair[0]), str(pair[1]), "--out", str(place)]) == EX_NOINPUT
        assert "no file can be there" in capsys.readouterr().err


def test_a_full_disk_is_told_and_leaves_nothing(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torch tells it, which knows no better."""

    def full(_content: object, path: str) -> None:
        Path(path).write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 2033216 vs 2033112")

    monkeypatch.setattr("export.training.torch.save", full)
    out = tmp_path / "out" / "both.pt"
    out.parent.mkdir()
    assert main(["average", str(pair[0]), str(pair[1]), "--out", str(out)]) == EX_CONFIG
    assert "both.pt: cannot be written" in capsys.readouterr().err
    assert not list(out.parent.iterdir())
