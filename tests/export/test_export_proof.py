"""A bundle proves itself: every byte known, signed by the operator, and its golden pictures answered as where it was made."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("cryptography")
pytest.importorskip("ultralytics")

from edge.detect.manifest import read_manifest
from edge.detect.onnx import OnnxDetector
from edge.errors import EX_CONFIG, EX_NOINPUT, ManifestError
from edge.models.golden import compare_golden, verify_golden
from edge.models.signature import SIGNATURE_NAME, read_public_key, verify_files, verify_signature
from edge.types import Detections, Frame
from export.bundle import write_bundle
from export.cli import main
from export.golden import golden_files, read_pictures
from export.signing import read_key, sign

pytestmark = pytest.mark.export

SHIPPED = Path(__file__).parents[2] / "weights" / "kiosk"
FOOTAGE = Path(__file__).parents[2] / "firmware_config" / "demo" / "lobby.mp4"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "operator"
    assert main(["keygen", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def made(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model with golden pictures of our own clip and a signature."""
    out = tmp_path_factory.mktemp("made") / "bundle"
    files = golden_files(read_pictures(FOOTAGE), OnnxDetector(SHIPPED, threads=1))
    told = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    manifest = read_manifest(SHIPPED).model_copy(update={"files": told})
    files[SIGNATURE_NAME] = sign(manifest.to_json().encode(), read_key(keys))
    write_bundle(out, manifest, (SHIPPED / "model.onnx").read_bytes(), files)
    return out


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def test_a_whole_signed_bundle_is_taken(bundle: Path, keys: Path) -> None:
    trusted = [read_public_key(keys.with_name("operator.pub"))]
    assert verify_signature(bundle, trusted).label == read_manifest(SHIPPED).label
    assert keys.stat().st_mode & 0o077 == 0, "others may read the private key"


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "golden/2.png", "golden/expected.json"])
def test_one_changed_byte_anywhere_is_refused(bundle: Path, keys: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(bytes(content))
    with pytest.raises(ManifestError, match=r"manifest\.json|signature" if name == "manifest.json" else name):
        verify_signature(bundle, [read_public_key(keys.with_name("operator.pub"))])


def test_missing_added_and_linked_files_are_refused(bundle: Path) -> None:
    verify_files(bundle)
    (bundle / "golden" / "more.png").write_bytes(b"x")
    with pytest.raises(ManifestError, match=r"golden/more\.png: the manifest does not know"):
        verify_files(bundle)
    (bundle / "golden" / "more.png").unlink()
    (bundle / "golden" / "1.png").rename(bundle.parent / "1.png")
    with pytest.raises(ManifestError, match=r"golden/1\.png: cannot be read"):
        verify_files(bundle)
    (bundle / "golden" / "1.png").symlink_to(bundle.parent / "1.png")
    with pytest.raises(ManifestError, match="a link"):
        verify_files(bundle)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "the bundle is not signed"),
        (b"", "no signature that can be read"),
        (b"[]", "no signature that can be read"),
        (b'{"algorithm": "Ed25519", "public_key": "AA", "signature": "&"}', "no signature that can be read"),
        (b'{"algorithm": "none", "public_key": "AAAA", "signature": "AAAA"}', "a key that is not trusted"),
    ],
)
def test_a_signature_that_is_none_is_refused(bundle: Path, keys: Path, content: bytes | None, words: str) -> None:
    (bundle / SIGNATURE_NAME).unlink()
    if content is not None:
        (bundle / SIGNATURE_NAME).write_bytes(content)
    with pytest.raises(ManifestError, match=words):
        verify_signature(bundle, [read_public_key(keys.with_name("operator.pub"))])


def test_another_operator_s_key_is_not_ours(bundle: Path, tmp_path: Path) -> None:
    assert main(["keygen", str(tmp_path / "other")]) == 0
    theirs = read_public_key(tmp_path / "other.pub")
    with pytest.raises(ManifestError, match="not trusted"):
        verify_signature(bundle, [theirs])
    with pytest.raises(ManifestError, match="not trusted"):
        verify_signature(bundle, [])


def test_a_forged_signature_under_our_key_s_name_is_refused(bundle: Path, keys: Path, tmp_path: Path) -> None:
    assert main(["keygen", str(tmp_path / "other")]) == 0
    told = json.loads((bundle / SIGNATURE_NAME).read_text())
    forged = json.loads(sign((bundle / "manifest.json").read_bytes(), read_key(tmp_path / "other")))
    (bundle / SIGNATURE_NAME).write_text(json.dumps({**told, "signature": forged["signature"]}))
    with pytest.raises(ManifestError, match="does not fit the manifest"):
        verify_signature(bundle, [read_public_key(keys.with_name("operator.pub"))])


def test_keys_are_never_overwritten_and_foreign_ones_refused(
    keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = keys.read_bytes()
    assert main(["keygen", str(keys)]) == EX_CONFIG
    assert "is there already" in capsys.readouterr().err
    assert keys.read_bytes() == before
    (tmp_path / "text").write_text("no key")
    common = ["--data", "data.yaml", "--out", str(tmp_path / "out")]
    (tmp_path / "some.pt").write_text("")
    assert main([str(tmp_path / "some.pt"), *common, "--key", str(tmp_path / "text")]) == EX_CONFIG
    assert "no private key that can be read" in capsys.readouterr().err
    assert main([str(tmp_path / "some.pt"), *common, "--key", str(tmp_path / "absent")]) == EX_NOINPUT


def test_half_a_key_is_never_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A public key of that name, a card that is full: the next attempt must not find a private key without its other half."""
    public = tmp_path / "new.pub"
    public.write_text("another's")
    assert main(["keygen", str(tmp_path / "new")]) == EX_CONFIG
    assert "new.pub: is there already" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["new.pub"]
    assert public.read_text() == "another's"


def test_the_golden_pictures_are_answered_as_expected(bundle: Path) -> None:
    detector = OnnxDetector(bundle, threads=1)
    result = verify_golden(bundle, detector, thresholds=detector.manifest.thresholds)
    assert result.pictures == 4
    assert result.boxes > 0, "nobody is in any golden picture"
    assert result.worst_score < 0.001


class Skewed:
    """The bundle's detector, with an answer that is not quite its own."""

    def __init__(self, inner: OnnxDetector, *, score: float = 0.0, shift_px: float = 0.0, ghost: float = 0.0) -> None:
        self._inner = inner
        self._score, self._shift, self._ghost = score, shift_px, ghost

    @property
    def classes(self) -> tuple[str, ...]:
        return self._inner.classes

    @property
    def model(self) -> str:
        return self._inner.model

    @property
    def map_name(self) -> str:
        return self._inner.map_name

    def detect(self, frame: Frame) -> Detections:
        found = self._inner.detect(frame)
        xyxy, score, class_id = (
            found.xyxy + np.float32(self._shift),
            found.score + np.float32(self._score),
            found.class_id,
        )
        if self._ghost:
            xyxy = np.concatenate((xyxy, np.array([[5, 5, 30, 60]], np.float32)))
            score = np.append(score, np.float32(self._ghost)).astype(np.float32)
            class_id = np.append(class_id, 0)
        order = np.argsort(-score, kind="stable")
        return Detections(xyxy[order], score[order].clip(0, 1), class_id[order])


@pytest.mark.parametrize(
    ("skew", "words"),
    [
        ({"score": -0.2}, "score .*expected|is not found"),
        ({"shift_px": 40.0}, "is not found"),
        ({"ghost": 0.6}, "person with score 0.600 .* is not expected"),
    ],
)
def test_another_answer_is_told(bundle: Path, skew: dict[str, float], words: str) -> None:
    inner = OnnxDetector(bundle, threads=1)
    with pytest.raises(ManifestError, match=words):
        verify_golden(bundle, Skewed(inner, **skew), thresholds=inner.manifest.thresholds)


def test_what_another_processor_rounds_is_forgiven(bundle: Path) -> None:
    inner = OnnxDetector(bundle, threads=1)
    thresholds = inner.manifest.thresholds
    near = Skewed(inner, score=-0.03, shift_px=0.5, ghost=thresholds["person"] + 0.05)
    assert compare_golden(bundle, near, thresholds=thresholds).faults == ()


def test_torn_golden_files_are_refused(bundle: Path) -> None:
    detector = OnnxDetector(bundle, threads=1)
    assert cv2.imread(str(bundle / "golden/1.png")) is not None
    (bundle / "golden/1.png").write_bytes(b"torn")
    with pytest.raises(ManifestError, match=r"1\.png: no readable picture"):
        verify_golden(bundle, detector, thresholds={})
    (bundle / "golden/expected.json").write_text('{"schema_version": 1}')
    with pytest.raises(ManifestError, match=r"expected\.json"):
        verify_golden(bundle, detector, thresholds={})
