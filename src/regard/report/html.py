"""`render`: a look to one HTML text, from the template beside this file."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import colormaps

from regard.looking.look import Look, Settings, environment
from regard.looking.words import extremes
from regard.report import pictures
from regard.report.payload import encode
from regard.report.pictures import Drawn
from regard.results import Table
from regard.viz import figures
from regard.viz.colour import SEQUENTIAL, TABLE

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
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    marked = _marks(look, name)
    rows = []
    for layer, row in enumerate(values):
        cells = []
        for head, value in enumerate(row):
            unit = (value - low) / (high - low) if high > low else 0.5
            red, green, blue = (int(255 * c) for c in colormaps[TABLE](unit)[:3])
            cells.append(
                {
                    "text": f"{value:.2f}" if value < 9.995 else f"{value:.1f}",
                    "fill": f"rgb({red},{green},{blue})",
                    "ink": ink_on(red, green, blue),
                    "mark": (layer, head) in marked,
                }
            )
        rows.append({"site": table.rows[layer][0], "cells": cells})
    unit_name = next(iter(table.units.values()), "")
    title = _TITLES[name]
    if name == "prefix_mass" and look.attention is not None and look.attention.grid.prefix == 1:
        title = "Mass on CLS"
    return {"title": title, "unit": unit_name, "rows": rows, "heads": values.shape[1]}


def ink_on(red: int, green: int, blue: int) -> str:
    """Black or white, whichever stands out more: at least 4.5 to 1 in WCAG's measure, on any colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red / 255, green / 255, blue / 255)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000" if luminance > 0.179 else "#fff"


def _marks(look: Look, name: str) -> set[tuple[int, int]]:
    assert look.attention is not None
    found = extremes(look.attention)
    if name == "sink_mass" and not look.attention.tables[name].numbers()[found["sink"]] > 0:
        return set()  # the sentence names no head then, so none is outlined
    chosen = {"distance": ("local", "global"), "entropy": ("sharp",), "sink_mass": ("sink",)}.get(name, ())
    return {found[which] for which in chosen}
