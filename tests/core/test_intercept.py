"""What is seen, what it is called, and that nothing remains."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.core.intercept import listening
from regard.core.scope import Listener, addresses
from regard.mechanisms import ALL


class Attend(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(x, x, x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Attend()
        self.inner = nn.ModuleDict({"second": Attend()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner["second"](self.first(x))


@contextmanager
def watchful(model: nn.Module, seen: list[Any]) -> Iterator[Listener]:
    listener = Listener(model, ALL, lambda call, out, _: seen.append((call, out)))
    with listening(listener):
        yield listener


X = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))


def test_calls_are_named_by_the_nearest_module_and_counted() -> None:
    net, seen = Net(), []
    with watchful(net, seen):
        out = net(X)
        net(X)
    assert [(c.site, c.index) for c, _ in seen] == [
        ("first", 0), ("inner.second", 0), ("first", 1), ("inner.second", 1)
    ]  # fmt: skip
    assert torch.equal(seen[1][1], out)


def test_other_models_are_not_seen() -> None:
    net, other, seen = Net(), Net(), []
    with watchful(net, seen):
        other(X)
        F.scaled_dot_product_attention(X, X, X)
        net.first(X)  # a part of the model, run by itself, is
    assert [c.site for c, _ in seen] == ["first"]


def test_wrappers_leave_no_mark_on_addresses() -> None:
    wrapped = nn.Sequential()
    wrapped.add_module("module", nn.Sequential())
    wrapped.get_submodule("module").add_module("_orig_mod", Net())
    assert "module._orig_mod.first" in dict(wrapped.named_modules())
    assert "inner.second" in addresses(nn.DataParallel(Net())).values()
    compiled = nn.Module()
    compiled.add_module("_orig_mod", Net())
    assert "first" in addresses(compiled).values()
    inside = nn.Module()
    inside.add_module("tower", compiled)
    assert "tower.first" in addresses(inside).values()


def test_keyword_arguments_and_the_aten_overload_are_seen() -> None:
    class Other(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = F.scaled_dot_product_attention(query=x, value=x, key=x, scale=0.5)
            return torch.ops.aten.scaled_dot_product_attention.default(y, x, x)

    seen: list[Any] = []
    net = Other()
    with watchful(net, seen):
        net(X)
    assert [c.scale for c, _ in seen] == [0.5, 0.5]  # the second: 4 ** -0.5


def test_attention_by_hand_without_a_head_axis_is_listed_as_not_covered() -> None:
    class ByHand(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x @ x.mT).softmax(-1) @ x

    net = ByHand()
    with watchful(net, []) as mode:
        net(X.flatten(0, 1))
        torch.softmax(X, -1)
    (told,) = mode.uncovered
    assert told == "(root): attention by hand whose weights [6, 5, 5] have no known head axis"


def test_operands_without_a_head_axis_are_not_guessed() -> None:
    class Merged(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.scaled_dot_product_attention(x, x, x)

    net, seen = Merged(), []
    with watchful(net, seen) as mode:
        net(X.flatten(0, 1))
    assert not seen
    assert next(iter(mode.not_covered)).startswith("(root): scaled_dot_product_attention")


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_nothing_remains_after_an_error(error: type[BaseException]) -> None:
    class Breaks(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            super().forward(x)
            raise error

    net = Breaks()
    depth = torch._C._len_torch_function_stack()
    with pytest.raises(error), watchful(net, []):
        net(X)
    assert torch._C._len_torch_function_stack() == depth
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_an_observer_that_fails_does_not_leave_the_mode_on() -> None:
    def observe(*_: Any) -> None:
        raise ZeroDivisionError

    depth = torch._C._len_torch_function_stack()
    net = Net()
    with pytest.raises(ZeroDivisionError), listening(Listener(net, ALL, observe)):
        net(X)
    assert torch._C._len_torch_function_stack() == depth


def test_the_model_is_freed_after_a_watch() -> None:
    net = Net()
    with watchful(net, []) as mode:
        net(X)
    gone = weakref.ref(net)
    del net, mode
    gc.collect()
    assert gone() is None


def test_autocast_does_not_blur_readings() -> None:
    kept: list[torch.Tensor] = []

    def observe(call: Any, *_: torch.Tensor) -> None:
        kept.append(call.probs())

    net = Net()
    with torch.autocast("cpu", torch.bfloat16), listening(Listener(net, ALL, observe)):
        net(X)
    assert kept[0].dtype == torch.float32
    torch.testing.assert_close(kept[0], (X @ X.mT * 0.5).softmax(-1), rtol=1e-5, atol=1e-6)


def test_patch_grid_is_read_off_the_patch_embedding() -> None:
    vit = rg.model("random:vit_tiny_patch16_224")
    with watchful(vit, []) as mode, torch.no_grad():
        vit(torch.zeros(1, 3, 224, 224))
    assert (mode.patch_grid, mode.patch_site) == ((14, 14), "patch_embed.proj")
    with torch.random.fork_rng(devices=[]):
        plain = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, stride=2))
    with watchful(plain, []) as mode:
        plain(torch.zeros(1, 3, 8, 8))
    assert mode.patch_grid is None
