"""Attention relevance: the relevance of attention, times its gradient, multiplied through the layers."""

from __future__ import annotations

from regard.errors import CallError
from regard.explainers._attention_relevance import layers_on_grid
from regard.registry import method
from regard.subjects.rows import query_of
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="chefer-relevance",
    claim="the query's row of the product of I + mean_h (grad A * R_A)+, relevance handed back layer by layer by hand",
    source="equations 1 to 13: relevance with normalised sums and products, its positive product with the gradient",
    needs={"score"},
    differs="only the wanted row is kept; sums are normalised for each picture and not for the batch; relevance starts "
    "at the score, whatever it is, and goes back through its own gradient where it is no single logit",
    unit="relevance",
)
def attention_relevance(score: Scorer, *, query: int | None = None, start: int = 0) -> MapValues:
    """Relevance of every patch for the score: as `transformer_attribution`, with relevance R_A in the place of A.

    r <- r + r mean_h max(0, R_A,h dy/dA_h), from the last layer down to layer `start`, r starting as the unit row of
    `query` (None: CLS, which the model must have). R is 1 at the score and is conserved: linear layers share by
    positive contributions, functions and normalisations hand on, A V and Q K^T halve, residual sums share by size.
    Gives `[B, h, w]`; three forwards, two backwards. The patent notice of `lrp` holds here.

    Raises CallError for a start that leaves no layer and for a layer without a rule, DegenerateError for a score of 0.
    Source: Chefer, Gur and Wolf 2021, "Transformer Interpretability Beyond Attention Visualization" (CVPR).

    >>> import regard as rg
    >>> model = rg.model("random:test_vit")
    >>> x = rg.image("sample:coffee", like=model)
    >>> rg.explain(model, x, method="attention_relevance", target=7).site
    'blocks.0.attn .. blocks.5.attn'
    """
    layers, grid, addresses = layers_on_grid(score)
    if not 0 <= start < len(layers):
        raise CallError(f"a start at layer {start} of {len(layers)}", hint=f"0 .. {len(layers) - 1}")
    row = layers[-1].slope.new_zeros(len(score.on.x), grid.tokens)
    row[:, query_of(grid, query)] = 1.0
    for layer in reversed(layers[start:]):
        row = layer.pushed(row)
    return MapValues(grid.to_map(row), grid, site=f"{addresses[start]} .. {addresses[-1]}")
