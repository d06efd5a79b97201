"""An ONNX graph that can be changed, and the names of what goes in and out of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

INPUT_NAME = "image"
BOXES_NAME = "boxes"
SCORES_NAME = "scores"
FEATURES_NAME = "features"


class Graph:
    """A graph that is being changed: who makes what, who reads it, which constants there are."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self.nodes = model.graph.node
        self._shapes: dict[str, tuple[int, ...]] = {}

    @classmethod
    def copy_of(cls, model: onnx.ModelProto) -> Graph:
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        return cls(copied)

    @property
    def graph(self) -> Any:
        return self._model.graph

    def maker(self, name: str) -> Any:
        """The node that gives ``name``; None: an input or a constant."""
        return next((n for n in self.nodes if name in n.output), None)

    def readers(self, name: str) -> list[Any]:
        return [n for n in self.nodes if name in n.input]

    def constant(self, name: str) -> Any:
        """The value of a constant, an array; None: it is none."""
        found = next((t for t in self.graph.initializer if t.name == name), None)
        return None if found is None else numpy_helper.to_array(found)

    def add_constant(self, name: str, value: Any) -> str:
        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor, as inferred before the first change."""
        if not self._shapes:
            inferred = onnx.shape_inference.infer_shapes(self._model, data_prop=True).graph
            for value in (*inferred.value_info, *inferred.input, *inferred.output):
                self._shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        return self._shapes.get(name, ())

    def add(self, op_type: str, inputs: Sequence[str], output: str, **how: Any) -> None:
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], name=f"{output}/{op_type}", **how))

    def finished(self) -> onnx.ModelProto:
        """The graph in an order that runs, without what nobody reads any more.

        :raises ExportError: it is no sound graph; a fault of this module.
        """
        g = self.graph
        wanted = {o.name for o in g.output}
        while True:
            read = wanted | {name for n in g.node for name in n.input}
            useless = [n for n in g.node if not read & set(n.output)]
            if not useless:
                break
            for node in useless:
                g.node.remove(node)
        for tensor in [t for t in g.initializer if t.name not in read]:
            g.initializer.remove(tensor)
        del g.value_info[:]
        have = {"", *(i.name for i in g.input), *(t.name for t in g.initializer)}
        ordered, left = [], list(g.node)
        while left:
            later = []
            for node in left:
                if have.issuperset(node.input):
                    ordered.append(node)
                    have.update(node.output)
                else:
                    later.append(node)
            if len(later) == len(left):
                raise ExportError(f"the rearranged graph has a gap at {left[0].name}")
            left = later
        copies = [onnx.NodeProto.FromString(n.SerializeToString()) for n in ordered]
        del g.node[:]
        g.node.extend(copies)
        onnx.checker.check_model(self._model, full_check=True)
        return self._model
