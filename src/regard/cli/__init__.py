"""The command line: one file a command, each thin over a verb. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import sys

import typer

from regard.cli import catalogue, look
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
look.add_to(app)
catalogue.add_to(app)


def main() -> None:
    """Entry point; an error of ours is one message on stderr, not a traceback."""
    narrow_help()
    try:
        app()
    except RegardError as error:
        write_error("\n  ".join([str(error), *getattr(error, "__notes__", [])]))
        sys.exit(1)
