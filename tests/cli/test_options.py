"""Options are the verb's own parameters: names, defaults, types and help are read, never typed twice."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, get_args

import pytest
import typer
from typer.testing import CliRunner

from regard import api
from regard.cli.options import options_of, settings_of, with_options
from regard.errors import MethodError


def verb(
    source: str, *, model: str | object = "a", count: int = 3, seed: int = 0, share: float = 0.5, target: Any = None
) -> None:
    """First line.

    model: which one
    count: how many: at least one
    seed: of everything
    """


def told(p: inspect.Parameter) -> tuple[Any, Any]:
    """The type and the typer facts of an option."""
    kind, facts = get_args(p.annotation)
    return kind, facts


def test_options_are_the_keyword_only_parameters_in_order() -> None:
    for one in (verb, api.look):
        wanted = [p for p in inspect.signature(one).parameters.values() if p.kind is p.KEYWORD_ONLY]
        got = options_of(one)
        assert [(p.name, p.default) for p in got] == [(p.name, p.default) for p in wanted]
        assert all(p.kind is p.KEYWORD_ONLY for p in got)


def test_types_and_help_come_from_annotations_and_docstring() -> None:
    facts = {p.name: told(p) for p in options_of(verb)}
    assert {name: kind for name, (kind, _) in facts.items()} == {
        "model": str, "count": int, "seed": int, "share": float, "target": str,
    }  # fmt: skip
    assert {name: option.help for name, (_, option) in facts.items()} == {
        "model": "which one", "count": "how many: at least one", "seed": "of everything", "share": None, "target": None,
    }  # fmt: skip


def test_a_goal_is_given_as_text_or_not_at_all() -> None:
    (target,) = [p for p in options_of(api.look) if p.name == "target"]
    assert told(target)[0] == str | None


def test_every_option_of_look_is_explained() -> None:
    assert all(told(p)[1].help for p in options_of(api.look))


def test_counts_cannot_be_negative_and_those_above_zero_not_zero() -> None:
    assert {p.name: told(p)[1].min for p in options_of(verb)} == {
        "model": None, "count": 1, "seed": 0, "share": None, "target": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("meaningful-perturbation.game=preserve", {"meaningful_perturbation": {"game": "preserve"}}),
        ("forwards=8", {"rise": {"forwards": 8}, "banzhaf": {"forwards": 8}}),
        ("banzhaf.forwards=none", {"banzhaf": {"forwards": None}}),
        ("relu=true", {"gradcam": {"relu": True}}),
        ("p = 1", {"rise": {"p": 1}}),
        ("divide=expectation", {"rise": {"divide": "expectation"}}),
    ],
)
def test_settings_reach_the_methods_that_have_them(text: str, wanted: Any) -> None:
    assert settings_of(["rise", "banzhaf", "gradcam", "meaningful-perturbation"], [text]) == wanted


def test_a_setting_of_none_of_the_methods_is_told_what_they_have() -> None:
    with pytest.raises(MethodError, match="no option 'masks' of rise or gradcam") as caught:
        settings_of(["rise", "gradcam"], ["masks=8"])
    assert caught.value.hint == "rise: forwards, cells, p, baseline, divide; gradcam: relu"


def test_a_command_takes_its_own_parameters_and_the_verbs() -> None:
    got: dict[str, Any] = {}

    def command(name: Annotated[str, typer.Argument(help="Whose.")] = "me", loud: bool = False, **options: Any) -> None:
        """Do it.

        A paragraph that goes on
        over two lines.
        """
        got.update(options, name=name, loud=loud)

    made = with_options(command, options_of(verb))
    app = typer.Typer()
    app.command()(made)
    done = CliRunner().invoke(app, ["you", "--loud", "--count", "7", "--share", "0.25", "--target", "cup"])
    assert done.exit_code == 0, done.output
    assert got == {
        "name": "you", "loud": True, "model": "a", "count": 7, "seed": 0, "share": 0.25, "target": "cup",
    }  # fmt: skip
    assert made.__doc__ == "Do it.\n\nA paragraph that goes on over two lines."
    assert list(inspect.signature(made).parameters) == ["name", "loud", "model", "count", "seed", "share", "target"]


@pytest.mark.parametrize("wrong", [["--count", "0"], ["--seed", "-1"], ["--share", "much"]])
def test_a_wrong_value_is_a_usage_error(wrong: list[str]) -> None:
    app = typer.Typer()
    app.command()(with_options(lambda **_: None, options_of(verb)))
    assert CliRunner().invoke(app, wrong).exit_code == 2
