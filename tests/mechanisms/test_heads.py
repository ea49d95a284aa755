"""Heads are found where the module says how many there are, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.core.scope import Maker
from regard.mechanisms.heads import Layout, common, fits, layout, number_of_heads

from .test_eager import captured


def module(heads: int | None, name: str = "num_heads") -> nn.Module:
    one = nn.Identity()
    if heads is not None:
        setattr(one, name, heads)
    return one


@pytest.mark.parametrize("name", ["num_heads", "num_attention_heads", "n_heads", "heads", "nhead"])
def test_modules_tell_their_number_of_heads(name: str) -> None:
    assert number_of_heads(module(3, name)) == 3
    assert number_of_heads(module(0, name)) is None
    assert number_of_heads(module(None)) is None


@pytest.mark.parametrize(
    ("lead", "heads", "found"),
    [
        ((2, 3), None, Layout((2, 3), 1, 3)),
        ((8, 3), 3, Layout((8, 3), 1, 3)),
        ((2, 3), 6, Layout((2, 3), 1, 3)),  # fewer than the module says: a part of them, but in their place
        ((16, 4), 8, None),  # batch x heads, blocks: HaloNet
        ((6,), 3, Layout((6,), None, 3)),
        ((6,), 4, None),
        ((6,), None, None),
        ((2, 3, 5), 3, Layout((2, 3, 5), 1, 3)),
        ((2, 5, 3), 3, Layout((2, 5, 3), 2, 3)),
        ((3, 5, 3), 3, Layout((3, 5, 3), 2, 3)),
        ((2, 3, 3), 3, None),
        ((2, 5, 7), 3, None),
        ((2, 5, 3), None, None),
        ((), 3, None),
    ],
)
def test_the_head_axis_is_known_or_not_taken(lead: tuple[int, ...], heads: int | None, found: Layout | None) -> None:
    assert layout(lead, Maker(module(heads))) == found


@pytest.mark.parametrize(
    ("lead", "heads", "batches", "found"),
    [
        (6, 3, {2}, 3),  # two pictures of three heads
        (24, 3, {2}, 3),  # four windows of each
        (4, 4, {4}, 1),  # four pictures of one head, of a module that has four: EfficientViT
        (4, None, {4}, 1),
        (5, None, {4}, None),
        (12, 4, {4}, None),  # not whole batches, and no batch
        (8, 4, {8, 2}, 4),  # eight pictures for two texts: the texts' batch is whole
    ],
)
def test_batches_tell_merged_heads_from_single_ones(
    lead: int, heads: int | None, batches: set[int], found: int | None
) -> None:
    got = layout((lead,), Maker(module(heads), frozenset(batches)))
    assert (got and got.heads) == found


def test_torchs_own_module_is_believed_whatever_the_batch() -> None:
    attention = torch.nn.MultiheadAttention(12, 4, device="meta")
    assert layout((8,), Maker(attention, frozenset({5}))) == Layout((8,), None, 4)


@pytest.mark.parametrize(("lead", "heads"), [((2, 3), 3), ((6,), 3), ((2, 3, 5), 3), ((2, 5, 3), 3), ((2, 3, 5, 4), 3)])
def test_the_models_own_layout_comes_back(lead: tuple[int, ...], heads: int) -> None:
    found = layout(lead, Maker(module(heads)))
    assert found is not None
    x = torch.arange(7.0 * 4 * torch.Size(lead).numel()).view(*lead, 7, 4)
    assert torch.equal(found.raw(found.canonical(x)), x)


@pytest.mark.parametrize(("lead", "heads"), [((2, 3), 3), ((6,), 3), ((2, 3, 5), 3), ((2, 5, 3), 3), ((2, 3, 5, 4), 3)])
def test_canonical_keeps_each_head_with_its_own(lead: tuple[int, ...], heads: int) -> None:
    found = layout(lead, Maker(module(heads)))
    assert found is not None
    x = torch.zeros(*lead, 7, 4)
    for at in range(heads):  # every entry tells its head
        if found.axis is None:
            x[at::heads] = at
        else:
            x.select(found.axis, at)[:] = at
    got = found.canonical(x)
    assert got.shape == (x.numel() // (heads * 28), heads, 7, 4)
    assert all((got[:, at] == at).all() for at in range(heads))
    one = torch.zeros(*[1] * len(lead), 7, 4)
    assert found.canonical(one).shape == got.shape


def test_operands_broadcast_or_do_not() -> None:
    assert common((2, 3, 5, 4), (1, 3, 7, 4)) == (2, 3)
    assert common((2, 6, 5, 4), (2, 2, 7, 4)) == (2, 6), "grouped queries"
    assert common((2, 6, 3, 5, 4), (2, 2, 3, 5, 4)) is None
    assert common((6, 5, 4), (2, 3, 5, 4)) is None
    assert fits(torch.zeros(6, 5, 4), torch.zeros(2, 3, 5, 5))
    assert not fits(torch.zeros(4, 5, 4), torch.zeros(2, 3, 5, 5))


@pytest.mark.parametrize(
    "name", ["hiera_tiny_224", "nest_tiny", "twins_svt_small", "volo_d1_224", "samvit_base_patch16_224"]
)
def test_odd_layouts_of_real_models_are_read_exactly(name: str) -> None:
    if name.startswith("sam"):
        import timm

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model: nn.Module = timm.create_model(name, depth=3, embed_dim=48, num_heads=4).eval()
    else:
        model = rg.model(f"random:{name}")
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = model(x)
        with rg.watch(model, keep=["probs", "entropy", "out"]) as record:
            watched = model(x)
        assert torch.equal(plain, watched)
        assert not record.not_covered
        assert record.error < 1e-4
        for reading in record:
            assert reading["probs"].shape == (reading.batch, reading.heads, reading.queries, reading.keys)
        for part in model.modules():
            if hasattr(part, "fused_attn"):
                part.fused_attn = False
        wanted = captured(model, x, ".attn_drop")
        with rg.watch(model, keep=["probs"]) as spelled:
            model(x)
    for one, other in zip(record, spelled, strict=True):
        torch.testing.assert_close(one["probs"], other["probs"], rtol=1e-4, atol=1e-6)
    assert wanted or name.startswith("hiera"), "Hiera has no dropout to listen at"
    for site, probs in wanted.items():
        compare(record[site.removesuffix(".attn_drop")]["probs"], probs)


def compare(got: Tensor, wanted: Tensor) -> None:
    """Equal as sets of matrices of each head, wherever the model keeps its groups and heads."""
    assert got.numel() == wanted.numel()
    matrix = got.shape[-2:]
    a, b = got.reshape(-1, *matrix), wanted.reshape(-1, *matrix)
    weights = torch.rand(matrix, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    order = [(t.double() * weights).sum((1, 2)).sort().values for t in (a, b)]
    torch.testing.assert_close(order[0], order[1], rtol=1e-4, atol=1e-5)
