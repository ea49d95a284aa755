"""`see` against the explicit attention matrix: rows, pooled cells and tables are what the formulas say."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.looking import attention
from regard.looking.attention import TABLES, Attention, cls_map, see

from .vits import ByHand, Recurrent, cnn, explicit, planted, vit, with_registers, without_prefix

ODD = (20, 28)  # 5 x 7 patches: cells of 2 x 2 do not come out even


def pictures(size: tuple[int, int] = (32, 32), *, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


def looked(model: nn.Module, x: Tensor) -> Attention:
    seen, _ = see(model, x)
    assert seen is not None
    return seen


MODELS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "CLS": lambda: (vit(), pictures()),
    "registers": lambda: (with_registers(), pictures()),
    "no prefix": lambda: (without_prefix(), pictures()),
    "odd grid": lambda: (vit(size=ODD), pictures(ODD)),
    "planted": lambda: (planted(), pictures()),
}


@pytest.fixture(scope="module", params=MODELS)
def seen(request: pytest.FixtureRequest) -> Attention:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "CELLS", 10)  # cells of more than one patch on these small grids
        return looked(*MODELS[request.param]())


def test_rows_are_those_of_the_explicit_matrix(seen: Attention) -> None:
    for layer in range(len(seen.sites)):
        p = explicit(seen, layer)
        wanted = p[:, 0] if seen.grid.prefix else p.mean(1)
        np.testing.assert_allclose(seen.rows[layer], wanted.numpy(), rtol=1e-5, atol=1e-7)
    assert seen.who == ("CLS" if seen.grid.prefix else "received")
    assert seen.rows.shape == (len(seen.sites), seen.heads, seen.grid.tokens)


def test_pooled_is_the_explicit_matrix_averaged_over_cells_of_queries(seen: Attention) -> None:
    grid, cell = seen.grid, seen.cell
    assert cell == max(1, round(math.sqrt(grid.patches / 10)))
    assert cell > 1
    for layer in range(len(seen.sites)):
        p = explicit(seen, layer)[:, grid.prefix :, grid.prefix :].reshape(seen.heads, grid.h, grid.w, -1)
        wanted = [
            p[:, y : y + cell, x : x + cell].flatten(1, 2).mean(1)
            for y in range(0, grid.h, cell)
            for x in range(0, grid.w, cell)
        ]
        np.testing.assert_allclose(seen.pooled[layer], torch.stack(wanted, 1).numpy(), rtol=1e-5, atol=1e-7)


def test_tables_are_the_formulas_on_the_explicit_matrix(seen: Attention) -> None:
    grid = seen.grid
    assert set(seen.tables) == set(TABLES)
    got = {name: table.numbers() for name, table in seen.tables.items()}
    at = torch.tensor([(y, x) for y in range(grid.h) for x in range(grid.w)], dtype=torch.float64)
    lengths = (at[:, None] - at[None]).square().sum(-1).sqrt()
    for layer in range(len(seen.sites)):
        p = explicit(seen, layer)
        entropy = -(p * p.clamp_min(1e-300).log2()).sum(-1).mean(1)
        on_patches = p[:, grid.prefix :, grid.prefix :]
        distance = ((on_patches * lengths).sum(-1) / on_patches.sum(-1)).mean(1)
        received = p.mean(1)
        sinks = torch.where(received > 10 / grid.tokens, received, 0.0).sum(-1)
        np.testing.assert_allclose(got["entropy"][layer], entropy.numpy(), rtol=1e-4)
        np.testing.assert_allclose(got["distance"][layer], distance.numpy(), rtol=1e-4)
        np.testing.assert_allclose(got["prefix_mass"][layer], received[:, : grid.prefix].sum(-1), rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(got["sink_mass"][layer], sinks.numpy(), rtol=1e-4, atol=1e-7)


def test_maps_lay_the_patches_out_row_by_row(seen: Attention) -> None:
    maps = seen.maps()
    assert maps.shape == (len(seen.sites), seen.heads, seen.grid.h, seen.grid.w)
    for y, x in ((0, 0), (1, 0), (seen.grid.h - 1, seen.grid.w - 2)):
        index = seen.grid.prefix + y * seen.grid.w + x
        assert np.array_equal(maps[:, :, y, x], seen.rows[:, :, index])


def test_the_red_patch_is_where_the_planted_model_looks() -> None:
    x = torch.zeros(1, 3, 32, 32)
    x[0, 0, 8:12, 20:24] = 2.0
    maps = looked(planted(), x).maps()
    assert all(np.unravel_index(one.argmax(), one.shape) == (2, 5) for one in maps.reshape(-1, 8, 8))


def test_counts_and_seconds() -> None:
    one = looked(vit(), pictures())
    assert one.sites == ("blocks.0.attn", "blocks.1.attn", "blocks.2.attn")
    assert (one.calls, one.heads, str(one.grid), one.cell) == (3, 2, "8x8+1", 1)
    assert one.patch_site == "patch_embed.proj"
    assert one.record.error < 1e-5
    assert one.seconds_plain > 0
    assert one.seconds_watched > 0


@pytest.mark.parametrize("make", [vit, without_prefix])
def test_cls_map_is_the_mean_of_the_heads_of_the_last_layer(make: Callable[[], nn.Module]) -> None:
    model, x, other = make(), pictures(), pictures(seed=1)
    one = looked(model, x)
    np.testing.assert_allclose(cls_map(model, x, one), one.maps()[-1].mean(0), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(cls_map(model, other, one), looked(model, other).maps()[-1].mean(0), rtol=1e-5)


def test_a_block_used_three_times_is_three_layers() -> None:
    model, x = Recurrent().eval(), pictures()
    one = looked(model, x)
    assert one.sites == ("block.attn", "block.attn[1]", "block.attn[2]")
    assert one.rows.shape == (3, 2, 65)
    np.testing.assert_allclose(cls_map(model, x, one), one.maps()[-1].mean(0), rtol=1e-5)


def test_layers_with_another_number_of_heads_are_left_out_and_counted() -> None:
    model = vit()
    model.blocks[0].attn.num_heads, model.blocks[0].attn.head_dim = 4, 4
    model.blocks[0].attn.scale = 0.5
    one = looked(model, pictures())
    assert one.sites == ("blocks.1.attn", "blocks.2.attn")
    assert one.calls == 3


def test_no_attention_is_none() -> None:
    seen, uncovered = see(cnn(), pictures())
    assert seen is None
    assert not uncovered


def test_what_is_not_covered_is_handed_on() -> None:
    seen, uncovered = see(ByHand().eval(), pictures())
    assert seen is not None
    assert seen.calls == 1
    assert sum(uncovered.values()) == 1
    assert "have no known head axis" in next(iter(uncovered))
    assert seen.not_covered == uncovered


def test_dinov2_rows_are_those_of_its_q_and_k(dinov2: nn.Module) -> None:
    one = looked(dinov2, rg.image("sample:coffee", like=dinov2, patches=130))
    assert (one.heads, len(one.sites), one.grid.prefix, one.cell) == (6, 12, 1, 1)
    for layer in (0, 11):
        p = explicit(one, layer)
        np.testing.assert_allclose(one.rows[layer], p[:, 0].numpy(), rtol=2e-4, atol=1e-6)
        np.testing.assert_allclose(one.pooled[layer], p[:, 1:, 1:].numpy(), rtol=2e-4, atol=1e-6)
