"""From trained weights to the float graph that a kiosk runs: camera bytes in, boxes and scores out."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxslim
import torch
from torch import nn

from export.arrange import tidy
from export.errors import ExportError, MissingInputError
from export.graph import BOXES_NAME, INPUT_NAME, SCORES_NAME
from export.stages import map_sha256
from export.weights import load_weights

# Old enough for every onnxruntime we support, new enough for per-channel QuantizeLinear.
OPSET = 17


@dataclass(frozen=True, slots=True)
class FloatModel:
    """A float graph with its facts. Input uint8 (1, height, width, 3) BGR, already letterboxed.

    ``anchors``: columns of both outputs, float32 (1, 4, anchors) and (1, classes, anchors). ``map_sha256``: whose map it
    makes, as :func:`export.stages.map_sha256` has it.
    """

    graph: onnx.ModelProto
    classes: tuple[str, ...]
    height: int
    width: int
    anchors: int
    map_sha256: str


class _Distances(nn.Module):  # type: ignore[misc] # torch is not there when types are checked
    """The head's distribution layer: expected bin of each side's distribution, (1, 4 * bins, A) to (1, 4, A).

    The same as softmax and weighted sum, as a quotient of two sums of exponentials: onnxruntime's softmax over so
    short an axis takes a tenth of the whole INT8 inference, this takes a hundredth.
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins
        self.register_buffer("sums", torch.stack((torch.arange(bins).float(), torch.ones(bins))))

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        anchors = logits.shape[2]
        # No maximum is subtracted: logits of trained heads are near 10, and the limit keeps the sums finite anyway.
        powers = torch.exp(logits.clamp(max=60.0)).view(1, 4, self.bins, anchors)
        weighted, total = torch.matmul(self.sums, powers).split(1, dim=2)
        return (weighted / total).view(1, 4, anchors)


class _KioskGraph(nn.Module):  # type: ignore[misc] # torch is not there when types are checked
    """Puts the camera's byte order in front of an ultralytics detection network and splits its answer."""

    def __init__(self, network: nn.Module, class_count: int) -> None:
        super().__init__()
        self.network = network
        self.class_count = class_count

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = self.network(image.permute(0, 3, 1, 2).float() * (1.0 / 255.0))
        y = out[0] if isinstance(out, tuple) else out
        boxes, scores = torch.split(y, [4, self.class_count], dim=1)
        return boxes, scores


def load_network(weights: Path) -> tuple[nn.Module, tuple[str, ...], str]:
    """The detection network of a weights file, ready for inference, its class names in order, and its map's hash.

    :raises MissingInputError: no such file.
    :raises ExportError: it is no ultralytics detection model of the YOLOv8 kind.
    """
    if not weights.is_file():
        # ultralytics would try to download a file of that name.
        raise MissingInputError(f"{weights}: no such file", hint="name the weights to export, for example yolov8n.pt")
    model = load_weights(weights, to_be="exported")
    network: nn.Module = model.model
    names = tuple(str(name) for _, name in sorted(model.names.items()))
    if len(set(names)) != len(names) or not all(1 <= len(name) <= 100 for name in names):
        raise ExportError(
            f"{weights}: its classes: {', '.join(names)[:200]}",
            hint="each needs a name of its own, up to 100 characters",
        )
    maps = map_sha256(network)
    network = network.float().eval().fuse(verbose=False)
    head = network.model[-1]
    if getattr(head, "end2end", False):
        raise ExportError(f"{weights}: its head suppresses boxes itself", hint="export a model of the YOLOv8 kind")
    head.export = True
    if not isinstance(head.dfl, nn.Identity):
        head.dfl = _Distances(head.reg_max)
    return network, names, maps


def _take_bgr(network: nn.Module) -> None:
    """Let the first convolution read B, G, R: its weights are turned round, which costs nothing at run time."""
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    if first.in_channels != 3:
        raise ExportError(
            f"the model reads {first.in_channels} channels", hint="only three-channel models are supported"
        )
    with torch.no_grad():
        first.weight.copy_(first.weight.flip(1))


def export_float(weights: Path, *, height: int, width: int) -> FloatModel:
    """Export ``weights`` for one letterboxed picture of ``height`` x ``width`` pixels, both multiples of 32.

    :raises MissingInputError: no such file.
    :raises ExportError: the file or the size cannot be exported.
    """
    network, classes, maps = load_network(weights)
    _take_bgr(network)
    wrapped = _KioskGraph(network, len(classes)).eval()
    sample = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    with torch.no_grad():
        boxes, scores = wrapped(sample)  # also settles the anchor grid, which becomes a constant of the graph
    if boxes.shape[1] != 4 or scores.shape[1] != len(classes):
        raise ExportError(f"{weights}: unexpected output {tuple(boxes.shape)}, {tuple(scores.shape)}")
    graph = tidy(_slim(_to_onnx(wrapped, sample)))
    return FloatModel(
        graph=graph, classes=classes, height=height, width=width, anchors=int(boxes.shape[2]), map_sha256=maps
    )


def _to_onnx(wrapped: nn.Module, sample: torch.Tensor) -> Any:
    with tempfile.TemporaryDirectory(prefix="export-model-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is named legacy; it needs no further package
        path = Path(folder) / "float.onnx"
        torch.onnx.export(
            wrapped,
            (sample,),
            str(path),
            input_names=[INPUT_NAME],
            output_names=[BOXES_NAME, SCORES_NAME],
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load(str(path))


def _slim(graph: Any) -> Any:
    slimmed = onnxslim.slim(graph)
    if slimmed is None:
        raise ExportError("onnxslim could not simplify the graph")
    onnx.checker.check_model(slimmed, full_check=True)
    return slimmed
