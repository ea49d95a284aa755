"""What is drawn is what was measured: bars as long as the gains, marks at the bounds, a line for each operator."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from regard.results import Table
from regard.viz.bench import COLOURS, plot_crossovers, plot_speedups, spread

COLUMNS = ("pattern", "impl", "pass", "times dense", "bound", "took")


def labels(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_yticklabels()]


def test_bars_are_gains_and_marks_are_bounds() -> None:
    rows = (
        ("p", "dense", "forward", 1.0, 1.0, None),
        ("p", "auto", "forward", 6.5, 9.0, "tiled"),
        ("p", "flex", "forward", None, 9.0, None),
        ("q", "dense (ours)", "forward", 0.5, 3.0, "dense"),
    )
    ax = plot_speedups(Table(COLUMNS, rows), "here")
    assert [bar.get_width() for bar in ax.patches] == [6.5, 0.5]
    assert list(ax.lines[0].get_xdata()) == [9.0, 3.0]
    assert labels(ax) == ["p", "auto: tiled", "q", "dense (ours)"]
    places = [bar.get_y() + bar.get_height() / 2 for bar in ax.patches]
    assert places == pytest.approx([1.0, 3.0])  # below the names of their patterns
    bottom, top = ax.get_ylim()
    assert top < 0 < 3 < bottom  # every name is in the picture
    assert [text.get_text().strip() for text in ax.texts] == ["6.5 of 9.0", "0.5 of 3.0"]


def test_the_pass_is_named_where_there_are_two() -> None:
    rows = (("p", "tiled", "forward", 2.0, 3.0, "tiled"), ("p", "tiled", "both", 1.5, 3.0, "tiled"))
    assert labels(plot_speedups(Table(COLUMNS, rows), "here")) == ["p", "tiled, forward", "tiled, both"]


def outside(ax: Any) -> None:
    """The legend and all names at ends of lines lie outside of the frame that holds the data."""
    figure = ax.figure
    figure.draw_without_rendering()
    frame = ax.get_window_extent()
    boxes = [text.get_window_extent() for text in ax.texts]
    if ax.get_legend():
        boxes.append(ax.get_legend().get_window_extent())
    assert boxes
    for box in boxes:
        assert box.x0 >= frame.x1 - 1 or box.y0 >= frame.y1 - 1
    for one, other in itertools.combinations(boxes, 2):
        assert not (one.y0 + 1 < other.y1 and other.y0 + 1 < one.y1)


def operators(count: int, kinds: tuple[str, ...] = ("self",)) -> Table:
    rng = np.random.default_rng(0)
    rows = [
        (f"operator_{i}", kind, length, float(np.exp(rng.normal(0, 1.5))))
        for kind in kinds for i in range(count) for length in (64, 256)
    ]  # fmt: skip
    return Table(("operator", "kind", "length", "times plain"), tuple(rows))


def test_lines_are_gains_over_length_with_their_names_at_their_ends() -> None:
    rows = (("linear", "self", 64, 0.5), ("linear", "self", 256, 2.0), ("flow", "cross", 64, 3.0))
    table = Table(("operator", "kind", "length", "times plain"), rows)
    first, second = plot_crossovers(table, "here").figure.axes
    assert list(first.lines[0].get_xdata()) == [64, 256]
    assert list(first.lines[0].get_ydata()) == [0.5, 2.0]
    assert [text.get_text() for text in first.texts] == ["linear"]
    assert first.texts[0].get_color() == first.lines[0].get_color()
    assert first.texts[0].get_position()[1] == pytest.approx(2.0)
    assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("self", "cross")
    ax = plot_crossovers(table, "here", ax=first)
    assert ax is first
    assert {text.get_text() for text in ax.texts} >= {"linear, self", "flow, cross"}


def test_thirty_five_operators_are_a_handful_a_panel_and_no_name_covers_another() -> None:
    table = operators(35)
    axes = plot_crossovers(table, "here").figure.axes
    assert len(axes) == 6
    named = [[text.get_text() for text in ax.texts] for ax in axes]
    assert sorted(name for some in named for name in some) == sorted(set(table.column("operator")))
    last = {name: gain for name, _, length, gain in table.rows if length == 256}
    ranked = [max(last[name] for name in some) for some in named]
    assert ranked == sorted(ranked, reverse=True)  # the fastest first
    for ax in axes:
        assert len(ax.texts) <= len(COLOURS)
        assert len({line.get_color() for line in ax.lines[:-1]}) == len(ax.texts)
        outside(ax)
    assert len({ax.get_ylim() for ax in axes}) == 1  # panels can be compared


def test_the_legend_of_bars_is_outside() -> None:
    rows = (("p", "tiled", "forward", 2.0, 3.0, "tiled"),)
    ax = plot_speedups(Table(COLUMNS, rows), "here")
    for text in ax.texts:
        text.remove()  # these belong beside their bars
    outside(ax)


def test_nothing_measured_is_an_empty_figure() -> None:
    assert not plot_speedups(Table(COLUMNS, ()), "here").patches
    assert not plot_crossovers(Table(("operator", "kind", "length", "times plain"), ()), "here").texts


@pytest.mark.parametrize("seed", range(4))
def test_names_move_as_little_as_may_be(seed: int) -> None:
    values = np.sort(np.random.default_rng(seed).normal(size=6))
    got = np.array(spread(values.tolist(), 0.5))
    assert (np.diff(got) >= 0.5 - 1e-9).all()
    limits = [{"type": "ineq", "fun": lambda y, i=i: y[i + 1] - y[i] - 0.5} for i in range(5)]
    best = minimize(lambda y: ((y - values) ** 2).sum(), np.arange(6.0), constraints=limits)
    assert ((got - values) ** 2).sum() == pytest.approx(best.fun, abs=1e-5)
