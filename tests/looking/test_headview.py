"""Everything behind the page of heads, on models of known make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError, DataError, LayoutError
from regard.looking import headview as module
from regard.looking.album import Shot
from regard.looking.groups import offset_map
from regard.looking.headview import HeadSettings, HeadView, parse_head, seen_pixels, view_heads
from regard.models.facts import remember

from .vits import cnn, facts, vit, with_registers, without_prefix


def viewed(model: nn.Module, *sources: Any, **settings: Any) -> HeadView:
    return view_heads(sources or ("sample:coffee",), HeadSettings(model="tiny", **settings), given=model)


@pytest.fixture(scope="module")
def view() -> HeadView:
    return viewed(with_registers(), "sample:coffee", "sample:rocket", groups=3)


def test_the_atlas_is_over_all_pictures_and_the_rest_of_the_first(view: HeadView) -> None:
    wanted = rg.heads(with_registers(), ["sample:coffee", "sample:rocket"])
    np.testing.assert_array_equal(view.atlas.values, wanted.values)
    assert view.first.name == "coffee"
    assert view.sources == ("sample:coffee", "sample:rocket")
    assert view.attention is not None
    assert (len(view.attention.sites), view.attention.heads) == (3, 2)
    assert not view.refusals
    assert [line.level for line in view.trust] == ["good", "good", "good"]


def test_groups_and_planes_are_those_of_the_verbs(view: HeadView) -> None:
    model, photos = with_registers(), ["sample:coffee", "sample:rocket"]
    assert view.groups is not None
    np.testing.assert_allclose(view.groups.features, rg.head_groups(model, photos, groups=3).features, rtol=1e-6)
    assert [(j.address, j.head) for j in view.joints] == [(e.address, e.head) for e in view.exacts]
    for one, exact in zip(view.joints, view.exacts, strict=True):
        wanted = rg.query_key(model, photos, layer=exact.layer, head=exact.head)
        np.testing.assert_allclose(np.abs(one.points), np.abs(wanted.points), rtol=1e-3, atol=1e-4)
        assert one.scale == pytest.approx(wanted.scale, rel=1e-3)
    assert [t.shape for t in view.thumbs] == [(32, 32, 3), (32, 32, 3)]


def test_exact_heads_are_the_watched_attention_the_chosen_one_first(view: HeadView) -> None:
    model = with_registers()
    with torch.no_grad(), rg.watch(model, keep="probs") as record:
        model(rg.image("sample:coffee", like=model))
    assert view.chosen == (view.exacts[0].layer, view.exacts[0].head)
    assert len(view.exacts) == len({(e.layer, e.head) for e in view.exacts}) <= module.MOST_EXACT
    for one in view.exacts:
        hooked = record[one.address]["probs"][0, one.head].double().numpy()
        np.testing.assert_allclose(one.attention(), hooked, atol=1e-6)


def test_patterns_are_of_the_most_typical_heads(view: HeadView) -> None:
    assert view.groups is not None
    seen = view.attention
    assert seen is not None
    for shown, (layer, head) in zip(view.patterns, view.groups.medoids, strict=True):
        np.testing.assert_array_equal(shown.received.ravel(), seen.pooled[layer, head].mean(0))
        np.testing.assert_array_equal(shown.offsets, offset_map(seen.pooled[layer, head], seen.grid, seen.cell))


def test_a_head_can_be_asked_for() -> None:
    assert viewed(vit(), head="1.0").chosen == (1, 0)
    assert viewed(vit(), head="-1.-2").chosen == (2, 0)
    late = viewed(vit())
    assert late.attention is not None
    entropy = late.attention.tables["entropy"].numbers()
    assert late.chosen == (2, int(entropy[2].argmin())), "else the sharpest of the last third"


@pytest.mark.parametrize(("text", "head"), [("11.3", (11, 3)), (" 0:2 ", (0, 2)), ("-1,0", (-1, 0)), (None, None)])
def test_how_a_head_is_called(text: str | None, head: Any) -> None:
    assert parse_head(text) == head


def test_heads_that_are_not_there_are_refused() -> None:
    with pytest.raises(LayoutError, match=r"no head is called '3'\n  try: LAYER\.HEAD"):
        viewed(vit(), head="3")
    with pytest.raises(CallError, match="no layer 3 head 0: 3 layers of 2 heads"):
        viewed(vit(), head="3.0")


def test_a_model_without_a_prefix_and_one_head_groups() -> None:
    view = viewed(without_prefix(depth=1, num_heads=1), groups=6)
    assert view.groups is not None
    assert view.groups.labels.tolist() == [[0]]
    assert view.chosen == (0, 0)


class OffGrid(nn.Module):
    """Attention over pixels' columns: on no grid of patches."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.attn = nn.MultiheadAttention(32, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.mean(1)
        return self.attn(tokens, tokens, tokens)[0]


def test_off_a_grid_there_is_the_atlas_and_nothing_else() -> None:
    model = remember(OffGrid().eval(), facts("off-grid"))
    view = viewed(model)
    assert view.atlas.values.shape == (1, 2)
    assert (view.attention, view.exacts, view.joints, view.groups) == (None, (), (), None)
    assert "no attention of this model lies on a grid" in view.trust[-1].text
    with pytest.raises(CallError, match="no head can be shown"):
        viewed(model, head="0.0")


def test_no_attention_at_all_is_refused() -> None:
    with pytest.raises(CallError, match="made no attention call"):
        viewed(cnn())


def test_attention_by_hand_has_no_plane_where_it_is_no_softmax_of_products() -> None:
    class Talking(nn.Module):
        """Heads that mix their weights."""

        def __init__(self) -> None:
            super().__init__()
            source = vit(depth=1)
            self.embed, self.qkv, self.num_heads = source.patch_embed, source.blocks[0].attn.qkv, 2

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = self.embed(x)
            b, n, _ = tokens.shape
            q, k, v = self.qkv(tokens).view(b, n, 3, 2, 8).permute(2, 0, 3, 1, 4)
            weights = (q @ k.transpose(-2, -1)).softmax(-1)
            return ((weights + weights.flip(1)) / 2 @ v).mean((1, 2))

    view = viewed(remember(Talking().eval(), facts("talking")))
    assert all(e.probs is not None for e in view.exacts)
    assert view.joints == ()
    assert "queries and keys" in view.refusals


def test_photos_that_cannot_be_read_are_told_and_left_out(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.png")
    view = viewed(vit(), missing, "sample:coffee")
    assert view.atlas.pictures == ("coffee",)
    assert view.unread == {missing: f"no file '{missing}'"}
    assert any(line.what == "unread" and missing in line.text for line in view.trust)
    with pytest.raises(DataError, match="no file"):
        viewed(vit(), missing)


def test_too_large_heads_are_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 0)
    assert len(viewed(vit()).exacts) == 1, "the chosen one apart"
    monkeypatch.setattr(module, "MOST_CHOSEN", 0)
    view = viewed(vit())
    assert view.exacts == ()
    assert "too many for a page" in view.refusals["exact head"]


def test_groups_of_heads_that_do_not_differ_are_doubted(view: HeadView) -> None:
    model = vit()
    with torch.no_grad():
        for block in model.blocks:
            block.attn.qkv.weight.mul_(1e-3)
    assert any(line.what == "groups" for line in viewed(model).trust)
    assert not any(line.what == "groups" for line in view.trust)


def test_a_tensor_is_shown_stretched() -> None:
    x = torch.linspace(-2, 2, 12).reshape(1, 3, 2, 2)
    pixels = seen_pixels(Shot("x", x))
    assert pixels.shape == (2, 2, 3)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert seen_pixels(Shot("x", x[:, :1])).shape == (2, 2, 3)
