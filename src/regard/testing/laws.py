"""Laws: what every method in the catalogue must obey. tests/laws holds a sabotage of each that must break it.

`check(card)` holds a method to all laws that bind its family and raises LawBrokenError with the reason.
Third parties can check their own methods the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from regard.registry import FAMILIES, Card
from regard.testing.planted import CELLS, SIDE, PlantedCNN, PlantedMamba, PlantedViT, planted_pictures, planted_prompts
from regard.testing.subjects import Outcome, run
from regard.testing.tensors import HEADS, operands

RANKING = frozenset({"tis"})
SPOTS = [(2, 5), (5, 1), (4, 4)]


class LawBrokenError(AssertionError):
    """A method breaks a law of DESIGN section 4."""


@dataclass(frozen=True)
class Law:
    """A name, the families it binds, and its check."""

    name: str
    families: frozenset[str]
    check: Callable[[Card], None]


LAWS: dict[str, Law] = {}


def law(*families: str) -> Callable[[Callable[[Card], None]], Callable[[Card], None]]:
    """Register a check under its own name."""

    def register(check: Callable[[Card], None]) -> Callable[[Card], None]:
        LAWS[check.__name__] = Law(check.__name__, frozenset(families), check)
        return check

    return register


def laws_of(card: Card) -> list[Law]:
    """The laws that bind a method."""
    return [one for one in LAWS.values() if card.family in one.families]


def check(card: Card) -> None:
    """All laws that bind a method."""
    for one in laws_of(card):
        one.check(card)


def subject_model(card: Card, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The planted network that a method is tried on: attention for all but methods of layers or scans, and metrics."""
    asked = set(card.subjects)
    if "scans" in asked:
        return PlantedMamba().to(dtype)
    if "prompts" in asked:
        return planted_prompts().to(dtype)
    cnn = {"layer", "activations", "layers", "forward"} & asked and "attention" not in card.needs
    return (PlantedCNN() if cnn else PlantedViT()).to(dtype)


def demand(condition: bool, card: Card, what: str) -> None:
    """Raise LawBrokenError with the method's name."""
    if not condition:
        raise LawBrokenError(f"{card.family}.{card.name}: {what}")


def _try(card: Card, spots: list[tuple[int, int]] | None = None) -> Outcome:
    spots = spots or SPOTS[: 1 if card.family == "metrics" else 3]
    return run(card, subject_model(card), planted_pictures(spots, reach=_reach(card)))


def _reach(card: Card) -> int:
    """An object needs some extent before it can be told from an odd patch; what blurs is off by less than one."""
    return 1 if card.family in ("objects", "gaze.predictors") else 0


EVERY = tuple(FAMILIES)


@law(*EVERY)
def layout(card: Card) -> None:
    """Results are [B, ...] as the family promises, on the grid of the model."""
    got = _try(card)
    b = got.batch
    if card.family in ("explainers", "gaze.predictors"):
        good = got.values.ndim == 3 and len(got.values) == b and got.values.shape[1] == got.values.shape[2]
        good = good and (got.values.shape[1] <= SIDE or card.family == "gaze.predictors")  # which may enlarge
        demand(good, card, f"gives {list(got.values.shape)}, not [B, h, w] of a square picture")
    elif card.family == "objects":
        good = got.values.ndim == 4 and list(got.values.shape[:1]) == [b] and got.values.shape[2:] == (CELLS, CELLS)
        demand(good, card, f"gives {list(got.values.shape)}, not [B, K, h, w]")
    elif card.family in ("edits", "patterns"):
        plain = subject_model(card)(planted_pictures(SPOTS)).shape
        demand(got.values.shape == plain, card, f"makes the model give {list(got.values.shape)}, not {list(plain)}")
    elif card.family == "operators":
        heads, n = HEADS, CELLS**2
        wanted = {"Output": [b, heads], "Weights": [b, heads, n, n], "Tokens": [b, n], "Images": [b, 3]}[card.gives]
        good = list(got.values.shape[: len(wanted)]) == wanted
        demand(good, card, f"gives {list(got.values.shape)} for {card.gives} {wanted}")
    elif card.family in ("gaze.metrics", "gaze.comparisons"):
        good = got.values.ndim == 1 and (len(got.values) == 1) == (card.gives != "Several")
        demand(good, card, f"gives {list(got.values.shape)}, not {card.gives}")
    elif card.family == "gaze.foveation":
        rank = 5 if card.gives == "Tokens" else 4
        good = got.values.ndim == rank and len(got.values) == b
        demand(good, card, f"gives {list(got.values.shape)} for {b} pictures, not [B, C, H, W], or [B, N, C, p, p]")
    elif card.family == "gaze.stimuli":
        good = got.values.ndim == 4 and list(got.values.shape[:2]) == [b, 3]
        good = good and bool(((got.values >= 0) & (got.values <= 1)).all())
        demand(good, card, f"gives {list(got.values.shape)}, not [3, H, W] in 0..1")
    elif card.family == "gaze.events":
        good = got.values.ndim == (2 if card.gives == "Labels" else 3)
        demand(good, card, f"gives {list(got.values.shape)}, not a label a sample, or a row a fixation")
    elif card.family == "probes":
        demand(list(got.values.shape[:2]) == [b, 2], card, f"gives {list(got.values.shape)}, not [B, H, ...]")
        if card.gives == "PerQuery":
            demand(list(got.values.shape[2:]) == [CELLS**2 + 1], card, "does not give one number a query")


@law(*EVERY)
def finite(card: Card) -> None:
    """No infinity; NaN only where a probe says that a query has no value (prefix queries)."""
    values = _try(card).values
    demand(not torch.isinf(values).any(), card, "gives infinite values")
    missing = torch.isnan(values)
    if card.gives == "PerQuery":
        missing = missing[:, :, 1:]
    demand(not missing.any(), card, f"gives {int(missing.sum())} NaN")


@law(*EVERY)
def determinism(card: Card) -> None:
    """The same seed gives the same bits."""
    a, b = _try(card).values, _try(card).values
    demand(torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)), card, "gives other values the second time")


@law("probes", "edits", "explainers", "objects", "operators", "patterns", "gaze.predictors", "gaze.foveation")
def batch_independence(card: Card) -> None:
    """Row i alone equals row i in a batch."""
    x = planted_pictures(SPOTS, reach=_reach(card))
    model = subject_model(card)
    together = run(card, model, x).values
    for i in range(len(x)):
        alone = run(card, model, x[i : i + 1]).values[0]
        close = torch.allclose(alone, together[i], rtol=1e-4, atol=1e-5, equal_nan=True)
        demand(close, card, f"picture {i} alone gives other values than in a batch")


@law(*EVERY)
def nothing_left_behind(card: Card) -> None:
    """Weights, gradients, hooks, modes, random state: all as before, after a run and after an error in it."""
    model = subject_model(card)
    before = _state(model)
    run(card, model, planted_pictures(SPOTS[:1], reach=_reach(card)))
    demand(_state(model) == before, card, f"leaves a trace: {_difference(before, _state(model))}")

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    try:
        run(replace(card, function=broken), model, planted_pictures(SPOTS[:1], reach=_reach(card)))
    except ZeroDivisionError:
        pass
    else:
        raise LawBrokenError(f"{card.family}.{card.name}: an error inside the method is swallowed")
    demand(_state(model) == before, card, "leaves a trace after an error")


def _state(model: nn.Module) -> dict[str, Any]:
    tensors = [*model.parameters(), *model.buffers()]
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "weights": [float(t.detach().double().sum()) for t in tensors],
        "versions": [t._version for t in tensors],
        "gradients": [t.grad is None for t in model.parameters()],
        "requires_grad": [t.requires_grad for t in model.parameters()],
        "hooks": [len(getattr(m, h)) for m in model.modules() for h in hooks],
        "training": [m.training for m in model.modules()],
        "attributes": [sorted(vars(m)) for m in model.modules()],
        "modes": torch._C._len_torch_function_stack(),
        "random": torch.get_rng_state().sum().item(),
        "grad mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    }


def _difference(a: dict[str, Any], b: dict[str, Any]) -> str:
    return ", ".join(key for key in a if a[key] != b[key])


@law(*EVERY)
def precision(card: Card) -> None:
    """float32 is as near to float64 as the method's own sensitivity to rounding allows.

    The allowance is what the float64 result moves by when the picture moves by 1e-6 of itself, times 30.
    Of components only the first counts: the others may be as good as interchangeable on these pictures. Of methods
    that rank tokens 95 % of the cells count: two that are next to equal change places, and a cell jumps. Metrics that
    run a method again are left out: ranks and differences of its maps magnify what its own law allows it.
    """
    if "again" in card.subjects:
        return
    spots = SPOTS[: 1 if card.family == "metrics" else 3]
    x = planted_pictures(spots, reach=_reach(card), dtype=torch.float64)
    model = subject_model(card, torch.float64)
    jitter = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    wide, moved = (_leading(card, run(card, model, one)) for one in (x, x * (1 + 1e-6 * jitter)))
    narrow = _leading(card, run(card, subject_model(card), x.float())).double()
    allowed = 30 * float((moved - wide).abs().max()) + 1e-5 * float(wide.abs().max())
    error = float((wide - narrow).abs().flatten().quantile(0.95 if card.name in RANKING else 1.0))
    demand(error <= allowed, card, f"float32 is off by {error:.1e}; rounding explains {allowed:.1e}")


def _leading(card: Card, got: Outcome) -> Tensor:
    values = torch.nan_to_num(got.values)
    return values[:, :1] if card.family == "objects" else values


@law("operators")
def type_kept(card: Card) -> None:
    """The result has the type of its tensors."""
    for dtype in (torch.float32, torch.float64):
        got = run(card, nn.Identity(), planted_pictures(SPOTS, dtype=dtype)).values.dtype
        demand(got == dtype, card, f"gives {got} for {dtype}")


@law("operators")
def differentiable(card: Card) -> None:
    """A finite gradient reaches every tensor, and not zero for what is summed: values, logits, lone tokens, images."""
    inputs = operands(card.subjects, planted_pictures(SPOTS, dtype=torch.float64))
    leaves = {
        n: t.detach().requires_grad_() for n, t in zip(card.subjects, inputs, strict=True) if isinstance(t, Tensor)
    }
    values = card.function(*(leaves.get(n, t) for n, t in zip(card.subjects, inputs, strict=True)))
    demand(values.requires_grad, card, "cuts the graph")
    found = torch.autograd.grad(values.square().sum(), list(leaves.values()), allow_unused=True)
    for name, gradient in zip(leaves, found, strict=True):
        demand(gradient is None or bool(gradient.isfinite().all()), card, f"gives {name} a gradient that is not finite")
        needed = name in ("v", "logits", "images") or card.subjects == ("tokens",)
        demand(not needed or (gradient is not None and bool(gradient.any())), card, f"gives {name} no gradient")


@law("explainers", "objects", "gaze.predictors")
def planted(card: Card) -> None:
    """The red patch is found: it holds the largest entry of the map, in every place it is put."""
    for spot in SPOTS:
        values = _try(card, [spot]).values.abs()
        side = values.shape[-1]
        cells = adaptive_avg_pool2d(values.reshape(-1, 1, side, side)[:1], CELLS)  # of pixels, the mean of each patch
        found = divmod(int(cells.argmax()), CELLS)
        near = max(abs(found[0] - spot[0]), abs(found[1] - spot[1])) <= _reach(card)
        demand(near, card, f"finds {found} where the evidence lies at {spot}")


@law("metrics", "gaze.metrics")
def tells_right_from_wrong(card: Card) -> None:
    """The planted map scores better than its negative; what judges a method by other maps of it is left out."""
    if "again" in card.subjects:
        return
    x = planted_pictures(SPOTS[:1])
    heat = torch.zeros(1, CELLS, CELLS)
    heat[0, SPOTS[0][0], SPOTS[0][1]] = 1.0
    right = run(card, subject_model(card), x, heatmap=heat)
    wrong = run(card, subject_model(card), x, heatmap=-heat)
    better = right.values > wrong.values if right.higher_is_better else right.values < wrong.values
    told = f"scores the evidence {float(right.values):.3f}, its opposite {float(wrong.values):.3f}"
    demand(bool(better.all()), card, told)
