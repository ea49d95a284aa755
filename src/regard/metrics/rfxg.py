"""RFxG: four questions to one map: the class, class against class, a group, group against group."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError, MethodError
from regard.layout import Grid
from regard.registry import method
from regard.subjects.bank import BATCH, compose
from regard.subjects.baseline import baseline_picture
from regard.subjects.degenerate import check_ranks
from regard.subjects.forward import Forward
from regard.subjects.target import logits_of
from regard.subjects.values import ScoreValues, of_maps

QUESTIONS = ("ccs", "cgc", "pgs", "cgs")
SHARES = tuple(i / 10 for i in range(1, 10))
Question = Literal["ccs", "cgc", "pgs", "cgs"]


@method(
    "metrics",
    paper="rfxg",
    claim="each question ranks the map that answers it first",
    source="section 4: CCS, CGC, PGS, CGS",
    needs={"forward", "x"},
    differs="cells instead of pixels; the released code adds drops where 'contrast' means a difference: both are "
    "offered by name, and the difference is the default",
    unit="probability",
)
def rfxg(
    maps: Float[Tensor, "n h w"],
    x: Tensor,
    forward: Forward,
    *,
    question: Question = "ccs",
    group: tuple[int, ...] = (),
    against: tuple[int, ...] = (),
    variant: Literal["difference", "released"] = "difference",
    baseline: Literal["blur", "mean"] = "blur",
    random: int = 9,
) -> ScoreValues:
    """Area over alpha = .1 .. .9 of what happens to classes when the map's highest alpha of cells is gone.

    d_c = p_c(x) - p_c(x without them); a is the target, A `group` (with a), B `against`; means over groups.
    ccs: d_a - d_b (released: p_b - p_a of the masked picture, which does not know the gap that was there before);
    cgc: (d_a - d of A without a) / 2; pgs: mean d over A; cgs: (mean d over A - mean d over B) / 2. "released" puts a
    plus in cgc and cgs. Higher is better. With `against` empty, ccs is
    the pointwise drop. The null: `random` maps of the same values in random places, nine forwards each.

    Raises MethodError for an unknown question, LayoutError where a group that it asks for is empty.
    Source: "Rethinking Saliency Maps: A Cognitive Human Aligned Taxonomy", 2025.

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> rg.score(m, model, x, metric="rfxg").n
    9
    """
    a = forward.target.index[0]
    _check(question, group, against)
    siblings = tuple(c for c in group if c != a)
    check_ranks(maps[0])
    some = maps[: 1 + random]
    whole = forward.logits.softmax(1)[0].double()
    masked = _masked(some, x, forward, baseline)
    drop = whole - masked  # [maps, shares, classes]

    def mean(classes: tuple[int, ...], of: Tensor = drop) -> Tensor:
        return of[..., list(classes)].mean(-1) if classes else torch.zeros(of.shape[:-1], dtype=of.dtype)

    sign = 1.0 if variant == "released" else -1.0
    if question == "ccs":
        found = mean(against, masked) - masked[..., a] if variant == "released" else drop[..., a] - mean(against)
    elif question == "cgc":
        found = (drop[..., a] + sign * mean(siblings)) / 2
    elif question == "pgs":
        found = mean((a, *siblings))
    else:
        found = (mean((a, *siblings)) + sign * mean(against)) / 2
    areas = torch.trapezoid(found, torch.tensor(SHARES, dtype=found.dtype)) / (SHARES[-1] - SHARES[0])
    told = f"{question}, {variant}, {len(SHARES)} shares, {baseline} baseline"
    return of_maps(areas, told, higher_is_better=True)


def _check(question: str, group: tuple[int, ...], against: tuple[int, ...]) -> None:
    if question not in QUESTIONS:
        raise MethodError.unknown("question", question, QUESTIONS, see=f"one of {', '.join(QUESTIONS)}")
    if (question in ("cgc", "pgs", "cgs") and not group) or (question == "cgs" and not against):
        raise LayoutError(
            f"{question} asks for groups, got {group} against {against}", hint="group=(3, 4), against=(7, 8)"
        )


def _masked(maps: Float[Tensor, "n h w"], x: Tensor, forward: Forward, baseline: str) -> Float[Tensor, "n s classes"]:
    """Probabilities of all classes without each map's highest cells."""
    n, h, w = maps.shape
    ranks = maps.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    gone = torch.stack([ranks < round(share * h * w) for share in SHARES], 1).flatten(0, 1)
    replaced = baseline_picture(x, baseline)
    made = []
    with torch.no_grad():
        for part in gone.split(BATCH):
            forward.count += len(part)
            pictures = compose(x, replaced, part.to(x.device), Grid(h, w))
            made.append(logits_of(forward.model(pictures)).softmax(1).double().cpu())
    return torch.cat(made).view(n, len(SHARES), -1)
