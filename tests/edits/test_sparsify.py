from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import EditError

from .eager import CASES, check, edited, plain, softmax


def best(p: torch.Tensor, keep: int) -> torch.Tensor:
    floor = p.topk(keep, dim=-1).values[..., -1:]
    kept = p * (p >= floor)
    return kept / kept.sum(-1, keepdim=True)


@pytest.mark.parametrize("name", [n for n in CASES if "mask" not in n and "causal" not in n])
def test_each_query_keeps_its_best_keys(name: str) -> None:
    check(rg.edits.sparsify(3), lambda s, v: best(softmax(s), 3) @ v, CASES[name])


def test_all_keys_are_the_identity() -> None:
    torch.testing.assert_close(edited(rg.edits.sparsify(7), CASES["fused"]), plain(CASES["fused"]))
    with pytest.raises(EditError, match="keep = 0"):
        rg.edits.sparsify(0)


def test_other_heads_are_untouched() -> None:
    out, before = edited(rg.edits.sparsify(1, heads=[2]), CASES["fused"]), plain(CASES["fused"])
    torch.testing.assert_close(out[:, [0, 1, 3]], before[:, [0, 1, 3]])
    assert not torch.allclose(out[:, 2], before[:, 2])
