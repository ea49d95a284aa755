"""Weights out of small graphs built by hand: names as the exported modules had them, matrices turned."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from regard.errors import DataError, ExtraError
from regard.models.onnx_weights import onnx_weights

onnx = pytest.importorskip("onnx")

RNG = np.random.default_rng(0)
W1 = RNG.normal(size=(3, 4)).astype(np.float32)  # as ONNX multiplies: x [.., 3] @ W1
W2 = RNG.normal(size=(4, 2)).astype(np.float32)
BIAS = RNG.normal(size=4).astype(np.float32)
TABLE = RNG.normal(size=(1, 5, 3)).astype(np.float32)


def save(path: Path, nodes: list[Any], weights: dict[str, Any]) -> Path:
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)]), str(path))
    return path


def node(kind: str, inputs: list[str], output: str, name: str) -> Any:
    return onnx.helper.make_node(kind, inputs, [output], name=name)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return save(
        tmp_path / "tiny.onnx",
        [
            node("MatMul", ["x", "onnx::MatMul_7"], "a", "/encoder/layer.0/fc1/MatMul"),
            node("Add", ["encoder.layer.0.fc1.bias", "a"], "b", "/encoder/layer.0/fc1/Add"),
            node("MatMul", ["b", "onnx::MatMul_9"], "c", "/encoder/layer.0/fc2/MatMul"),
            node("Concat", ["c", "onnx::Concat_3"], "y", "/embed/Concat_1"),
        ],
        {"onnx::MatMul_7": W1, "onnx::MatMul_9": W2, "encoder.layer.0.fc1.bias": BIAS, "onnx::Concat_3": TABLE},
    )


def test_names_and_values(tiny: Path) -> None:
    found = onnx_weights(tiny)
    assert set(found) == {
        "encoder.layer.0.fc1.weight",
        "encoder.layer.0.fc1.bias",
        "encoder.layer.0.fc2.weight",
        "embed.Concat_1#1",
    }
    assert torch.equal(found["encoder.layer.0.fc1.weight"], torch.from_numpy(W1.T.copy()))
    assert torch.equal(found["encoder.layer.0.fc2.weight"], torch.from_numpy(W2.T.copy()))
    assert torch.equal(found["encoder.layer.0.fc1.bias"], torch.from_numpy(BIAS))
    assert torch.equal(found["embed.Concat_1#1"], torch.from_numpy(TABLE))


def test_a_linear_layer_with_these_weights_computes_what_the_graph_does(tiny: Path) -> None:
    found = onnx_weights(tiny)
    x = RNG.normal(size=(6, 3)).astype(np.float32)
    ours = torch.nn.functional.linear(
        torch.from_numpy(x), found["encoder.layer.0.fc1.weight"], found["encoder.layer.0.fc1.bias"]
    )
    np.testing.assert_allclose(ours.numpy(), x @ W1 + BIAS, rtol=1e-5, atol=1e-6)


def test_the_tensors_may_be_written_to(tiny: Path) -> None:
    """NumPy views into the file's bytes are read-only, and torch would warn of undefined behaviour."""
    for tensor in onnx_weights(tiny).values():
        tensor.add_(1)


def test_a_shared_weight_has_both_names(tmp_path: Path) -> None:
    square = np.eye(3, dtype=np.float32)
    path = save(
        tmp_path / "a.onnx",
        [
            node("MatMul", ["x", "onnx::MatMul_1"], "a", "/one/MatMul"),
            node("MatMul", ["a", "onnx::MatMul_1"], "y", "/two/MatMul"),
        ],
        {"onnx::MatMul_1": square},
    )
    assert set(onnx_weights(path)) == {"one.weight", "two.weight"}


def test_nodes_without_names_are_refused_rather_than_mixed_up(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.onnx",
        [
            node("MatMul", ["x", "onnx::MatMul_1"], "a", ""),
            node("MatMul", ["a", "onnx::MatMul_2"], "y", ""),
        ],
        {"onnx::MatMul_1": W1, "onnx::MatMul_2": W2},
    )
    with pytest.raises(DataError, match=r"two weights of '.*a\.onnx' would both be called '\.weight'") as caught:
        onnx_weights(path)
    assert caught.value.hint == "export the model again, with names for its nodes"


def test_without_onnx_the_extra_is_named(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExtraError, match="reading weights out of an ONNX file needs the package 'onnx'") as caught:
        onnx_weights(tiny)
    assert "regard[demo]" in caught.value.hint
