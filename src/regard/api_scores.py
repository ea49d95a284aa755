"""The verbs about how far maps can be trusted: one score, what scores share, and many pictures."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard import registry
from regard.api import _subject, image
from regard.errors import LayoutError, MethodError
from regard.results import Map, Score

if TYPE_CHECKING:
    from torch import Tensor, nn

    from regard.gaze.data import Fixations
    from regard.runs.comparison import Comparison
    from regard.subjects.bank import OrderBank
    from regard.subjects.masks import MaskBank
    from regard.subjects.removal import Baseline
    from regard.subjects.target import Goal


def _check_map(given: object) -> None:
    from regard.subjects.degenerate import check_finite

    if not isinstance(given, Map):
        raise LayoutError(
            f"a map is scored, got {type(given).__name__}", hint="regard.score(heatmap, model, x) with a regard.Map"
        )
    check_finite(given.values)


def score(
    heatmap: Map,
    model: nn.Module,
    x: Tensor,
    *,
    metric: str | Callable[..., Any] = "deletion",
    target: Goal = None,
    orders: int = 99,
    steps: int = 16,
    baseline: Baseline = "blur",
    seed: int = 0,
    bank: OrderBank | MaskBank | None = None,
    region: Any = None,
) -> Score:
    """How good a map is at what a metric asks, beside what `orders` random maps on the same grid reach.

    target: the class that is scored; None for the one that the map explains, else the model's first choice.
    p is (1 + random maps at least as good) / (1 + orders). A bank from `regard.bank` (orders, for curves) or
    `regard.masks` (for all that asks for masks) is shared by several scores and then decides baseline, steps and
    masks. region: where on the picture the thing is, `[H, W]` bool, for localisation. One picture at a time.

    >>> import regard as rg
    >>> m = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=m)
    >>> rg.score(rg.explain(m, x, method="gradcam"), m, x, orders=3).direction
    'lower'
    """
    from regard.subjects import run
    from regard.subjects.bank import Draw, OrderBank
    from regard.subjects.evidence import Evidence
    from regard.subjects.forward import untouched

    chosen = registry.find("metrics", metric)
    _check_map(heatmap)
    orders_given = bank if isinstance(bank, OrderBank) else None
    masks_given = None if isinstance(bank, OrderBank) else bank
    if bank is not None and ("masks" if orders_given is None else "bank") not in chosen.card.subjects:
        verb = next((v for v in ("bank", "masks") if v in chosen.card.subjects), None)
        raise MethodError(
            f"{chosen.card.name} does not read a {type(bank).__name__}",
            hint=f"bank=regard.{verb}(model, x, like=heatmap)" if verb else "leave bank out",
        )
    evidence = Evidence(
        _subject(model, x), heatmap, target, Draw(orders, steps, baseline, seed), orders_given, masks_given, region,
        _maker(heatmap),
    )  # fmt: skip
    with untouched(model):
        return run.score(chosen, evidence)


def _maker(heatmap: Map) -> Callable[..., Map] | None:
    """The explainer that made a map, with its settings; None for a map from elsewhere."""
    from regard.subjects import run

    card = registry.cards("explainers").get(heatmap.method)
    if card is None:
        return None
    settings = dict(heatmap.settings)
    chosen = registry.Chosen(card, functools.partial(card.function, **settings), settings)
    return functools.partial(run.explain, chosen, site=heatmap.site if "layer" in card.subjects else None)


def bank(
    model: nn.Module,
    x: Tensor,
    like: Map,
    *,
    target: Goal = None,
    orders: int = 99,
    steps: int = 16,
    baseline: Baseline = "blur",
    seed: int = 0,
) -> OrderBank:
    """Scores of the model under random removals on the grid of `like`: the null shared by several scores.

    A score refuses a bank that was made for another picture, model, target or grid.

    >>> import regard as rg
    >>> m = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=m)
    >>> heat = rg.explain(m, x, method="gradcam")
    >>> null = rg.bank(m, x, heat, orders=3, steps=4)
    >>> [rg.score(heat, m, x, metric=name, bank=null).n for name in ("deletion", "insertion")]
    [3, 3]
    """
    from regard.subjects.bank import Draw
    from regard.subjects.evidence import Evidence
    from regard.subjects.forward import untouched

    _check_map(like)
    with untouched(model):
        return Evidence(_subject(model, x), like, target, Draw(orders, steps, baseline, seed)).bank


def masks(
    model: nn.Module,
    x: Tensor,
    like: Map,
    *,
    target: Goal = None,
    rounds: int = 16,
    groups: int = 10,
    each: int = 32,
    baseline: Baseline = "blur",
    seed: int = 0,
) -> MaskBank:
    """Scores of the model under many masks, shared by all maps and metrics that ask for masks.

    The cells are those of `like`, at most 14 along the shorter side. `rounds` random partitions into `groups`, each
    group gone alone; `each` masks with a quarter, a half, three quarters gone. `.halves()`: one to fit, one to judge.

    >>> import regard as rg
    >>> m = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=m)
    >>> heat = rg.explain(m, x, method="gradcam")
    >>> shared = rg.masks(m, x, heat, rounds=2, each=4)
    >>> [rg.score(heat, m, x, metric=name, bank=shared).n for name in ("infidelity", "saco")]
    [99, 99]
    """
    from regard.subjects.evidence import cells_like
    from regard.subjects.forward import untouched
    from regard.subjects.masks import MaskDraw, make_masks
    from regard.subjects.scorer import Scorer

    _check_map(like)
    on = _subject(model, x)
    goal = like.target_index[0] if target is None and like.target_index else target
    with untouched(model):
        return make_masks(Scorer(on, goal), cells_like(x, like.grid), MaskDraw(rounds, groups, each, baseline, seed))


def compare(
    model: nn.Module,
    x: Tensor | str | os.PathLike[str],
    *,
    methods: Sequence[str] = ("gradcam", "integrated_gradients", "occlusion", "rise"),
    metrics: Sequence[str] = ("deletion", "insertion", "infidelity", "mu_fidelity", "saco"),
    baselines: Sequence[str] = ("blur", "mean"),
    cells: int = 7,
    orders: int = 19,
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    out: str | os.PathLike[str] | None = None,
    gaze: Fixations | None = None,
) -> Comparison:
    """A leaderboard of methods on your model and your pictures, with controls: random, centre, edges, inverted maps,
    the map of another class and of a model with shuffled weights (of the first method).

    x: pictures `[B, 3, H, W]`, or a folder of photos. Every map is laid on the same grid of `cells` along the shorter
    side and judged for the model's first choice over the same banks. out: a folder where each finished picture is kept
    as a file: the same call goes on from there. `.leaderboard`, `.claims`, `.agreement`, `.masked`, `.failures` and
    `.cost` are tables. options: of methods by name, {"rise": {"forwards": 500}}.
    gaze: people's fixations on these photos (by file name), against which all maps are then scored too: `.people`.
    Raises MethodError for what is not known, DataError where no picture could be examined.

    >>> import regard as rg
    >>> m = rg.model("random:test_vit")
    >>> x = rg.image("sample:coffee", like=m)
    >>> rg.compare(m, x, methods=["gradient"], metrics=["mu_fidelity"], baselines=["mean"]).names[0]
    'gradient'
    """
    from regard.models.facts import facts_of
    from regard.runs import compare as runs
    from regard.runs.plan import Plan
    from regard.subjects.forward import untouched

    plan = Plan(tuple(methods), tuple(metrics), tuple(baselines), cells, orders, seed=seed, options=options or {})
    if isinstance(x, (str, os.PathLike)):
        paths = runs.pictures_in(Path(x))
        loads = {path.name: functools.partial(image, str(path), like=model) for path in paths}
    else:
        loads = {f"picture {i}": functools.partial(x.__getitem__, slice(i, i + 1)) for i in range(len(x))}
    if gaze is not None and not isinstance(x, (str, os.PathLike)):
        raise LayoutError("people's fixations need photos by name", hint="compare(model, folder, gaze=fixations)")
    with untouched(model):
        found = runs.compare(
            functools.partial(_subject, model), loads, plan, model=facts_of(model).name,
            out=None if out is None else Path(out),
        )  # fmt: skip
    return found if gaze is None else _beside_people(found, Path(str(x)), model, gaze)


def _beside_people(found: Comparison, folder: Path, model: nn.Module, gaze: Fixations) -> Comparison:
    """The comparison with its maps scored on fixations; positions count in the part of a photo that the model saw."""
    from regard.gaze.explained import explained
    from regard.models.facts import facts_of
    from regard.models.picture import read_picture
    from regard.models.prepare import prepare

    facts, looked = facts_of(model), set(gaze.images)
    maps = {name: record["values"] for name, record in found.records.items() if name in looked}
    boxes = {name: prepare(read_picture(str(folder / name)), facts).box for name in maps}
    return replace(found, people=explained(maps, boxes, gaze, seed=found.plan.seed))
