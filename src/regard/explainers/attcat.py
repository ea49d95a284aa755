"""AttCAT: tokens times their gradients, weighted by the attention they get, summed over layers."""

from __future__ import annotations

import torch

from regard.core.record import Record
from regard.registry import method
from regard.subjects.rows import attention_rows, query_of, readings_on_one_grid
from regard.subjects.scorer import Scorer
from regard.subjects.tap import Place, block_of
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="attcat",
    claim="hooks on every block and autograd by hand",
    source="equations 7 to 9: attentive class activation tokens, summed over layers",
    needs={"attention", "score"},
    differs="none",
    unit="score",
)
def attcat(record: Record, score: Scorer, *, query: int | None = None) -> MapValues:
    """Each patch's token times its gradient after every block, weighted by the attention of one query there.

    a_i = sum_l mean_h A_l,h,qi (h_i^l . dy/dh_i^l); query None is CLS, which the model must have. Gives `[B, h, w]`.

    Our h^l, A_l: what leaves block l `[B, N, C]`, its attention. Source: Qiang et al. 2022, "AttCAT: Explaining
    Transformers via Attentive Class Activation Tokens".

    >>> import regard as rg
    >>> model = rg.model("random:test_vit")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="attcat", target=7).values.shape
    (1, 20, 30)
    """
    readings, grid = readings_on_one_grid(record)
    at = query_of(grid, query)
    places = [Place(block_of(reading.site), at_input=False, grid=grid) for reading in readings]
    total = torch.zeros((), device=score.on.x.device)
    for reading, layer in zip(readings, score.layers(places), strict=True):
        seen = grid.to_map(attention_rows(reading, at).mean(1))
        total = total + seen * (layer.values * layer.gradient).sum(1)
    return MapValues(total, grid, site=f"{places[0]} .. {places[-1]}")
