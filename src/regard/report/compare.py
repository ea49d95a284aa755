"""A comparison as one self-contained page: leaderboards, curves with bands, agreement, cost and failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from regard import files
from regard.report.html import environment_of_templates
from regard.report.pictures import figure_address
from regard.results import Table, _short
from regard.runs.comparison import Comparison, with_words

COLOURS = (  # no grey: that is what random maps are drawn in
    "#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#eab308", "#0e7490", "#be185d", "#4d7c0f", "#0f172a", "#4338ca",
)  # fmt: skip
CURVED = ("deletion", "insertion", "srg", "sensitivity_n")


def write(made: Comparison, folder: Path) -> Path:
    """report.html, whole or not at all."""
    return files.write_text(folder / "report.html", render(made))


def render(made: Comparison) -> str:
    """The page as text."""
    board = made.leaderboard
    groups = []
    for metric in made.plan.metrics:
        for baseline in made.plan.baselines:
            rows = [row[2:] for row in board.rows if row[:2] == (metric, baseline)]
            table = with_words(Table(board.columns[2:], tuple(rows)))
            groups.append({"title": f"{metric}, {baseline} baseline", "table": cells(table, made.plan.methods)})
    template = environment_of_templates().get_template("compare.html")
    return template.render(
        made=made,
        groups=groups,
        intervals=[figure_address(intervals(made, metric)) for metric in made.plan.metrics],
        curves=[figure_address(curves(made, metric)) for metric in made.plan.metrics if metric in CURVED],
        claims=cells(with_words(made.claims), ()),
        agreement=cells(made.agreement, ()),
        masked=cells(made.masked, ()),
        cost=cells(made.cost, made.plan.methods),
    )


def cells(table: Table, methods: tuple[str, ...]) -> dict[str, Any]:
    """Header and rows as text; rows of methods are marked, controls are not."""
    rows = [{"method": row[0] in methods, "cells": [_short(c) for c in row]} for row in table.rows]
    return {"columns": table.columns, "rows": rows}


def intervals(made: Comparison, metric: str) -> Figure:
    """How far each method is over chance on each baseline: every picture, the mean and its BCa interval; the methods
    by their mean on the first baseline, then the controls."""
    baselines = made.plan.baselines
    ranked = [row[2] for row in made.leaderboard.rows if row[:2] == (metric, baselines[0])]
    names = sorted(ranked, key=lambda name: name not in made.plan.methods)[::-1]
    figure = Figure(figsize=(3.6 * len(baselines) + 1.6, 0.3 * len(names) + 1.0), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(baselines), sharey=True))
    for ax, baseline in zip(axes, baselines, strict=True):
        for at, name in enumerate(names):
            gaps, interval = made.gains(metric, baseline, name)
            colour = "#c2410c" if name in made.plan.methods else "0.55"
            ax.plot(gaps, [at] * len(gaps), "|", color=colour, alpha=0.45, ms=7)
            if interval:
                ax.plot(interval, [at, at], "-", color=colour, lw=2.5)
            if gaps:
                ax.plot(np.mean(gaps), at, "o", color=colour, ms=5)
        ax.axvline(0, color="0.3", lw=0.8)
        ax.set_title(f"{metric}, {baseline}: over chance", fontsize=9)
        ax.tick_params(labelsize=7)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    axes[0].set_yticks(range(len(names)), names)
    return figure


def curves(made: Comparison, metric: str) -> Figure:
    """Mean curves of the methods, the band between the quartiles of pictures for the first, and random maps."""
    figure = Figure(figsize=(3.9 * len(made.plan.baselines) + 1.8, 3.2), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(made.plan.baselines), sharey=True))
    for ax, baseline in zip(axes, made.plan.baselines, strict=True):
        for at, name in enumerate((*made.plan.methods, "random")):
            found = [one["curve"] for one in made.scores(metric, baseline, name).values() if one["curve"]]
            if not found:
                continue
            y = np.array([one[1] for one in found])
            x = np.array(found[0][0])
            style = {"color": "0.5", "ls": "--"} if name == "random" else {"color": COLOURS[at % len(COLOURS)]}
            line = ax.plot(x, y.mean(0), lw=1.6, label=name, **style)
            if name in (made.plan.methods[0], "random"):
                low, high = np.percentile(y, [25, 75], axis=0)
                ax.fill_between(x, low, high, color=line[0].get_color(), alpha=0.15, lw=0)
        ax.set_title(f"{metric}, {baseline}", fontsize=9)
        ax.set_xlabel("share of cells", fontsize=8)
        ax.tick_params(labelsize=7)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    handles, labels = axes[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=7)
    return figure
