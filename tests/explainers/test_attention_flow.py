from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from regard.errors import CallError, LayoutError
from regard.layout import Grid
from regard.testing.planted import PlantedViT, planted_pictures

from .matrices import attention_of
from .models import explained, values

X = planted_pictures([(2, 5)], dtype=torch.float64)


def test_of_one_layer_it_is_the_attention_itself() -> None:
    model = PlantedViT(seed=2).double()
    got = values(explained(model, X, "attention_flow", layers=1, residual=0.3))
    wanted = 0.7 * attention_of(model, X)[-1].mean(1)[:, 0, 1:]
    torch.testing.assert_close(got.flatten(1), wanted, atol=2e-7, rtol=0)


def by_linear_programme(matrices: np.ndarray, source: int, sink: int) -> float:
    """The most that leaves the source, with every node between passing on what it gets."""
    depth, n = matrices.shape[:2]
    flows = depth * n * n  # (layer, query, key)
    at = np.arange(flows).reshape(depth, n, n)
    gain = np.zeros(flows)
    gain[at[-1, source]] = -1.0
    closed = [at[-1, q].tolist() for q in range(n) if q != source]
    closed += [at[0, :, k].tolist() for k in range(n) if k != sink]
    bounds = matrices.reshape(-1).copy()
    bounds[[i for some in closed for i in some]] = 0.0
    balance = []
    for layer in range(1, depth):
        for node in range(n):
            row = np.zeros(flows)
            row[at[layer, :, node]], row[at[layer - 1, node]] = 1.0, -1.0
            balance.append(row)
    solved = linprog(gain, A_eq=np.array(balance), b_eq=np.zeros(len(balance)), bounds=[(0, b) for b in bounds])
    return float(-solved.fun)


def test_is_the_maximum_of_a_linear_programme() -> None:

    generator = np.random.default_rng(0)
    matrices = generator.dirichlet(np.ones(5) * 0.3, size=(3, 5))
    flows = import_module("regard.explainers.attention_flow")._flows
    got = flows(matrices, 0, Grid(2, 2, prefix=1), 0.0, 1000)
    for sink in range(1, 5):
        assert got[sink] == pytest.approx(by_linear_programme(matrices, 0, sink), abs=2e-6)
        assert got[sink] <= matrices[0, :, sink].sum() + 1e-6


def test_refusals() -> None:
    model = PlantedViT().double()
    with pytest.raises(CallError, match="a graph of 8450 edges, and one flow for each of 64 patches: over 100"):
        explained(model, X, "attention_flow", limit=100)
    with pytest.raises(CallError, match="3 layers: 2 lie on a grid"):
        explained(model, X, "attention_flow", layers=3)
    with pytest.raises(LayoutError, match="a residual of 2"):
        explained(model, X, "attention_flow", residual=2.0)
