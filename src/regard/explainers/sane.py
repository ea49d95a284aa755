"""SANE: which part of a picture makes it like another one."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.explainers._pixels import Baseline
from regard.explainers.rise import rise
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="sane",
    claim="equals the weighted sum over the same masks of the cosine with the fixed embedding; its deletion lowers the "
    "similarity faster than random orders",
    source="sections 3.1 and 3.2: fixed reference, random masks",
    needs={"score"},
    differs="the mean similarity is taken off; attributes are ranked by `regard.subjects.attributes.rank_attributes`, "
    "which is not trained to agree with the map",
    unit="cosine",
)
def sane(
    x: Tensor, score: Scorer, generator: torch.Generator, *, forwards: int = 2000, cells: int = 8, p: float = 0.5,
    baseline: Baseline = "black",
) -> MapValues:  # fmt: skip
    """Mean similarity with a fixed picture of pictures in which a pixel is seen, less the mean of all.

    S_u = sum_k s(x m_k) m_k(u) / sum_k m_k(u) - mean_k s, s = cosine(e(x m_k), e(r)), as in RISE; the target is the
    embedding e(r) of the other picture, `[D]` (or any function of the output that compares). Gives `[B, H, W]`.
    Which attribute explains the map: `regard.subjects.attributes.rank_attributes`.

    Raises LayoutError for options without a sense.
    Source: Plummer et al. 2020, "Why do These Match? Explaining the Behavior of Image Similarity Models".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_vit")
    >>> x = rg.image("sample:coffee", like=model)
    >>> few = partial(rg.explainers.sane, forwards=8)
    >>> rg.explain(model, x, method=few, target=model(x)[0].detach()).target
    'cosine with an embedding'
    """
    return rise(x, score, generator, forwards=forwards, cells=cells, p=p, baseline=baseline)
