from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import CallError, EditError

from .eager import CASES, Attention, Case, draw, plain


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("over", ["all", "pictures"])
def test_heads_give_their_mean_over_the_reference_set(name: str, over: str) -> None:
    case = CASES[name]
    module = Attention(case.bias, causal=case.causal, how=case.how)
    with rg.watch(module, keep="out") as record:
        outs = [module(*(draw(*t.shape, seed=s + i) for i, t in enumerate(case.tensors))) for s in (30, 40)]
    kept = torch.cat(outs)
    mean = kept.mean((0, 2), keepdim=True) if over == "all" else kept.mean(0, keepdim=True)
    wanted = plain(case)
    wanted[:, [0, 3]] = mean.expand_as(wanted)[:, [0, 3]]
    with rg.edit(module, rg.edits.mean_ablate(record, heads=[0, 3], over=over)):  # type: ignore[arg-type]
        torch.testing.assert_close(module(*case.tensors), wanted)


def test_refusals() -> None:
    with pytest.raises(CallError, match="an empty record has no mean"):
        rg.edits.mean_ablate(rg.Record())
    module = Attention(None, causal=False, how="fused")
    with rg.watch(module, keep="out") as record:
        module(*Case().tensors)
    with (
        pytest.raises(EditError, match=r"the record's mean at \(root\) is \[1, 4, 7, 3\]"),
        rg.edit(module, rg.edits.mean_ablate(record, over="pictures")),
    ):
        module(*(t[:, :, :5] for t in Case().tensors))
