"""`render`: a look to one HTML text, from the template beside this file."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import colormaps
from numpy.typing import NDArray

from regard.looking.look import Look, Settings, environment
from regard.looking.words import extremes
from regard.report import pictures
from regard.report.cells import shades, text_of
from regard.report.payload import encode
from regard.report.pictures import Drawn
from regard.results import Table
from regard.viz import figures
from regard.viz.colour import SEQUENTIAL

_TITLES = {
    "entropy": "Entropy",
    "distance": "Mean distance",
    "prefix_mass": "Mass on CLS and registers",
    "sink_mass": "Mass on sinks",
}


def environment_of_templates() -> Environment:
    """Autoescaping, and no silent blanks."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("page")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(drawn: Drawn) -> str:
    """The report of one photo."""
    look = drawn.look
    panels = {
        name: {"caption": caption, "src": pictures.data_address(picture)}
        for name, (caption, picture) in drawn.panels.items()
    }
    payload = encode(look.attention) if look.attention is not None else None
    header = payload.header | {"palette": palette()} if payload else None
    levels = [line.level for line in look.trust]
    return (
        environment_of_templates()
        .get_template("report.html")
        .render(
            look=look,
            stage=pictures.data_address(pictures.photo(look, pictures.LARGE), quality=90),
            panels=panels,
            heads=[{"caption": c, "src": pictures.data_address(p)} for c, p in drawn.heads],
            payload=payload,
            header=header,
            atlas=[atlas_table(look, name, t) for name, t in look.attention.tables.items()] if look.attention else [],
            curves=[
                {"name": name, "src": pictures.figure_address(figures.scores([score]))}
                for name, score in (look.verdict.scores.items() if look.verdict else ())
            ],
            again=again(look),
            counts={level: levels.count(level) for level in ("good", "note", "warn")},
            environment=environment(),
            seconds=sum(look.seconds.values()),
        )
    )


def again(look: Look) -> str:
    """Python that makes the numbers of this page again; what cannot be named in a text stays a comment."""
    s, own = look.settings, look.facts.weights == "given by the caller"
    seed = f", seed={s.seed}" if s.model.startswith("random:") and s.seed else ""
    patches = f", patches={s.patches}" if look.facts.fit == "free" and s.patches != Settings.patches else ""
    lines = ["import regard as rg"]
    lines += [f"# model: your own {s.model}"] if own else [f"model = rg.model({_quoted(s.model)}{seed})"]
    lines += [] if look.source else ["# picture: the one you gave"]
    lines += [f"x = rg.image({_quoted(look.source) if look.source else 'picture'}, like=model{patches})"]
    if look.attention is not None:
        lines += [
            'with rg.watch(model, "*", keep=["probs", rg.probes.entropy]) as record:',
            "    model(x)",
            'record.table("entropy").plot()',
        ]
    if look.verdict is not None:
        target = look.verdict.target
        shared = f"target={target}, orders={s.orders}, steps={s.steps}, seed={s.seed}"
        lines += [
            f'heat = rg.explain(model, x, method="gradcam", target={target})',
            f'rg.score(heat, model, x, metric="deletion", {shared})',
        ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A Python string on one line, whatever a file is called."""
    return json.dumps(text, ensure_ascii=False)


def palette() -> str:
    """The 256 colours of overlays, for the page's script."""
    colours = (colormaps[SEQUENTIAL](np.arange(256))[:, :3] * 255).astype(np.uint8)
    return base64.b64encode(colours.tobytes()).decode()


def atlas_table(look: Look, name: str, table: Table) -> dict[str, Any]:
    """One head table as cells with a colour and readable ink, its extreme head marked."""
    values = table.numbers()
    marked = _marks(look, name)
    rows = table_rows(values, tuple(row[0] for row in table.rows), marked)
    unit_name = next(iter(table.units.values()), "")
    title = _TITLES[name]
    if name == "prefix_mass" and look.attention is not None and look.attention.grid.prefix == 1:
        title = "Mass on CLS"
    return {"title": title, "unit": unit_name, "rows": rows, "heads": values.shape[1]}


def table_rows(values: NDArray[Any], sites: Sequence[str], marked: Collection[tuple[int, int]]) -> list[dict[str, Any]]:
    """Rows of `[L, H]` as cells with a colour and readable ink, the marked heads outlined."""
    rows = []
    for layer, (row, colours) in enumerate(zip(values, shades(values), strict=True)):
        cells = [
            {
                "text": text_of(value),
                "fill": colour.fill if colour else "transparent",
                "ink": colour.ink if colour else "inherit",
                "mark": (layer, head) in marked,
            }
            for head, (value, colour) in enumerate(zip(row, colours, strict=True))
        ]
        rows.append({"site": sites[layer], "cells": cells})
    return rows


def _marks(look: Look, name: str) -> set[tuple[int, int]]:
    assert look.attention is not None
    found = extremes(look.attention)
    if name == "sink_mass" and not look.attention.tables[name].numbers()[found["sink"]] > 0:
        return set()  # the sentence names no head then, so none is outlined
    chosen = {"distance": ("local", "global"), "entropy": ("sharp",), "sink_mass": ("sink",)}.get(name, ())
    return {found[which] for which in chosen}
