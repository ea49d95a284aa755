"""The command line: one file a command, each thin over a verb. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from regard import __version__
from regard.cli import bench, catalogue, compare, explain, gaze, heads, interrupt, look, sites
from regard.cli.show import narrow_help, write_error
from regard.errors import RegardError

app = typer.Typer(
    name="regard",
    help="See, score and steer where vision models look - and where people look.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"regard {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    pass


look.add_to(app)
explain.add_to(app)
compare.add_to(app)
heads.add_to(app)
gaze.add_to(app)
sites.add_to(app)
bench.add_to(app)
catalogue.add_to(app)


def main() -> None:
    """Entry point; an error of ours is one message on stderr, not a traceback."""
    narrow_help()
    try:
        app()
    except SystemExit as end:
        if end.code == interrupt.STOPPED:
            interrupt.leave()
        raise
    except RegardError as error:
        write_error("\n  ".join([str(error), *getattr(error, "__notes__", [])]))
        sys.exit(1)
