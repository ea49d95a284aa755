from __future__ import annotations

import torch
from torch import nn

import regard as rg


def test_equals_the_root_of_the_summed_squares() -> None:
    out = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(rg.probes.output_norm(out), (out**2).sum(-1) ** 0.5)


def test_tells_what_is_left_after_edits(dinov2: nn.Module) -> None:
    x = rg.image("sample:coffee", like=dinov2, patches=60)
    edit = rg.edits.ablate([1]) >> rg.edits.scale_heads(2.0, [2])
    with torch.no_grad(), rg.watch(dinov2, "blocks.3.attn", keep="output_norm") as plain:
        dinov2(x)
    with (
        torch.no_grad(),
        rg.watch(dinov2, "blocks.3.attn", keep="output_norm") as record,
        rg.edit(dinov2, edit, "blocks.3.attn"),
    ):
        dinov2(x)
    before, after = plain["blocks.3.attn"]["output_norm"], record["blocks.3.attn"]["output_norm"]
    assert not after[:, 1].any()
    torch.testing.assert_close(after[:, 2], 2 * before[:, 2])
    assert torch.equal(after[:, [0, 3, 4, 5]], before[:, [0, 3, 4, 5]])
