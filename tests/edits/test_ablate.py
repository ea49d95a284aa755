from __future__ import annotations

import torch

import regard as rg

from .eager import CASES, edited, plain


def test_ablated_heads_are_zero_and_the_others_bitwise_what_they_were() -> None:
    for case in CASES.values():
        out, before = edited(rg.edits.ablate(heads=[0, 2]), case), plain(case)
        assert not out[:, [0, 2]].any()
        assert torch.equal(out[:, [1, 3]], before[:, [1, 3]])
    assert not edited(rg.edits.ablate(), CASES["fused"]).any()
