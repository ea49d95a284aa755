from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from regard.cli import app
from regard.cli.sites import short
from regard.results import Table


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["sites", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_equal_layers_share_a_line_and_lines_fit_the_terminal() -> None:
    told = run("--model", "random:vit_tiny_patch16_224")
    assert "blocks.{0..11}.attn" in told
    assert all(len(line) <= 80 for line in told.splitlines())
    rows = json.loads(run("--model", "random:vit_tiny_patch16_224", "--json"))["rows"]
    assert len(rows) == 12


def test_the_audit_ends_with_its_gap() -> None:
    assert run("--model", "random:vit_tiny_patch16_224", "--audit").split()[-2:] == ["gap", "0"]


FACTS = ("self", "sdpa", 3, 9, 9, None, 1)


@pytest.mark.parametrize(
    ("addresses", "told"),
    [
        (["a.0", "a.1", "a.2"], ["a.{0..2}"]),
        (["a.0", "a.1"], ["a.0", "a.1"]),
        (["a.0", "a.2", "a.4"], ["a.0", "a.2", "a.4"]),
        (["s1.b9.a", "s1.b10.a", "s1.b11.a"], ["s1.b{9..11}.a"]),
        (["s1.b1", "s1.b2", "s2.b1"], ["s1.b1", "s1.b2", "s2.b1"]),
    ],
)
def test_only_addresses_that_count_up_in_one_place_are_drawn_together(addresses: list[str], told: list[str]) -> None:
    columns = ("address", "kind", "path", "heads", "queries", "keys", "grid", "calls")
    table = Table(columns=columns, rows=tuple((a, *FACTS) for a in addresses), title="t")
    assert short(table).column("address") == told
