"""docs/coverage.md is what the zoo's models do: all of its names, and rows of each kind measured anew."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import regard as rg

from . import coverage
from .builders import ZOO
from .coverage import FAMILIES, PAGE, PREFIX, measure, page

TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n\n\|.+\n\|.+\n((?:\|.+\n)+)", TEXT, re.M))
SOME = (
    "timm vit", "timm xcit", "timm swin", "timm gcresnet", "timm hiera with as many windows as heads", "timm coat",
    "timm convnext", "torch mha with itself", "hf detr", "hf llama", "diffusers unet",
)  # fmt: skip


def test_the_page_names_the_whole_zoo() -> None:
    assert list(SECTIONS) == list(FAMILIES)
    assert [name for table in FAMILIES.values() for name in table] == list(ZOO)
    for title, table in FAMILIES.items():
        named = [line.split(" | ")[0].removeprefix("| ") for line in SECTIONS[title].splitlines()]
        assert named == [PREFIX.sub("", name) for name in table]
    assert len(ZOO) == int(re.search(r"\*\*(\d+) variants", TEXT)[1])  # type: ignore[index]


def test_the_page_counts_the_calls_of_the_tables() -> None:
    for title, table in FAMILIES.items():
        calls = [int(line.split(" | ")[1]) for line in SECTIONS[title].splitlines()]
        assert calls == [variant.calls for variant in table.values()]
    assert sum(v.calls for v in ZOO.values()) == int(re.search(r"(\d+) attention calls", TEXT)[1])  # type: ignore[index]


@pytest.mark.parametrize("name", SOME)
def test_a_row_is_what_the_model_does(name: str) -> None:
    assert f"\n{measure(name, ZOO[name])}\n" in TEXT


def test_a_page_is_made_of_rows() -> None:
    row = measure("timm vit", ZOO["timm vit"])
    assert f"{row}\n" in page({"timm": [row]})
    assert str(row) == "| vit | 2 | sdpa | 3 x 5 x 5 | yes |  |"


def test_an_edit_that_leaves_output_makes_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault."""
    model: nn.Module
    model, forward = ZOO["timm vit"]()
    with rg.watch(model) as record:
        forward()
    monkeypatch.setattr(rg.edits, "ablate", lambda: rg.edits.scale_heads(0.5))
    with pytest.raises(RuntimeError, match="ablated heads gave something"):
        coverage.edited(model, forward, record)
    assert torch.is_grad_enabled()
