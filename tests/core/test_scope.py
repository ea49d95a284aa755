"""Whose calls a listener is handed: threads, replicas, copies, generators, compiled models; and that it all ends."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.core import intercept, scope
from regard.core.scope import Listener, addresses, opened, owners
from regard.mechanisms import ALL


class Attend(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(4, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(x @ self.weight, x, x)


class Net(nn.Module):
    def __init__(self, depth: int = 2) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Attend() for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def draw(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clean(net: nn.Module) -> bool:
    hooks = any(m._forward_hooks or m._forward_pre_hooks or m._forward_hooks_always_called for m in net.modules())
    return not hooks and torch._C._len_torch_function_stack() == 0 and not opened() and not scope._undoings


def in_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_eight_threads_at_once_agree_with_serial() -> None:
    net = Net()

    def work(seed: int) -> list[torch.Tensor]:
        with rg.watch(net, keep=["entropy", "received"]) as record, rg.edit(net, rg.edits.temperature(1.0 + seed)):
            for _ in range(5):
                net(draw(seed))
        assert [r.address for r in record][:2] == ["blocks.0", "blocks.1"]
        assert len(record) == 10
        return [r[name] for r in record for name in ("entropy", "received")]

    serial = [work(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(work, range(8)))
    for one, other in zip(serial, at_once, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert clean(net)


def test_another_threads_calls_are_its_own_unless_all_are_asked_for() -> None:
    net, x = Net(), draw(0)
    plain = net(x)
    with (
        pytest.warns(UserWarning, match="the model ran in another thread"),
        rg.edit(net, rg.edits.ablate()),
        rg.watch(net) as record,
    ):
        assert torch.equal(in_thread(lambda: net(x)), plain)
    assert not record.seen
    with rg.edit(net, rg.edits.ablate(), threads="all"), rg.watch(net, threads="all") as record:
        assert not in_thread(lambda: net(x)).any()
    assert record.seen == ["blocks.0", "blocks.1"]
    assert clean(net)


def replicate(net: nn.Module) -> nn.Module:
    """As nn.DataParallel does it for each device."""
    replica = net._replicate_for_data_parallel()
    for name, child in net.named_children():
        setattr(replica, name, replicate(child))
    for name, parameter in net._parameters.items():
        object.__setattr__(replica, name, parameter)
    return replica


def test_replicas_are_named_and_seen_from_their_threads() -> None:
    net = Net()
    with rg.watch(net, keep="entropy") as record, rg.edit(net, rg.edits.temperature(2.0)):
        replicas = [replicate(net) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            outs = list(pool.map(lambda pair: pair[0](pair[1]), zip(replicas, (draw(1), draw(2)), strict=True)))
    assert sorted(r.address for r in record) == ["blocks.0", "blocks.0[1]", "blocks.1", "blocks.1[1]"]
    with rg.edit(net, rg.edits.temperature(2.0)):
        assert torch.equal(outs[0], net(draw(1)))
    assert clean(net)


def test_a_generator_may_hold_a_watch_while_others_come_and_go() -> None:
    net = Net()

    def steps() -> Iterator[int]:
        with rg.watch(net) as record:
            net(draw(0))
            yield len(record)
            net(draw(0))
            yield len(record)

    going = steps()
    assert next(going) == 2
    other = rg.watch(net)
    record = other.__enter__()
    assert next(going) == 4
    going.close()  # the earlier block ends first
    net(draw(1))
    other.__exit__(None, None, None)
    assert len(record) == 4
    assert clean(net)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, GeneratorExit])
def test_an_error_in_a_thread_that_the_hooks_serve_leaves_nothing(error: type[BaseException]) -> None:
    class Breaks(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            super().forward(x)
            raise error

    net = Breaks()

    def work() -> int:
        with pytest.raises(error):
            net(draw(0))
        try:
            return torch._C._len_torch_function_stack()
        finally:
            net.blocks[0](draw(0))

    with rg.watch(net, threads="all") as record:
        left = in_thread(work)
    assert left == (0 if issubclass(error, Exception) else 1)  # hooks after the error do not run for the others
    assert record.seen == ["blocks.0", "blocks.1", "blocks.0"]
    assert clean(net)


def test_the_users_own_modes_stay_in_their_order() -> None:
    class Quiet(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}))

    net = Net()
    with Quiet() as below:
        watch = rg.watch(net)
        record = watch.__enter__()
        with Quiet() as above:
            watch.__exit__(None, None, None)  # ours lies between the two
            assert torch.overrides._get_current_function_mode_stack() == [below, above]
            net(draw(0))
        assert torch.overrides._get_current_function_mode_stack() == [below]
    assert len(record) == 0


def test_a_copy_or_a_pickle_made_inside_carries_nothing() -> None:
    net = Net()
    with rg.watch(net) as record:
        twin, sent = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
        twin(draw(0))
        sent(draw(0))
        assert not record.seen
    before = torch._C._len_torch_function_stack()
    twin(draw(0))
    assert torch._C._len_torch_function_stack() == before == 0


def test_a_thousand_watches_leak_nothing() -> None:
    net, x = Net(), draw(0)

    def round_trip() -> None:
        with rg.watch(net, keep=["entropy", "attention"]), rg.edit(net, rg.edits.temperature(2.0)):
            net(x)

    for _ in range(20):
        round_trip()
    gc.collect()
    before = len(gc.get_objects())
    gc.disable()  # what is freed has to be freed by itself
    try:
        for _ in range(1000):
            round_trip()
    finally:
        gc.enable()
    gc.collect()
    assert len(gc.get_objects()) - before < 100
    assert clean(net)


def test_the_model_is_freed_after_a_watch_without_the_collector() -> None:
    net = Net()
    with rg.watch(net, keep="entropy") as record:
        net(draw(0))
    gone = weakref.ref(net)
    gc.disable()
    try:
        del net
        assert gone() is None
    finally:
        gc.enable()
    assert len(record) == 2


def test_owners_are_found_once_for_each_listener_in_the_order_of_opening() -> None:
    net = Net()
    found: list[list[str]] = []

    class Ask(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found.append([f"{one.site} of {type(one.listener.model).__name__}" for one in owners(sys._getframe())])
            return x

    net.blocks[1] = Ask()
    part, whole = Listener(net.blocks, ALL), Listener(net, ALL)
    with intercept.listening(part), intercept.listening(whole):
        net(draw(0))
    assert found == [["1 of ModuleList", "blocks.1 of Net"]]


def test_addresses_of_wrapped_models() -> None:
    wrapped = nn.Module()
    wrapped.add_module("_orig_mod", Net(1))
    assert set(addresses(wrapped).values()) == {"(root)", "", "blocks", "blocks.0"} - {""} | {"_orig_mod"}


@pytest.mark.slow
def test_compiled_models_are_watched_edited_and_not_compiled_again() -> None:
    net, x = Net(), draw(0)
    plain = net(x)
    compiled = torch.compile(net, backend="aot_eager")
    counter = torch._dynamo.utils.counters
    compiled(x)
    with rg.edit(compiled, rg.edits.temperature(3.0)):
        edited = compiled(x)
    with rg.edit(net, rg.edits.temperature(3.0)):
        assert torch.equal(net(x), edited)
    before = counter["stats"]["unique_graphs"]
    with rg.watch(compiled, keep="entropy") as record:
        watched = compiled(x)
    assert torch.equal(watched, plain)
    assert [r.site for r in record] == ["blocks.0", "blocks.1"]
    assert torch.equal(compiled(x), plain)
    assert counter["stats"]["unique_graphs"] == before


@pytest.mark.slow
def test_the_stance_of_the_compiler_survives_threads_that_overlap() -> None:
    """Two blocks that end in the order in which they began: each restoring what it found would leave it forced."""
    import torch._dynamo

    net = Net()
    first, second = threading.Event(), threading.Event()
    stances: list[str] = []

    def early() -> None:
        with rg.watch(net):
            first.set()
            second.wait(5)

    def late() -> None:
        first.wait(5)
        with rg.watch(net):
            second.set()
            worker.join(5)
            stances.append(torch._dynamo.eval_frame._stance.stance)

    worker = threading.Thread(target=early)
    worker.start()
    in_thread(late)
    assert stances == ["force_eager"]
    assert torch._dynamo.eval_frame._stance.stance == "default"
