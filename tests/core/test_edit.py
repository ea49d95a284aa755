"""Where edits act, in which order, and what a block leaves: nothing."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import CheckpointError, checkpoint

import regard as rg
from regard.core.edit import Edit, as_edit
from regard.errors import CallError, EditError, SiteError


class Attend(nn.Module):
    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.num_heads = 2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.qkv = nn.Linear(width, 3 * width).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, -1)).unbind(2)
        out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return x + out.transpose(1, 2).flatten(2)


class Deep(nn.Module):
    def __init__(self, how: str = "plain", depth: int = 3) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Attend() for _ in range(depth))
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x) if self.how == "plain" else checkpoint(block, x, use_reentrant=self.how == "reentrant")
        return x


X = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_edits_act_where_they_are_chosen_and_are_counted() -> None:
    net = Deep()
    with rg.edit(net, {"blocks.0": rg.edits.ablate(), "blocks.{1..2}": rg.edits.ablate([0])}) as edited:
        out = net(X)
    assert dict(edited.sites) == {"blocks.0": 1, "blocks.1": 1, "blocks.2": 1}
    assert repr(edited) == "Edited(ablate() at 'blocks.0', ablate(heads=[0]) at 'blocks.{1..2}'; 3 calls so far)"
    with rg.watch(net, "blocks.0", keep="out") as record, rg.edit(net, rg.edits.ablate(), "blocks.0"):
        net(X)
    assert not record["blocks.0"]["out"].any()
    assert not torch.allclose(out, net(X))


def test_functions_are_edits_of_what_their_first_parameter_names() -> None:
    net = Attend()
    same = {
        "logits": lambda logits: logits / 0.5,
        "probs": lambda probs: probs**2 / (probs**2).sum(-1, keepdim=True),
        "call": lambda call: call.scaled(2.0),
        "edit": rg.edits.temperature(0.5),
    }
    outs = {}
    for name, edit in same.items():
        with rg.edit(net, edit):
            outs[name] = net(X)
    for out in outs.values():
        torch.testing.assert_close(out, outs["edit"])
    with rg.edit(net, lambda out: out * 0):
        assert torch.equal(net(X), X)
    starts: list[int] = []
    with rg.edit(net, lambda probs, start: starts.append(start) or probs):
        net(X)
    assert starts == [0]


def test_the_order_is_that_of_listing_and_of_opening() -> None:
    """(s + b) / 2 is not s / 2 + b; blocks opened earlier act first, whatever the nesting of their with."""
    net, b = Attend(), torch.randn(5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    bias, half = rg.edits.bias(b), rg.edits.temperature(2.0)
    with rg.edit(net, bias >> half):
        first = net(X)
    with rg.edit(net, [half, bias]):
        second = net(X)
    assert not torch.allclose(first, second)
    with rg.edit(net, bias), rg.edit(net, half):
        assert torch.equal(net(X), first)
    with rg.edit(net, half), rg.edit(net, bias):
        assert torch.equal(net(X), second)
    late, early = rg.edit(net, half), rg.edit(net, bias)
    with early, late:
        assert torch.equal(net(X), first)


def test_watches_see_the_final_call_wherever_they_are_opened() -> None:
    net = Attend()
    edit = rg.edits.identity()
    with rg.watch(net, keep="probs") as outside, rg.edit(net, edit), rg.watch(net, keep="probs") as inside:
        net(X)
    eye = torch.eye(5, dtype=torch.float64).expand(2, 2, 5, 5)
    assert torch.equal(outside["(root)"]["probs"], eye)
    assert torch.equal(inside["(root)"]["probs"], eye)
    assert outside.error < 1e-12


def test_an_edit_of_a_part_and_a_watch_of_the_whole_meet() -> None:
    net = Deep()
    with rg.edit(net.blocks, rg.edits.ablate(), "1"), rg.watch(net, keep="out") as record:
        net(X)
    assert not record["blocks.1"]["out"].any()
    assert record["blocks.0"]["out"].any()


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (lambda weights: weights, "an edit is made by regard.edits, or a function of call, logits, probs or out"),
        ("temperature", "got 'temperature'"),
        ([], r"got \[\]"),
    ],
)
def test_what_is_no_edit_is_refused(edit: Any, text: str) -> None:
    with pytest.raises(EditError, match=text):
        as_edit(edit)


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (lambda probs: probs[..., :2], r"an edit of probs gave \[2, 2, 5, 2\] for \[2, 2, 5, 5\]"),
        (lambda logits: None, "an edit of logits gave NoneType"),
        (lambda out: out.sum(), r"an edit of the output of \(root\) gave \[\] torch.float64 for \[2, 2, 5, 3\]"),
        (lambda call: 3, "gave int, not a Call"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_remains(edit: Any, text: str) -> None:
    net = Attend()
    with pytest.raises(EditError, match=text), rg.edit(net, edit):
        net(X)
    assert torch._C._len_torch_function_stack() == 0
    assert not net._forward_hooks


def test_a_selection_that_matches_nothing_is_an_error() -> None:
    net = Deep()
    with pytest.raises(SiteError, match=r"no site matches 'blocks\.9'"), rg.edit(net, {"blocks.9": rg.edits.ablate()}):
        net(X)


def test_a_call_that_cannot_be_read_cannot_be_edited() -> None:
    class Merged(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.scaled_dot_product_attention(x, x, x)

    net, text = Merged(), "cannot be edited: scaled_dot_product_attention with operands whose head"
    with pytest.raises(EditError, match=text), rg.edit(net, rg.edits.ablate()):
        net(X)


def gradient(net: nn.Module, x: torch.Tensor, how: str) -> torch.Tensor:
    weight = next(net.parameters())
    loss = net(x).square().sum()
    if how == "backward":
        loss.backward()
        grad, weight.grad = weight.grad, None
        for p in net.parameters():
            p.grad = None
        assert grad is not None
        return grad
    if how == "autograd.backward":
        torch.autograd.backward([loss], inputs=[weight])
        grad, weight.grad = weight.grad, None
        assert grad is not None
        return grad
    return torch.autograd.grad(loss, weight)[0]


@pytest.mark.parametrize("how", ["reentrant", "not reentrant"])
@pytest.mark.parametrize("by", ["backward", "autograd.backward", "autograd.grad"])
def test_checkpointed_blocks_are_edited_again_when_they_are_recomputed(how: str, by: str) -> None:
    if (how, by) == ("reentrant", "autograd.grad") or (how, by) == ("reentrant", "autograd.backward"):
        by = "backward"  # torch itself refuses the others for reentrant checkpoints
    edit, x = rg.edits.temperature(0.3), X.clone().requires_grad_()
    with rg.edit(Deep(), edit):
        wanted = gradient(Deep(), x, by)  # not the edited model: a control
    plain = Deep()
    with rg.edit(plain, edit):
        edited = gradient(plain, x, by)
    assert not torch.allclose(wanted, edited)
    net = Deep(how)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with rg.edit(net, edit) as counted:
            got = gradient(net, x, by)
    torch.testing.assert_close(got, edited, rtol=1e-12, atol=1e-12)
    assert set(counted.sites.values()) == {1}  # a recomputation is no new call


@pytest.mark.parametrize("how", ["reentrant", "not reentrant"])
def test_backward_outside_the_block_warns_where_it_would_be_wrong(how: str) -> None:
    net, x = Deep(how), X.clone().requires_grad_()
    text = r"checkpointed calls \(blocks.0, blocks.1, blocks.2\) were edited"
    with pytest.warns(UserWarning, match=text), rg.edit(net, rg.edits.temperature(0.3)):
        loss = net(x).square().sum()
    if how == "reentrant":
        loss.backward()
    else:
        with pytest.raises(CheckpointError):  # torch counts what is saved, and finds the edit missing
            loss.backward()
    plain, y = Deep(), X.clone().requires_grad_()
    with rg.edit(plain, rg.edits.temperature(0.3)):
        loss = plain(y).square().sum()
    loss.backward()  # without a checkpoint the graph holds the edit, and this is right
    with rg.edit(plain, rg.edits.temperature(0.3)):
        wanted = torch.autograd.grad(plain(y).square().sum(), y)[0]
    torch.testing.assert_close(y.grad, wanted)
    assert x.grad is None or not torch.allclose(x.grad, wanted)


def test_without_the_hooks_the_recomputation_would_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: this is what the hooks are for."""
    from regard.core import intercept

    monkeypatch.setattr(intercept, "_hookable", lambda _: ())
    x = X.clone().requires_grad_()
    plain, net = Deep(), Deep("reentrant")
    with rg.edit(plain, rg.edits.temperature(0.3)):
        wanted = gradient(plain, x, "backward")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rg.edit(net, rg.edits.temperature(0.3)):
            got = gradient(net, x, "backward")
    assert not torch.allclose(got, wanted)


def test_edits_are_told_by_name() -> None:
    both = rg.edits.temperature(0.5) >> rg.edits.ablate([1])
    assert repr(both) == "temperature(0.5) >> ablate(heads=[1])"
    assert isinstance(as_edit([both, lambda out: out]), Edit)
    assert repr(as_edit(partial(lambda out, by: out * by, by=2))) == "function of out"


def test_what_would_be_ignored_is_refused() -> None:
    net = Deep()
    with pytest.raises(EditError, match="says it again"):
        rg.edit(net, {"blocks.0": rg.edits.ablate()}, "blocks.1")
    with pytest.raises(EditError, match="also needs logits: nothing would give it that"):
        rg.edit(net, lambda probs, logits: probs)
    with pytest.raises(CallError, match="threads='al'"):
        rg.edit(net, rg.edits.ablate(), threads="al")  # type: ignore[arg-type]
    both = rg.edits.temperature(2.0) >> (lambda out: out * 0)
    with rg.edit(net, both, "blocks.0"), rg.watch(net, "blocks.0", keep="out") as record:
        net(X)
    assert not record["blocks.0"]["out"].any()


def test_an_edit_whose_model_runs_in_another_thread_only_warns() -> None:
    net = Deep()
    with ThreadPoolExecutor(1) as pool:
        with pytest.warns(UserWarning, match="was not edited there"), rg.edit(net, rg.edits.ablate()):
            pool.submit(net, X).result()
        with pytest.warns(UserWarning, match="was not watched there"), rg.watch(net):
            pool.submit(net, X).result()
