"""TIS: sets of tokens, found in what a ViT computes, scored with all other tokens dropped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

from regard.core.record import Record
from regard.errors import CallError, LayoutError
from regard.explainers._clusters import k_means
from regard.layout import Grid
from regard.progress import track
from regard.registry import method
from regard.subjects.bank import BATCH
from regard.subjects.cells import Cells
from regard.subjects.drop import TokenDrop
from regard.subjects.rows import readings_on_one_grid
from regard.subjects.scorer import Scorer
from regard.subjects.tap import Place, block_of
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="tis",
    claim="explicit forwards without the dropped tokens",
    source="section 3: masks from clustered activations, token sampling, saliency as normalised weighted sum",
    needs={"attention", "score"},
    differs="logits, not probabilities, weigh the masks; tokens are dropped, or where a model does not "
    "allow it their keys are masked, which is equal",
    unit="logit",
)
def tis(
    record: Record, score: Scorer, generator: torch.Generator, *, masks: int = 1024, keep: float = 0.5
) -> MapValues:
    """Mean score of the token sets that hold a patch.

    Masks are the `keep` share of patches with the highest value in each of `masks` centres, by k-means, of the channels
    of all blocks' outputs; S_i = sum_m y_m m_i / sum_m m_i (0 for a patch in no mask), y_m the score with only the
    tokens of mask m and the prefix. One forward a mask. Gives `[B, h, w]`.

    Raises CallError for a model whose score reads patch tokens, LayoutError for a share that keeps none.
    Source: Englebert et al. 2023, "Explaining Through Transformer Input Sampling".

    >>> import regard as rg
    >>> from functools import partial
    >>> from regard.testing.planted import PlantedViT, planted_pictures
    >>> method = partial(rg.explainers.tis, masks=16)
    >>> heat = rg.explain(PlantedViT(), planted_pictures([(2, 5)]), method=method, target=1)
    >>> divmod(int(heat.values.argmax()), 8)
    (2, 5)
    """
    readings, _ = readings_on_one_grid(record)
    grid, sampled = _sampler(score)
    count = round(keep * grid.patches)
    if not 1 <= count < grid.patches or masks < 1:
        raise LayoutError(f"{masks} masks of {count} of {grid.patches} patches", hint="masks=1024, keep=0.5")
    places = [Place(block_of(reading.site), at_input=False, grid=grid) for reading in readings]
    channels = torch.cat([layer.values for layer in score.activations(places)], 1).flatten(2)
    seed = int(torch.randint(2**62, (), generator=generator))  # each picture's clusters are those it has alone
    chosen = [_masks(one, masks, count, torch.Generator().manual_seed(seed)) for one in channels]
    most = max(len(one) for one in chosen)
    kept = torch.stack([torch.cat([one, one[:1].expand(most - len(one), -1)]) for one in chosen], 1)
    parts = track(kept.split(max(1, BATCH // len(score.on.x))), "token masks")
    scores = torch.cat([sampled(part) for part in parts]).unflatten(0, kept.shape[:2])
    share = kept.to(scores)
    heat = (scores[..., None] * share).sum(0) / share.sum(0).clamp_min(1)
    return MapValues(heat.unflatten(1, (grid.h, grid.w)), grid, site=f"{places[0]} .. {places[-1]}")


def _sampler(score: Scorer) -> tuple[Grid, Callable[[Tensor], Tensor]]:
    """The grid of the tokens, and scores of pictures on some of them, by masks `[m, B, patches]`: shortened where the
    model allows it, which costs less, else with the keys of the others masked, which is equal.
    """
    grid = score.grid
    if grid is not None:
        labels = torch.arange(grid.patches, device=score.on.x.device).view(1, grid.h, grid.w)
        with suppress(CallError):  # which then tells why no token can be left out in any way
            return grid, TokenDrop(score, Cells(labels, grid.patches, grid))
    grid = score.check_droppable()

    def masked(kept: Tensor) -> Tensor:
        prefix = torch.ones(*kept.shape[:2], grid.prefix, dtype=torch.bool, device=kept.device)
        return score.keeping(torch.cat([prefix, kept], 2).flatten(0, 1))

    return grid, masked


def _masks(channels: Tensor, masks: int, count: int, generator: torch.Generator) -> Tensor:
    """Bool `[m, patches]`: the patches with the highest values in each centre."""
    centres = k_means(channels, masks, generator)
    return torch.zeros_like(centres, dtype=torch.bool).scatter_(1, centres.topk(count, dim=1).indices, True)
