"""Terminal output: text of at most 80 columns, tables as wide as the terminal, JSON as it is."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from regard.results import Table

WIDTH = 80


def console(*, table: bool = False) -> Console:
    """A console on stdout of at most 80 columns; for a table, of all that the terminal (or COLUMNS) has."""
    from rich.console import Console

    wide = Console()
    return Console(width=wide.width if table else min(WIDTH, wide.width), highlight=False)


def write_json(data: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def write_error(text: str) -> None:
    """An error on stderr, its lines broken at 80 columns; a path is left whole."""
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        folded = textwrap.wrap(
            line, WIDTH, subsequent_indent=indent + "  ", break_long_words=False, break_on_hyphens=False
        )
        sys.stderr.write("\n".join(folded) + "\n")


def narrow_help() -> None:
    """Help pages keep to 80 columns as all other output does; typer would fill the terminal."""
    from typer import rich_utils

    rich_utils.MAX_WIDTH = min(WIDTH, shutil.get_terminal_size().columns)


def write_table(table: Table, *, as_json: bool, squeeze: str = "") -> None:
    """A Table on the terminal; the column `squeeze` is cut to fit, all others are shown whole."""
    if as_json:
        write_json(table.to_dict())
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table as Drawn

    screen = console(table=True)
    cells = [tuple("" if cell is None else str(cell) for cell in row) for row in table.rows]
    widths = [max(map(len, column)) for column in zip(table.columns, *cells, strict=True)]
    if squeeze in table.columns:
        at = table.columns.index(squeeze)
        others = sum(widths) - widths[at] + 2 * len(widths) - 1  # a blank and a rule between columns
        widths[at] = max(6, min(widths[at], screen.width - others))
    drawn = Drawn(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name, width in zip(table.columns, widths, strict=True):
        drawn.add_column(name, no_wrap=True, overflow="ellipsis", width=width)
    for row in cells:
        drawn.add_row(*map(escape, row))
    screen.print(drawn)


def flow(text: str) -> str:
    """Paragraphs of a docstring as single lines, for the terminal to break; examples stay as they are."""
    blocks = text.split("\n\n")
    return "\n\n".join(b if b.lstrip().startswith(">>>") else " ".join(b.split()) for b in blocks)
