"""Attention flow: the most that can flow from an output token to each patch through all layers at once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_flow
from torch import Tensor

from regard.core.record import Reading, Record
from regard.errors import CallError, LayoutError
from regard.layout import Grid
from regard.progress import track
from regard.registry import method
from regard.subjects.rows import call_of, query_of, readings_on_one_grid
from regard.subjects.values import MapValues

WHOLE = 10**7  # what a token may pass on, as flows are counted in whole numbers
LIMIT = 20_000  # edges: networks above this take minutes a picture


@method(
    "explainers",
    paper="rollout",
    claim="of one layer the attention itself; never above what any layer could pass; equals a linear programme",
    source="section 4, attention flow",
    needs={"attention"},
    differs="capacities are whole numbers of 1e-7; edges below `least` are left out",
    unit="share of attention",
)
def attention_flow(
    record: Record, *, query: int | None = None, residual: float = 0.5, layers: int | None = None, least: float = 0.0,
    limit: int = LIMIT,
) -> MapValues:  # fmt: skip
    """Maximum flow from one output token to each patch, in the graph of all layers.

    Capacities are (1 - residual) mean_h A_l + residual I, from each layer's queries to its keys; a patch's value is
    the maximum flow from `query` (None: CLS, which the model must have) at the top to that patch at the bottom.
    layers: only the last so many. Holds all matrices, and solves one flow a patch. Gives `[B, h, w]`.

    Raises CallError for a graph of more than `limit` edges. Source: Abnar and Zuidema 2020, "Quantifying Attention
    Flow in Transformers".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_vit")
    >>> flow = partial(rg.explainers.attention_flow, layers=1, limit=10**6)
    >>> x = rg.image("sample:coffee", like=model, patches=20)
    >>> rg.explain(model, x, method=flow).values.shape
    (1, 4, 6)
    """
    readings, grid = readings_on_one_grid(record)
    if not 0 <= residual <= 1:
        raise LayoutError(f"a residual of {residual} is no share", hint="0 .. 1; 0.5 in the paper")
    if layers is not None and not 1 <= layers <= len(readings):
        raise CallError(f"{layers} layers: {len(readings)} lie on a grid", hint=f"1 .. {len(readings)}")
    chosen = readings[-layers:] if layers else readings
    source = query_of(grid, query)
    stack = torch.stack([_mixed(reading, residual) for reading in chosen], 1).double().cpu()
    rows = [_flows(one.numpy(), source, grid, least, limit) for one in track(stack, "pictures")]
    heat = torch.from_numpy(np.stack(rows)).to(next(iter(chosen[0].values.values())))
    return MapValues(grid.to_map(heat), grid, site=f"{chosen[0].address} .. {chosen[-1].address}")


def _mixed(reading: Reading, residual: float) -> Tensor:
    """(1 - r) mean_h A + r I, `[B, N, N]`."""
    mean = torch.cat([rows.probs.mean(1) for rows in call_of(reading).blocks()], 1)
    return (1 - residual) * mean + residual * torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device)


def _flows(matrices: NDArray[np.float64], source: int, grid: Grid, least: float, limit: int) -> NDArray[np.float64]:
    """Of one picture, for each token; node (layer, token), the last layer on top."""
    depth, tokens = matrices.shape[:2]
    layer, query, key = np.nonzero(matrices > max(least, 0.5 / WHOLE))
    if len(layer) > limit:
        raise CallError(
            f"a graph of {len(layer)} edges, and one flow for each of {grid.patches} patches: over {limit}",
            hint="layers=1, least=1e-3 or limit=...; rollout costs one product a layer",
        )
    capacity = np.rint(matrices[layer, query, key] * WHOLE).astype(np.int32)
    ends = ((layer + 1) * tokens + query, layer * tokens + key)
    size = (depth + 1) * tokens
    graph = coo_array((capacity, ends), shape=(size, size)).tocsr()
    made = np.zeros(tokens)
    for sink in range(grid.prefix, tokens):
        made[sink] = maximum_flow(graph, depth * tokens + source, sink).flow_value / WHOLE
    return made
