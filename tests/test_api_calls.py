"""The verbs about calls, by value; watch and edit have their own tests in core."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.errors import EditError, LayoutError


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    return rg.model("random:vit_tiny_patch16_224")


@pytest.fixture(scope="module")
def x(vit: nn.Module) -> Tensor:
    return rg.image("sample:coffee", like=vit)


def test_sites_by_value(vit: nn.Module, x: Tensor) -> None:
    table = rg.sites(vit, x)
    gives = "q k v out probs"
    assert table.columns == (
        "address", "kind", "path", "heads", "queries", "keys", "grid", "calls", "maps MiB", "gives"
    )  # fmt: skip
    assert table.rows == tuple(
        (f"blocks.{i}.attn", "self", "sdpa", 3, 197, 197, "14x14+1", 1, 0.4, gives) for i in range(12)
    )
    assert table.title == "attention sites of VisionTransformer"
    cnn = rg.model("random:resnet18")
    assert rg.sites(cnn, x).rows == ()


def test_sites_names_what_is_not_covered() -> None:
    coat = rg.model("random:coat_tiny")
    table = rg.sites(coat, rg.image("sample:coffee", like=coat))
    assert {row[2] for row in table.rows} == {"not covered"}
    told = "serial_blocks1.0.factoratt_crpe: softmax without a product with values"
    assert table.rows[0] == (told, "softmax", "not covered", None, None, None, None, 1, 0.0, "nothing yet")


def test_audit_counts_what_nothing_gets_past(vit: nn.Module, x: Tensor) -> None:
    assert rg.audit(vit, x).rows[-2:] == (("calls seen", 12), ("gap", 0))

    class Traced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            q = torch.zeros(1, 2, 3, 4)
            self.hidden = torch.jit.trace(lambda q: F.scaled_dot_product_attention(q, q, q), q)

        def forward(self, q: Tensor) -> Tensor:
            return self.hidden(F.scaled_dot_product_attention(q, q, q))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit itself
        net = Traced()
    assert rg.audit(net, torch.zeros(1, 2, 3, 4)).rows[-2:] == (("calls seen", 1), ("gap", 1))


def test_inputs_may_be_lists_mappings_or_functions(vit: nn.Module, x: Tensor) -> None:
    assert rg.sites(vit, [x]).rows == rg.sites(vit, {"x": x}).rows == rg.sites(vit, x).rows
    by_function = rg.sites(vit, lambda: vit(x))
    assert by_function.rows == rg.sites(vit, x).rows
    assert by_function.title.endswith("(by a real forward)")
    with pytest.raises(LayoutError, match="got int"):
        rg.sites(vit, 3)  # type: ignore[arg-type]


def test_a_name_in_a_models_place_is_refused(x: Tensor) -> None:
    for verb in (
        lambda: rg.watch("dinov2-small"),
        lambda: rg.edit("dinov2-small", rg.edits.temperature(2.0)),
        lambda: rg.sites("dinov2-small", x),
        lambda: rg.audit("dinov2-small", x),
        lambda: rg.explain("dinov2-small", x),
    ):
        with pytest.raises(
            LayoutError, match=r"a model is an nn.Module, got str\n  try: regard.model\('dinov2-small'\)"
        ):
            verb()


def test_an_empty_mapping_of_edits_is_refused(vit: nn.Module) -> None:
    with pytest.raises(EditError, match="an empty mapping edits nothing"):
        rg.edit(vit, {})


def test_a_model_without_attention_is_told_of() -> None:
    table = rg.sites(nn.Flatten(), torch.zeros(1, 3, 8, 8))
    assert (table.rows, table.title) == ((), "attention sites of Flatten: none seen; regard.audit counts what ran")
