"""LeGrad: how each layer's own attention would have to change to raise the score read off that layer."""

from __future__ import annotations

from regard.errors import CallError
from regard.registry import method
from regard.subjects.rows import readings_on_one_grid
from regard.subjects.scorer import Scorer
from regard.subjects.tap import block_of
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="legrad",
    claim="explicit gradients of each layer's own score with respect to its attention matrix",
    source="equations 6 to 8: gradient of layer-wise scores, clipped, averaged over heads and queries, summed",
    needs={"score"},
    differs="a layer's score is the model's own, with later blocks handing on what they are given. "
    "Maps are not stretched",
    unit="score",
)
def legrad(score: Scorer, *, layers: int = 2) -> MapValues:
    """Positive gradients of attention, of each of the last layers with the score read off that layer.

    E = sum_l mean_h mean_i max(0, dy_l / dA_l,hij) over patch keys j; y_l the score that the model gives to the tokens
    of layer l. The gradient is reduced as backward makes it. Gives `[B, h, w]`; one forward a layer.

    Raises CallError for more layers than there are on the grid.
    Source: Bousselham et al. 2024, "LeGrad: An Explainability Method for Vision Transformers".

    >>> import regard as rg
    >>> model = rg.model("random:test_vit")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="legrad", target=7).site
    'blocks.4.attn .. blocks.5.attn'
    """
    readings, grid = readings_on_one_grid(score.watch(()))
    if not 1 <= layers <= len(readings):
        raise CallError(f"{layers} layers: {len(readings)} lie on a grid", hint=f"1 .. {len(readings)}")
    blocks = [block_of(reading.site) for reading in readings]
    total = None
    for at in range(len(readings) - layers, len(readings)):
        record = score.watch(["positive_gradient"], readings[at].site, skip=blocks[at + 1 :])
        part = record[readings[at].address]["positive_gradient"].mean(1)
        total = part if total is None else total + part
    assert total is not None
    return MapValues(grid.to_map(total), grid, site=f"{readings[-layers].address} .. {readings[-1].address}")
