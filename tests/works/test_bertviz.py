"""bertviz works: the offline page holds the hooked attention, at three scales, and its products sum to the logits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.looking.headview import HeadSettings, view_heads
from regard.report.heads import write
from regard.testing.marks import works

from ..report.heads_views import held
from ..report.pages import Page


def hooked(model: nn.Module, x: Tensor) -> tuple[dict[int, tuple[Tensor, Tensor]], int]:
    """q (times scale) and k of every layer `[H, N, D]`, by forward hooks on the qkv projections: no part of regard."""
    caught: dict[int, tuple[Tensor, Tensor]] = {}

    def hook(layer: int, attn: nn.Module) -> object:
        def note(_: nn.Module, __: object, out: Tensor) -> None:
            b, n, c = out.shape
            q, k, _v = out.view(b, n, 3, attn.num_heads, c // 3 // attn.num_heads).permute(2, 0, 3, 1, 4)
            caught[layer] = (q[0] * attn.scale, k[0])

        return attn.qkv.register_forward_hook(note)

    handles = [hook(i, block.attn) for i, block in enumerate(model.blocks)]
    try:
        with torch.inference_mode():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return caught, model.blocks[0].attn.num_heads


@works("bertviz")
@pytest.mark.weights
def test_the_page_holds_the_hooked_attention_and_its_products_sum_to_logits(dinov2: nn.Module, tmp_path: Path) -> None:
    """Every head in full precision of a DINOv2-small page, all rows, against forward hooks; the counts of the model.

    Attention to 1e-6, rows sum to one to 1e-9, the products of any (query, key) sum to the pre-softmax logit to 1e-5 of
    its size (float32's own rounding of sums of 64 products). tests/report/test_heads_browser.py holds
    the page's script to the same numbers in a browser.
    """
    view = view_heads(["sample:coffee"], HeadSettings(), given=dinov2)
    text = write(view, tmp_path).read_text(encoding="utf-8")
    header = json.loads(Page(text).ids["payload-header"])
    layers, heads = hooked(dinov2, rg.image("sample:coffee", like=dinov2))
    assert (header["layers"], header["heads"]) == (len(layers), heads) == (12, 6)
    found = held(text)
    assert len(found) == 6
    for one in found:
        q, k = (part[one.head] for part in layers[one.layer])
        logits = (q @ k.T).double().numpy()
        attention = torch.softmax(q @ k.T, -1).double().numpy()
        assert np.abs(one.attention() - attention).max() <= 1e-6
        np.testing.assert_allclose(one.attention().sum(1), 1, atol=1e-9)
        size = np.abs(logits).max()
        for i, j in ((0, 0), (17, 300), (600, 1), (300, 300)):
            assert one.products(i, j).shape == (64,)
            assert one.products(i, j).sum() == pytest.approx(logits[i, j], abs=1e-5 * size)


@pytest.mark.weights
def test_the_planted_fault_one_changed_number_is_seen(dinov2: nn.Module, tmp_path: Path) -> None:
    view = view_heads(["sample:coffee"], HeadSettings(patches=100), given=dinov2)
    one = held(write(view, tmp_path).read_text(encoding="utf-8"))[0]
    q = one.parts["q"].copy()
    before = one.attention()
    q[64 * 5 : 64 * 6] *= 1.01
    one.parts["q"] = q
    changed = np.abs(one.attention() - before).max(1)
    assert changed[5] > 1e-6
    assert not changed[np.arange(len(changed)) != 5].any()
