"""What is drawn is what was measured: bars as long as the gains, marks at the bounds, a line for each operator."""

from regard.results import Table
from regard.viz.bench import plot_crossovers, plot_speedups

COLUMNS = ("pattern", "impl", "pass", "times dense", "bound")


def test_bars_are_gains_and_marks_are_bounds() -> None:
    rows = (
        ("p", "dense", "forward", 1.0, 1.0),
        ("p", "tiled", "forward", 6.5, 9.0),
        ("p", "flex", "forward", None, 9.0),
    )
    ax = plot_speedups(Table(COLUMNS, rows), "here")
    assert [bar.get_width() for bar in ax.patches] == [6.5]
    assert list(ax.lines[0].get_xdata()) == [9.0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["p\ntiled, forward"]


def test_lines_are_gains_over_length() -> None:
    rows = (("linear", "self", 64, 0.5), ("linear", "self", 256, 2.0), ("flow", "cross", 64, 3.0))
    ax = plot_crossovers(Table(("operator", "kind", "length", "times plain"), rows), "here")
    assert list(ax.lines[0].get_xdata()) == [64, 256]
    assert list(ax.lines[0].get_ydata()) == [0.5, 2.0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["linear, self", "flow, cross"]


def test_nothing_measured_is_an_empty_figure() -> None:
    assert not plot_speedups(Table(COLUMNS, ()), "here").patches
