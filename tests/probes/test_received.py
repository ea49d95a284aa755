from __future__ import annotations

import torch
from torch import nn

import regard as rg


def test_is_the_column_mean_of_the_matrix(tiny_vit: nn.Module) -> None:
    x = rg.image("sample:coffee", like=tiny_vit)
    with torch.no_grad(), rg.watch(tiny_vit, "blocks.5.attn", keep=["received", "probs"]) as record:
        tiny_vit(x)
    reading = record["blocks.5.attn"]
    torch.testing.assert_close(reading["received"], reading["probs"].mean(2))
    torch.testing.assert_close(reading["received"].sum(-1), torch.ones(1, 3))
