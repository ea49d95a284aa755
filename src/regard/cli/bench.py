"""`regard bench`: attention under patterns, and operators, timed on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regard.cli.show import console, write_error, write_json, write_table
from regard.results import Table

if TYPE_CHECKING:
    from regard.bench import Bench

group = typer.Typer(
    help="Time attention on this machine.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Out = Annotated[Path, typer.Option(help="Folder for bench.json and bench.png.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Rounds = Annotated[int, typer.Option(help="Each runs all ways in turn; medians are told.", min=1)]
Heads = Annotated[int, typer.Option(help="Heads.", min=1)]
Dim = Annotated[int, typer.Option(help="Width of a head.", min=1)]
AllThreads = Annotated[bool, typer.Option("--all-threads", help="All threads by the clock, not one by its own time.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(group, name="bench", short_help="Time attention on this machine.")


@group.command("attention", short_help="Patterns x sizes x implementations of rg.attend.")
def attention(
    patterns: Annotated[
        list[str] | None, typer.Argument(help="As after rg.patterns.: 'neighborhood(7)'.", show_default="three of them")
    ] = None,
    size: Annotated[str, typer.Option(help="Of the axes, with commas: 56x56,112x112.")] = "56x56",
    impl: Annotated[str, typer.Option(help="Implementations, with commas.")] = "auto",
    batch: Annotated[int, typer.Option(help="Pictures.", min=1)] = 1,
    heads: Heads = 3,
    dim: Dim = 32,
    backward: Annotated[bool, typer.Option("--backward", help="Time gradients, too.")] = False,
    rounds: Rounds = 7,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    all_threads: AllThreads = False,
    out: Out = Path("regard-bench"),
    json: Json = False,
) -> None:
    """Time patterns x sizes x implementations of rg.attend beside dense attention with a mask.

    Told: milliseconds, how many times faster than dense, the bound that tiles set, and the share of
    this machine's own floor (matrix products and copies, measured in the same run).
    """
    from regard.bench.attention import Shape
    from regard.bench.attention import attention as run

    given = {} if not patterns else {"patterns": patterns}
    made = run(
        **given, sizes=_split(size), impls=_split(impl), shape=Shape(batch, heads, dim), backward=backward,
        rounds=rounds, device=device, one_thread=not all_threads,
    )  # fmt: skip
    _tell(made, _chosen(made.table), out, json)


@group.command("operators", short_help="Operators in CAB's four kinds, and their crossover lengths.")
def operators(
    names: Annotated[list[str] | None, typer.Argument(help="Operators.", show_default="all of the kinds")] = None,
    kind: Annotated[str, typer.Option(help="self, causal self, cross, causal cross; with commas, or all.")] = "self",
    length: Annotated[str, typer.Option(help="Tokens, with commas; squares suit grids.")] = "256,1024,4096",
    heads: Heads = 3,
    dim: Dim = 32,
    rounds: Rounds = 5,
    all_threads: AllThreads = False,
    out: Out = Path("regard-bench"),
    json: Json = False,
) -> None:
    """Time operators beside plain softmax attention, and tell from what length on each is faster."""
    from regard.bench.operators import operators as run
    from regard.registry import KINDS

    try:
        lengths = [int(n) for n in _split(length)]
    except ValueError:
        write_error(f"--length {length}: whole numbers with commas, as in 256,1024")
        raise typer.Exit(2) from None
    kinds = KINDS if kind == "all" else _split(kind)
    made = run(names, kinds=kinds, lengths=lengths, heads=heads, dim=dim, rounds=rounds, one_thread=not all_threads)
    _tell(made, _by_length(made.table), out, json)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _tell(made: Bench, shown: Table, out: Path, as_json: bool) -> None:
    written = made.write(out)
    if as_json:
        write_json(made.to_dict())
        return
    screen = console()
    screen.print(str(made.machine), markup=False)
    write_table(shown, as_json=False, squeeze=shown.columns[0])
    for note in made.notes:
        screen.print(note, markup=False)
    screen.print("written: " + ", ".join(map(str, written)), markup=False, soft_wrap=True)


def _chosen(table: Table) -> Table:
    """The columns that fit and vary, of the ways that ran, with numbers as they are read."""
    from regard.viz.bench import way

    shown = {"pattern": "pattern", "impl": "impl", "pass": "pass", "ms": "ms", "times dense": "x dense",
             "bound": "bound", "share of floor": "floor"}  # fmt: skip
    if len(set(table.column("pass"))) == 1:
        del shown["pass"]
    told = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    rows = (one | {"impl": way(one["impl"], one["took"])} for one in told if one["ms"] is not None)
    return Table(tuple(shown.values()), tuple(tuple(_short(row[name]) for name in shown) for row in rows))


def _by_length(table: Table) -> Table:
    """Operators with a column of gains for each length."""
    lengths = sorted(set(table.column("length")))
    rows: dict[tuple[str, str], dict[object, object]] = {}
    for operator, kind, length, *_, gain, meet in table.rows:
        rows.setdefault((operator, kind), {"crossover": meet})[length] = _short(gain)
    cells = [(*key, *(row.get(n, "") for n in lengths), row["crossover"]) for key, row in rows.items()]
    return Table(("operator", "kind", *(f"x at {n}" for n in lengths), "crossover"), tuple(cells))


def _short(cell: object) -> object:
    return f"{cell:.2f}" if isinstance(cell, float) else cell
