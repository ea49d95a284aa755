"""Prompt-CAM: where the token that stands for a class looks, on a frozen vision transformer."""

from __future__ import annotations

import torch

from regard.core.record import Record
from regard.errors import CallError
from regard.registry import method
from regard.subjects.prompted import Prompted
from regard.subjects.rows import attention_rows, last_on_grid
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="prompt-cam",
    claim="the class prompt's row of an explicit softmax(q k^T) in the last layer; lies on the part that tells classes",
    source="section 3.2: class-specific prompts; section 3.3: attention maps of the true class's prompt",
    needs={"attention", "prompts", "score"},
    differs="prompts join at the last block alone: the deep form without free prompts in the layers before; Adam "
    "instead of SGD; heads are fused unless one is chosen, and none is pruned",
    unit="share of attention",
)
def prompt_cam(record: Record, prompts: Prompted, score: Scorer, *, head: int = -1) -> MapValues:
    """Attention of the target class's prompt over the patches, in the last layer.

    a_j = mean_h p^h_cj for patch keys j, c the target's prompt; `head` >= 0 takes one head, a trait. The model is a
    `regard.subjects.prompted.Prompted`. Gives `[B, h, w]`; its sum is below 1 by what falls on other tokens.

    Raises CallError for a model without prompts, or no such head.
    Source: Chowdhury et al. 2025, "Prompt-CAM: Making Vision Transformers Interpretable for Fine-Grained Analysis".

    >>> import regard as rg
    >>> from regard.subjects.prompted import Prompted
    >>> model = Prompted(rg.model("random:vit_tiny_patch16_224"), 5, at="blocks.11")
    >>> rg.explain(model, rg.image("sample:coffee", like=model.backbone), method="prompt_cam", target=3).grid
    Grid(h=14, w=14, prefix=6)
    """
    reading = last_on_grid(record, -1)
    assert reading.grid is not None
    if not -1 <= head < reading.heads:
        raise CallError(f"no head {head} at {reading.address}: it has {reading.heads}", hint="-1 for all of them")
    index = torch.tensor(score.target.index)
    if not len(index):
        raise CallError(f"'{score.target.label}' has no prompt of its own", hint="target=INDEX or NAME, one class")
    rows = [attention_rows(reading, int(c))[at] for at, c in enumerate(index)]
    chosen = torch.stack([row.mean(0) if head < 0 else row[head] for row in rows])
    return MapValues(reading.grid.to_map(chosen), reading.grid, site=reading.address)
