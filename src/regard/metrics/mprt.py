"""MPRT: does a map change when the model's weights are randomised, layer after layer?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.errors import LayoutError, MethodError
from regard.metrics._alike import MEASURES, Measure, alike, layers_of, randomised
from regard.registry import method
from regard.subjects.evidence import Again
from regard.subjects.values import ScoreValues

ORDERS = ("cascade", "independent")


@method(
    "metrics",
    paper="sanity-checks",
    claim="1 for a map that does not look at the weights; told apart from it where the map does",
    source="section 3 (cascading, independent); smooth and efficient variants: Hedstroem et al. 2024, sections 4, 5",
    needs={"again", "x"},
    differs="weights are permuted within each tensor, so that their sizes stay; layers are taken evenly over the "
    "depth; rank correlation of signed values by default, since SSIM of scaled maps is biased (Binder 2023)",
    unit="similarity",
)
def mprt(
    maps: Float[Tensor, "n h w"],
    x: Tensor,
    again: Again,
    *,
    order: Literal["cascade", "independent"] = "cascade",
    layers: int = 6,
    seeds: int = 3,
    measure: Measure = "rank",
    denoise: int = 0,
    entropy: bool = False,
) -> ScoreValues:
    """Mean similarity of the map with those of models whose layers are randomised from the output down; lower passes.

    cascade: each model keeps what was randomised before; independent: one layer each. `layers` of all that have
    weights, evenly, always with both ends. `curve`: similarity by share of layers. `denoise` > 0 is sMPRT: both maps
    are means over so many pictures with noise of a tenth of the picture's spread. `entropy` is eMPRT: the rise of the
    map's entropy from no to full randomisation, over the entropy itself, higher is better. se: over `seeds`. The
    null: similarity of the map with its own values in random places. Necessary, never enough: an edge detector that
    fails here is rightly refused, a map that passes may still be wrong.

    Raises MethodError for an order or measure that is not known, LayoutError for under 2 layers or 1 seed.
    Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps"; Hedstroem et al. 2024.

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> rg.score(m, model, x, metric=partial(rg.metrics.mprt, layers=2, seeds=1)).curve.shape
    (2, 2)
    """
    _check(order, measure, layers, seeds, denoise)
    named = layers_of(again.on.model)
    at = torch.linspace(0, len(named) - 1, min(layers, len(named))).round().long().tolist()

    def map_of(model: nn.Module | None) -> Tensor:
        return _mean_map(again, model, x, denoise) if denoise else again(model=model)

    own = map_of(None) if denoise else maps[0]
    found = [_along(again.on.model, named, at, order, seed, map_of) for seed in range(seeds)]
    curves = torch.stack([alike(own, one, measure).double() for one in found])
    rises = torch.tensor([_rise(own, one[-1]) for one in found], dtype=torch.float64)
    null = torch.tensor([_rise(own, m) for m in maps[1:]]) if entropy else alike(own, maps[1:], measure)
    each = rises if entropy else curves.mean(1)
    noisy = f", {denoise} noisy" if denoise else ""
    what = "rise of entropy" if entropy else f"{measure} similarity"
    depth = (torch.tensor(at, dtype=torch.float64) + 1) / len(named)
    return ScoreValues(
        value=float(each.mean()),
        null=null,
        convention=f"{order}, {len(at)} of {len(named)} layers, {seeds} seeds{noisy}, {what}",
        higher_is_better=entropy,
        curve=torch.stack([depth, curves.mean(0)]),
        se=float(each.std() / seeds**0.5) if seeds > 1 else None,
    )


def _check(order: str, measure: str, layers: int, seeds: int, denoise: int) -> None:
    for wrong, known in ((order, ORDERS), (measure, MEASURES)):
        if wrong not in known:
            raise MethodError.unknown("choice", wrong, known, see=f"one of {', '.join(known)}")
    if layers < 2 or seeds < 1 or denoise < 0:
        told = f"{layers} layers, {seeds} seeds, {denoise} noisy pictures"
        raise LayoutError(told, hint="layers=6, seeds=3, denoise=0")


def _along(
    model: nn.Module, named: list[str], at: list[int], order: str, seed: int, map_of: Callable[[nn.Module], Tensor]
) -> Float[Tensor, "s h w"]:
    """Maps of the models that are randomised up to each of some layers, or at it alone."""
    cascade = order == "cascade"
    chosen = named if cascade else [named[i] for i in at]
    made = enumerate(randomised(model, chosen, torch.Generator().manual_seed(seed), cascade=cascade))
    return torch.stack([map_of(twin) for i, (_, twin) in made if not cascade or i in at])


def _mean_map(again: Again, model: nn.Module | None, x: Tensor, n: int) -> Float[Tensor, "h w"]:
    """The mean of the maps of n noisy pictures: the same noise for every model."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * float(x.std())
    pictures = (x + noise * torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x) for _ in range(n))
    return torch.stack([again(model=model, x=picture) for picture in pictures]).mean(0)


def _rise(own: Tensor, other: Tensor) -> float:
    """How much more entropy another map has, relative to that of the map."""
    return _entropy(other) / max(1e-12, _entropy(own)) - 1


def _entropy(values: Tensor, bins: int = 100) -> float:
    """Bits of the histogram of a map's values: what a map of noise has most of."""
    low, high = float(values.min()), float(values.max())
    share = torch.histc(values.double(), bins, low, high if high > low else low + 1)
    share = share / share.sum()
    return float(-(share * share.clamp_min(1e-300).log2()).sum())
