from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError, EditError, SiteError

from .eager import SQUARE, Attention, Case, H, draw, plain, softmax


def recorded(case: Case, keep: str, seed: int = 20) -> tuple[rg.Record, tuple[torch.Tensor, ...]]:
    module = Attention(case.bias, causal=case.causal, how=case.how)
    other = tuple(draw(*t.shape, seed=seed + i) for i, t in enumerate(case.tensors))
    with rg.watch(module, keep=keep) as record:
        module(*other)
    return record, other


def run(case: Case, edit: Any) -> torch.Tensor:
    module = Attention(case.bias, causal=case.causal, how=case.how)
    with rg.edit(module, edit):
        return module(*case.tensors)


@pytest.mark.parametrize("name", SQUARE)
@pytest.mark.parametrize("keep", ["attention", "probs"])
def test_attention_of_another_run_is_multiplied_with_this_runs_values(name: str, keep: str) -> None:
    case = SQUARE[name]
    record, other = recorded(case, keep)
    v = case.tensors[2].repeat_interleave(H // case.shared, 1)
    wanted = plain(case)
    wanted[:, [1, 3]] = (softmax(case.logits(*other[:2])) @ v)[:, [1, 3]]
    torch.testing.assert_close(run(case, rg.edits.transplant(record, "attention", heads=[1, 3])), wanted)
    whole = softmax(case.logits(*other[:2])) @ v
    torch.testing.assert_close(run(case, [rg.edits.transplant(record, "attention"), lambda probs: probs]), whole)


@pytest.mark.parametrize("name", SQUARE)
def test_outputs_and_values_are_replaced(name: str) -> None:
    case = SQUARE[name]
    record, other = recorded(case, "out")
    wanted = plain(case)
    wanted[:, 2] = record["(root)"]["out"][:, 2]
    assert torch.equal(run(case, rg.edits.transplant(record, heads=[2])), wanted)
    record, other = recorded(case, "v")
    v = other[2].repeat_interleave(H // case.shared, 1)
    out = softmax(case.logits(*case.tensors[:2])) @ v
    torch.testing.assert_close(run(case, rg.edits.transplant(record, "v")), out)


def test_queries_and_keys_are_replaced_where_the_model_does_not_work_by_hand() -> None:
    case = Case()
    record, other = recorded(case, "q")
    wanted = softmax(case.logits(other[0], case.tensors[1])) @ case.tensors[2]
    torch.testing.assert_close(run(case, rg.edits.transplant(record, "q")), wanted)
    by_hand = Case(how="by hand")
    record, _ = recorded(by_hand, "q")
    with pytest.raises(EditError, match="by hand: its weights exist before q or k"):
        run(by_hand, rg.edits.transplant(record, "q"))


def test_path_patching_by_composition(dinov2: nn.Module) -> None:
    """The direct effect of one head on a later head's query, all other heads frozen: explicit hooks agree."""
    x = rg.image("sample:coffee", like=dinov2, patches=60)
    other = x.flip(-1)
    sender, receiver, head = "blocks.3.attn", "blocks.5.attn", 2
    with torch.no_grad():
        with rg.watch(dinov2, keep="out") as clean:
            dinov2(x)
        with rg.watch(dinov2, keep="out") as corrupt:
            dinov2(other)
        frozen = {
            "blocks.{0..5}.attn": rg.edits.transplant(clean),
            sender: rg.edits.transplant(corrupt, heads=[head]),
        }
        with rg.watch(dinov2, receiver, keep="q") as patched, rg.edit(dinov2, frozen):
            dinov2(x)
        q = by_hooks(dinov2, x, clean, corrupt, head)
    torch.testing.assert_close(patched[receiver]["q"], q, rtol=1e-4, atol=1e-4)


def by_hooks(model: Any, x: torch.Tensor, clean: rg.Record, corrupt: rg.Record, head: int) -> torch.Tensor:
    """The same with hooks on the projections behind each attention: what goes in is heads side by side."""
    caught: list[torch.Tensor] = []
    hooks = []
    for i in range(5):
        out = clean[f"blocks.{i}.attn"]["out"].clone()
        if i == 3:
            out[:, head] = corrupt["blocks.3.attn"]["out"][:, head]
        flat = out.transpose(1, 2).flatten(2)
        hooks.append(model.blocks[i].attn.proj.register_forward_pre_hook(lambda _, args, flat=flat: (flat,)))
    hooks.append(model.blocks[5].attn.qkv.register_forward_hook(lambda _, __, out: caught.append(out)))
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    heads = model.blocks[5].attn.num_heads
    return caught[0].unflatten(2, (3, heads, -1))[:, :, 0].transpose(1, 2)


def test_a_run_into_itself_changes_nothing(dinov2: nn.Module) -> None:
    x = rg.image("sample:coffee", like=dinov2, patches=60)
    with torch.no_grad():
        plain_out = dinov2(x)
        with rg.watch(dinov2, keep=["out", "attention"]) as record:
            dinov2(x)
        with rg.edit(dinov2, rg.edits.transplant(record)):
            assert torch.equal(dinov2(x), plain_out)
        with rg.edit(dinov2, rg.edits.transplant(record, "attention")):
            torch.testing.assert_close(dinov2(x), plain_out, rtol=1e-4, atol=1e-4)


def test_refusals() -> None:
    record, _ = recorded(Case(), "out")
    module = Attention(None, causal=False, how="fused")
    with (
        pytest.raises(EditError, match=r"out of the record is \[2, 4, 7, 3\], that of \(root\) here is"),
        rg.edit(module, rg.edits.transplant(record)),
    ):
        module(*(t[:, :, :5] for t in Case().tensors))
    with pytest.raises(CallError, match="'q' was not kept"):
        run(Case(), rg.edits.transplant(record, "q"))
    with pytest.raises(SiteError):
        run(Case(), rg.edits.transplant(rg.Record()))
