"""`list`, `card` and `papers`: the catalogue's rows, without torch, in 80 columns."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner, Result

from regard import api, bibliography
from regard.cli import app
from regard.errors import MethodError

COMMANDS = (["list"], ["list", "objects", "--json"], ["card", "rollout"], ["papers"], ["papers", "cut", "--cited"])


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def told(*arguments: str) -> str:
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_list_shows_every_method_or_those_of_a_family() -> None:
    shown = told("list").splitlines()
    heads = [line for line in shown if not line.startswith("  ")]
    methods = [line.split()[0] for line in shown if line.startswith("  ")]
    assert methods == api.methods().column("name")
    assert [line.split(",")[0] for line in heads] == list(dict.fromkeys(api.methods().column("family")))
    head, *only = told("list", "objects").splitlines()
    assert head == "objects, 2: patch features -> objects and parts"
    assert [line.split()[0] for line in only] == api.methods("objects").column("name")
    assert only[0].endswith("Principal components of the patch features of each picture.")


def test_list_as_json_is_the_table() -> None:
    assert json.loads(told("list", "metrics", "--json")) == json.loads(json.dumps(api.methods("metrics").to_dict()))


def test_an_unknown_family_names_the_closest() -> None:
    error = invoke("list", "object").exception
    assert isinstance(error, MethodError)
    assert "'objects'" in error.hint


@pytest.mark.parametrize("name", [f"{row[0]}.{row[1]}" for row in api.methods().rows])
def test_a_card_tells_every_fact(name: str) -> None:
    facts = api.card(name)
    shown = " ".join(told("card", name).split())
    for fact in ("claim", "source", "differs"):
        assert f"{fact} {' '.join(facts[fact].split())}" in shown
    assert f"needs {', '.join(facts['needs'])}" in shown
    assert bibliography.paper(facts["paper"]).title in shown
    assert bibliography.paper(facts["paper"]).url in shown
    for option in facts["options"]:
        assert f"option {option['name']}: {option['kind']} = {option['default']!r}" in shown
    assert json.loads(told("card", name, "--json")) == facts


def test_papers_can_be_searched_and_are_counted() -> None:
    table = api.papers("tokencut")
    shown = told("papers", "tokencut")
    assert f"1 papers: 1 {table.column('state')[0]}" in shown or "1 paper: " in shown
    assert shown.splitlines()[2].split()[:3] == ["tokencut", table.column("state")[0], str(table.column("year")[0])]
    everything = told("papers")
    assert f"{len(api.papers().rows)} papers: " in everything
    assert len(everything.splitlines()) == len(api.papers().rows) + 3
    assert len(api.papers(cited=True).rows) > len(api.papers().rows)
    assert "0 papers: none" in told("papers", "no such thing at all")


def test_papers_by_state() -> None:
    for state in ("planned", "built", "works"):
        rows = json.loads(told("papers", "--state", state, "--json"))["rows"]
        assert all(row[1] == state for row in rows)
    assert isinstance(invoke("papers", "--state", "done").exception, MethodError)


def run(*arguments: str, columns: int = 200) -> subprocess.CompletedProcess[str]:
    """The command as a user calls it, in a terminal of any width."""
    environment = os.environ | {"COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-m", "regard", *arguments], capture_output=True, text=True, env=environment, check=False
    )


def test_listing_imports_no_torch() -> None:
    program = (
        "import sys; from typer.testing import CliRunner; from regard.cli import app\n"
        f"for c in {COMMANDS!r} + (['--help'], ['look', '--help']):\n"
        "    done = CliRunner().invoke(app, c)\n"
        "    assert done.exit_code == 0, done.output\n"
        "print(sorted({'torch', 'timm', 'matplotlib', 'PIL', 'skimage', 'scipy', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["list"], ["card", "tokencut"], ["papers", "--cited"], ["papers", "--help"]])
def test_no_line_is_wider_than_80_columns(arguments: list[str]) -> None:
    done = run(*arguments, columns=80)
    assert done.returncode == 0
    assert done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_an_error_is_one_message_and_exit_code_1() -> None:
    done = run("card", "rolout")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("no method named 'rolout'\n  try: 'rollout'")
    assert "Traceback" not in done.stderr
