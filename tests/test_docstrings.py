"""Every example in a docstring runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from regard import api, api_calls, api_heads, registry

ROOMS = (
    "core",
    "subjects",
    "probes",
    "edits",
    "explainers",
    "metrics",
    "objects",
    "operators",
    "patterns",
    "softmax",
    "models",
    "gaze",
    "gaze.architectures",
    "gaze.comparisons",
    "gaze.events",
    "gaze.foveation",
    "gaze.metrics",
    "gaze.predictors",
    "gaze.stimuli",
    "backbones",
    "claims",
    "concepts",
    "vlm.decoders",
)
FILES = (
    "api",
    "api_calls",
    "api_heads",
    "layout",
    "files",
    "progress",
    "errors",
    "registry",
    "results",
    "bibliography",
)


def modules_with_examples() -> Iterator[Any]:
    """Modules by their full names: `regard.probes.entropy`, the attribute, is the function."""
    names = [f"regard.{name}" for name in FILES]
    for room in ROOMS:
        folder = str(Path(inspect.getfile(api)).parent / room.replace(".", "/"))
        names += [f"regard.{room}.{m.name}" for m in pkgutil.iter_modules([folder]) if not m.ispkg]
    for name in names:
        module = importlib.import_module(name)
        assert inspect.ismodule(module)
        yield module


EXAMPLES = [
    example
    for module in modules_with_examples()
    for example in doctest.DocTestFinder(exclude_empty=True).find(module)
    if example.examples
]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_example_in_docstring(example: doctest.DocTest) -> None:
    told: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    with torch.random.fork_rng(devices=[]):  # an example may draw as its reader would
        runner.run(example, out=told.append, clear_globs=False)
    assert runner.failures == 0, "".join(told)


def test_every_verb_and_every_method_has_an_example() -> None:
    have = {example.name for example in EXAMPLES}
    for file in (api, api_calls, api_heads):
        verbs = {n for n, f in vars(file).items() if inspect.isfunction(f) and f.__module__ == file.__name__}
        assert {f"{file.__name__}.{name}" for name in verbs if not name.startswith("_")} <= have
    for family in registry.FAMILIES:
        assert {f"regard.{family}.{name}.{name}" for name in registry.cards(family)} <= have


def test_a_wrong_example_is_noticed() -> None:
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    with pytest.raises(AssertionError, match=r"Got:\s+2"):
        test_example_in_docstring(example)
