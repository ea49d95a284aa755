from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import LayoutError, SiteError
from regard.testing.planted import CELLS, PlantedViT, planted_pictures

GRID = rg.Grid(CELLS, CELLS, prefix=1)
X = planted_pictures([(2, 5), (6, 1)])


def masked(model: nn.Module, mask: Tensor, select: str) -> Tensor:
    with torch.no_grad(), rg.edit(model, lambda call: call.biased(mask), select):
        return model(X)


@pytest.mark.parametrize("select", ["*", "blocks.1.attn"])
def test_equals_a_mask_in_the_model_itself(select: str) -> None:
    model = PlantedViT()
    near = rg.patterns.neighborhood(GRID, 3)
    with torch.no_grad(), rg.swap(model, select, pattern=near) as swapped:
        got = model(X)
    torch.testing.assert_close(got, masked(model, near.mask(), select), rtol=1e-5, atol=1e-6)
    table = swapped.table()
    assert set(table.column("site")) == ({"blocks.1.attn"} if select != "*" else set(table.column("site")))
    assert all(abs(kept - near.count() / 65**2) < 1e-12 for kept in table.column("pairs left"))
    assert all(0 < change < 2 for change in table.column("change of output"))


def test_the_change_is_that_of_the_calls_own_output() -> None:
    model, near = PlantedViT(), rg.patterns.neighborhood(GRID, 3)
    with torch.no_grad():
        with rg.watch(model, "blocks.0.attn", keep="out") as plain:
            model(X)
        with (
            rg.swap(model, "blocks.0.attn", pattern=near) as swapped,
            rg.watch(model, "blocks.0.attn", keep="out") as seen,
        ):
            model(X)
    before, after = (r["blocks.0.attn"]["out"] for r in (plain, seen))
    expected = float((after - before).norm() / before.norm())
    assert swapped.table().column("change of output") == [pytest.approx(expected, rel=1e-4)]


def test_a_pattern_that_sees_all_changes_nothing_and_nothing_is_left() -> None:
    model = PlantedViT()
    with torch.no_grad():
        plain = model(X)
        with rg.swap(model, pattern=rg.patterns.dense(GRID)) as swapped:
            torch.testing.assert_close(model(X), plain, rtol=1e-5, atol=1e-6)
        assert max(swapped.table().column("change of output")) < 1e-5
        assert model(X).equal(plain)


def test_made_of_each_calls_own_queries_and_keys() -> None:
    model = PlantedViT()
    with torch.no_grad(), rg.swap(model, pattern=lambda q, k: rg.patterns.top_k(q, k, keep=5)) as swapped:
        model(X)
    assert all(kept == pytest.approx(5 / 65) for kept in swapped.table().column("pairs left"))


def test_calls_that_are_edited_or_made_by_hand_are_masked_and_normalised_again() -> None:
    model, near = PlantedViT(), rg.patterns.neighborhood(GRID, 3)
    with torch.no_grad():
        with rg.edit(model, rg.edits.bias(torch.zeros(65))), rg.swap(model, pattern=near, compare=False) as swapped:
            fused = model(X)
        with rg.edit(model, lambda logits: logits * 1.0), rg.swap(model, pattern=near) as by_rows:
            rows = model(X)
    torch.testing.assert_close(rows, fused, rtol=1e-5, atol=1e-6)
    assert set(by_rows.table().column("impl")) == {"rows"}
    assert set(swapped.table().column("change of output")) == {None}


def test_gradients_go_through() -> None:
    model, near = PlantedViT(), rg.patterns.neighborhood(GRID, 3)
    x = X.clone().requires_grad_()
    with rg.swap(model, pattern=near):
        (got,) = torch.autograd.grad(model(x)[:, 1].sum(), x)
    with rg.edit(model, lambda call: call.biased(near.mask())):
        (expected,) = torch.autograd.grad(model(x)[:, 1].sum(), x)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_refusals() -> None:
    model = PlantedViT()
    with (
        pytest.raises(LayoutError, match=r"65 queries and 65 keys, neighborhood.* is for 64 and 64"),
        rg.swap(model, pattern=rg.patterns.neighborhood((8, 8), 3)),
    ):
        model(X)
    with pytest.raises(SiteError), rg.swap(model, "nowhere", pattern=rg.patterns.dense(GRID)):
        model(X)
