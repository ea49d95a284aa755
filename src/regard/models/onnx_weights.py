"""Weights out of an ONNX file under the names that the exported modules had.

Exporters fold linear weights into anonymous initialisers (`onnx::MatMul_1966`), but the MatMul node
that uses one is named by its module path, so no guess about the order of the graph is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.errors import DataError, ExtraError


def onnx_weights(path: Path) -> dict[str, Tensor]:
    """Name -> tensor: named initialisers as they are; `<module path>.weight` for MatMul operands
    (transposed, as `nn.Linear` holds them); `<node path>#<operand>` for other anonymous ones."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise ExtraError.missing("onnx", "demo", "reading weights out of an ONNX file") from error
    graph = onnx.load(str(path)).graph
    arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    named = {name: array for name, array in arrays.items() if not name.startswith("onnx::")}
    for node in graph.node:
        for operand, name in enumerate(node.input):
            if name in arrays and name.startswith("onnx::"):
                place, array = _place(node, operand, arrays[name])
                if place in named and not np.array_equal(named[place], array):
                    raise DataError(
                        f"two weights of '{path}' would both be called '{place}'",
                        hint="export the model again, with names for its nodes",
                    )
                named[place] = array
    return {name: torch.from_numpy(np.array(array)) for name, array in named.items()}


def _place(node: Any, operand: int, array: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    path = node.name.strip("/").replace("/", ".")
    if node.op_type == "MatMul":
        return path.removesuffix(".MatMul") + ".weight", array.T
    return f"{path}#{operand}", array
