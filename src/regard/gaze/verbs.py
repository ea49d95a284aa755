"""The verbs of gaze, thin: resolve, run, wrap."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from regard import registry
from regard.errors import LayoutError, MethodError
from regard.results import Map, Table

if TYPE_CHECKING:
    from torch import Tensor

    from regard.gaze.data import Fixations, Scanpath

CEILINGS = ("half-split", "leave-one-out")


def predict(x: Tensor | str | os.PathLike[str], method: str | Callable[..., Any] = "bms") -> Map:
    """Where people may look on a photo: a Map of raw values.

    x: photos [B, 3, H, W] in 0..1, as `rg.image(path)` gives them, or the path of one. method: "gaze-dinov2" gives a
    density (of sum 1), trained on people's fixations; all others saliency without trained weights, which is no
    probability. Raises
    MethodError for an unknown method, ImageError or DataError for other pictures.

    >>> import regard as rg
    >>> rg.gaze.predict(rg.image("sample:coffee"), "pft").grid
    Grid(h=43, w=64, prefix=0)
    """
    import time

    import torch

    chosen = registry.find("gaze.predictors", method.replace("-", "_") if isinstance(method, str) else method)
    if not isinstance(x, torch.Tensor):
        from regard.models.picture import read_picture

        x = torch.from_numpy(read_picture(x).rgb).permute(2, 0, 1)[None]
    started = time.perf_counter()
    with torch.no_grad():
        made = chosen.function(x)
    return Map(
        made.values.detach().cpu().numpy(),
        made.grid,
        chosen.card.name,
        unit=chosen.card.unit,
        settings=chosen.settings,
        seconds=time.perf_counter() - started,
    )


def scanpath(heatmap: Map, size: tuple[int, int] | None = None, *, fixations: int = 8) -> Scanpath:
    """The order in which a map would be looked at: winner take all with inhibition of return (`gaze.winner`).

    size: (height, width) of the picture in pixels, else the map's own cells are the pixels. One picture at a time.

    >>> import regard as rg
    >>> heat = rg.gaze.predict(rg.image("sample:coffee"), "pft")
    >>> len(rg.gaze.scanpath(heat, (400, 600), fixations=5))
    5
    """
    from regard.gaze.winner import winners

    if len(heatmap.values) != 1:
        raise LayoutError(f"{len(heatmap.values)} maps", hint="one picture at a time")
    return winners(heatmap.values[0], size or (heatmap.grid.h, heatmap.grid.w), fixations=fixations)


def score(
    heatmap: Map | Mapping[str, Any],
    fixations: Fixations,
    *,
    convention: str = "tuebingen",
    sigma: float | None = None,
    ceiling: str = "half-split",
    controls: bool = True,
    seed: int = 0,
) -> Table:
    """How well maps tell where people looked: every metric of a convention, people's ceiling, and controls.

    heatmap: one Map for the only picture that was looked at, or {picture: Map}. Maps of another size than the pictures
    are resized (bilinear), and the title says so. Columns: value with the central 95 % of a bootstrap over pictures
    (for a single one, 1.96 standard errors by the jackknife over observers); people: the blurred map of half the
    observers scored on the others, or of all but one; centre: a centre prior out of the other pictures; other picture:
    the map of the next one; uniform: a flat map.

    ceiling: half-split or leave-one-out, for the column people; controls: whether to score the last three.
    convention: tuebingen, mit, aim2024 or salicon; sigma: of people's blurred map in pixels, else the convention's.
    Raises MethodError, LayoutError or DegenerateError with what to do.

    >>> import numpy as np, regard as rg
    >>> eyes = rg.gaze.Fixations(np.random.default_rng(0).normal([40, 20], 4, (60, 2)), size=(40, 60), per_degree=4.0)
    >>> heat = rg.Map(np.eye(4, 6)[None] * 0 + np.array([0, 0, 0, 0, 1, 0]), rg.Grid(4, 6), "a stripe")
    >>> rg.gaze.score(heat, eyes).column("metric")
    ['AUC', 'NSS', 'CC', 'KL', 'SIM']
    """
    from regard.gaze.card import score_all
    from regard.gaze.conventions import convention as named

    if ceiling not in CEILINGS:
        raise MethodError.unknown("ceiling", ceiling, CEILINGS, see=f"one of {', '.join(CEILINGS)}")
    given = _given(heatmap, fixations)
    rule = named(convention)
    maps, resized = _at_size(given, fixations)
    found = score_all(maps, fixations, rule, sigma=sigma, ceiling=ceiling, controls=controls, seed=seed)
    low, high = found.interval(seed=seed)
    others = [which for which in found.values if which != "map"]
    means = {which: values.mean(0).tolist() for which, values in found.values.items()}
    rows = tuple(
        (name, means["map"][i], *(_known(float(b[i])) for b in (low, high)), *(_known(means[w][i]) for w in others))
        for i, name in enumerate(found.names)
    )
    several = f"{len(found.pictures)} pictures" if len(found.pictures) > 1 else found.pictures[0]
    title = f"{rule.name}, blur {found.sigma:.3g} px: {found.fixations} fixations on {several}{resized}"
    return Table(columns=("metric", "value", "low", "high", *others), rows=rows, title=title)


def ceiling(fixations: Fixations, *, convention: str = "tuebingen", sigma: float | None = None, seed: int = 0) -> Table:
    """What people's own maps reach on other people: half-split and leave-one-out, means over pictures.

    No map of a picture can be asked for more. Raises DegenerateError where nobody can be left out.

    >>> import numpy as np, regard as rg
    >>> xy, who = np.random.default_rng(0).normal([40, 20], 4, (60, 2)), [str(i % 5) for i in range(60)]
    >>> table = rg.gaze.ceiling(rg.gaze.Fixations(xy, observer=who, size=(40, 60), per_degree=4.0))
    >>> table.columns
    ('metric', 'half-split', 'leave-one-out')
    """
    import numpy as np
    import torch

    from regard.gaze.card import Judge, people
    from regard.gaze.conventions import convention as named

    there = fixations.inside()
    assert there.size is not None
    rule = named(convention)
    blur = rule.blur(there.size, there.per_degree) if sigma is None else sigma
    found: dict[str, list[dict[str, float]]] = {how: [] for how in CEILINGS}
    for name in there.images:
        others = there.where(there.image != name)
        judge = Judge(rule, blur, torch.from_numpy(others.xy) if len(others) else None)
        for how in CEILINGS:
            found[how].append(people(judge, there.on(name), how, seed))
    means = {how: {m: float(np.mean([one[m] for one in every])) for m in every[0]} for how, every in found.items()}
    rows = tuple((m, *(means[how][m] for how in CEILINGS)) for m in means[CEILINGS[0]])
    return Table(columns=("metric", *CEILINGS), rows=rows, title=f"people on people, {rule.name}, blur {blur:.3g} px")


def compare(path: Scanpath, other: Scanpath, method: str | Callable[..., Any] = "multimatch") -> dict[str, float]:
    """One scanpath against another: {name: number}, one name for most methods (`regard list gaze.comparisons`).

    A method that needs the size of the picture gets the paths' own. What a number means is told by its control: the
    same comparison with a path on another picture. Raises LayoutError, DegenerateError or MethodError.

    >>> import regard as rg
    >>> one = rg.gaze.Scanpath([[0.0, 0.0], [3.0, 4.0]], [0.2, 0.2])
    >>> rg.gaze.compare(one, one, "dtw")
    {'dtw': 0.0}
    """
    import numpy as np
    import torch

    chosen = registry.find("gaze.comparisons", method)
    given: list[Any] = [torch.from_numpy(np.column_stack([p.xy, p.duration])) for p in (path, other)]
    if "size" in chosen.card.subjects:
        if path.size is None or path.size != other.size:
            raise LayoutError(
                f"pictures of {path.size} and {other.size}", hint="Scanpath(..., size=(height, width)), one for both"
            )
        given.append(path.size)
    got = chosen.function(*given)
    return {chosen.card.name: float(got)} if isinstance(got, torch.Tensor) else got.to_dict()


def area_card(fixations: Fixations, areas: Mapping[str, Any]) -> Table:
    """Dwell, time to the first fixation, visits and revisits of named areas, means over viewings.

    areas: {name: (left, top, right, bottom) in pixels, or a mask [height, width]}; where two overlap the first counts.

    >>> import regard as rg
    >>> eyes = rg.gaze.Fixations([[1, 1], [9, 9], [2, 2]], duration=[0.1, 0.2, 0.3])
    >>> [round(v, 2) for v in rg.gaze.area_card(eyes, {"corner": (0, 0, 5, 5)}).column("dwell")]
    [0.4, 0.2]
    """
    from regard.gaze.areas import area_rows

    columns, rows = area_rows(fixations, areas)
    units = {"dwell": "s", "first": "s"}
    return Table(columns=columns, rows=tuple(rows), units=units, title=f"{len(fixations.paths())} viewings")


def _known(value: float) -> float | None:
    return None if value != value else value


def _given(heatmap: Map | Mapping[str, Any], fixations: Fixations) -> dict[str, Map]:
    if isinstance(heatmap, Map):
        if len(fixations.images) != 1 or len(heatmap.values) != 1:
            raise LayoutError(
                f"{len(heatmap.values)} maps for fixations on {len(fixations.images)} pictures",
                hint="fixations.on(picture) with its Map, or {picture: Map}",
            )
        return {fixations.images[0]: heatmap}
    wrong = [name for name, one in heatmap.items() if not isinstance(one, Map) or len(one.values) != 1]
    if wrong:
        raise LayoutError(f"'{wrong[0]}' has no single Map", hint="{picture: rg.gaze.predict(rg.image(path))}")
    return dict(heatmap)


def _at_size(given: Mapping[str, Map], fixations: Fixations) -> tuple[dict[str, Any], str]:
    """Maps at the pictures' size, and the words for the title if they had to be resized."""
    import torch

    if fixations.size is None:
        raise LayoutError("the size of the pictures is not known", hint="Fixations(..., size=(height, width))")
    maps, from_sizes = {}, set()
    for name, one in given.items():
        values = torch.from_numpy(one.values).double()
        if values.shape[1:] != fixations.size:
            from_sizes.add(str(one.grid))
            values = torch.nn.functional.interpolate(
                values[:, None], size=fixations.size, mode="bilinear", align_corners=False
            )[:, 0]
        maps[name] = values[0].numpy()
    told = f"; maps resized from {', '.join(sorted(from_sizes)[:3])}" if from_sizes else ""
    return maps, told
