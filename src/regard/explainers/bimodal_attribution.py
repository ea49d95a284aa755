"""Bimodal attribution: transformer attribution through models of two streams of tokens, which look at each other."""

from __future__ import annotations

import torch

from regard.errors import CallError
from regard.explainers._calls import Caught, caught
from regard.explainers._streams import Streams
from regard.layout import Grid
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.tap import auto_place
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="chefer-generic",
    claim="the explicit rules on a torch encoder-decoder and on LXMERT and DETR of transformers with random weights",
    source="equations 5 to 11: self-attention, co-attention and encoder-decoder attention",
    needs={"score"},
    differs="a row that no attention has reached yet is normalised to 0, where the authors' code divides by 0; "
    "matrices [N, N] of streams are held",
    unit="relevance",
)
def bimodal_attribution(score: Scorer, *, query: int = 0, own: bool = False) -> MapValues:
    """Relevance of one stream's tokens for token `query` of the stream that answers.

    With A = mean_h max(0, A_h dy/dA_h) of a call from stream s to t: R^ss <- R^ss + A R^ss and R^st <- R^st + A R^st of
    self-attention; R^st <- R^st + (n R^ss)^T A (n R^tt) and R^ss <- R^ss + A R^ts of cross-attention, n the
    row-normalised R - I plus I. A call's streams are told by the calls that its queries and keys rest on. The answer is
    that of the last call that moves the score, and is explained by the stream at which it looked last (own: by
    its own). Gives `[B, h, w]` where the stream is a picture's patches or the cells of its last map, else `[B, 1, N]`.

    Our s, t: the paper's s, q. Raises CallError where tokens are joined or pooled between calls.
    Source: Chefer, Gur and Wolf 2021, "Generic Attention-model Explainability".

    >>> import regard as rg
    >>> model = rg.model("random:test_vit")
    >>> x = rg.image("sample:coffee", like=model)
    >>> both = [rg.explain(model, x, method=m, target=7) for m in ("bimodal_attribution", "transformer_attribution")]
    >>> float(abs(both[0].values - both[1].values).max()) < 1e-6
    True
    """
    calls = caught(score)
    moving = [number for number, one in enumerate(calls) if bool(one.slope.any())]
    if not moving:
        raise CallError("no attention of this model moves the score", hint="regard.sites(model, x); gradcam works")
    streams = Streams().follow(calls)
    answer = streams.sides[moving[-1]][0]
    looked = [keys for number in moving if (keys := streams.sides[number][1]) != answer == streams.sides[number][0]]
    told = answer if own or not looked else looked[-1]
    if not -streams.sizes[answer] <= query < streams.sizes[answer]:
        raise CallError(f"no query {query}: the answer has {streams.sizes[answer]}", hint="0 is usual for CLS")
    row = streams.relevance[answer, told][:, query]
    grid = _grid(score, calls, row)
    return MapValues(grid.to_map(row), grid, site=f"{calls[moving[0]].call.site} .. {calls[moving[-1]].call.site}")


def _grid(score: Scorer, calls: list[Caught], row: torch.Tensor) -> Grid:
    """How a stream's tokens lie on the picture; a line where that is not known."""
    count = row.shape[1]
    grid = score.grid
    if grid is None and score.on.x.ndim == 4:
        grid = score.activations([auto_place(score.on.model, score.on.mechanisms, score.on.x)])[0].grid
    return grid if grid is not None and grid.tokens == count else Grid(1, count)
