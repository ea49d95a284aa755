from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from regard.softmax._tracing import constant, outside, plain, transformed


def test_plans_are_real_while_torch_traces() -> None:
    with FakeTensorMode():
        assert isinstance(torch.zeros(2), FakeTensor)
        with outside():
            real = torch.arange(3)
        held = constant(real)
        assert isinstance(held, FakeTensor)
        assert isinstance(torch.zeros(3) + held, FakeTensor)
    assert not isinstance(real, FakeTensor)
    assert real.tolist() == [0, 1, 2]
    assert constant(real) is real


def test_transforms_are_noticed() -> None:
    assert not transformed()
    told = []
    torch.func.vmap(lambda x: (told.append(transformed()), x)[1])(torch.zeros(2))
    assert told == [True]


def test_a_size_is_a_number_for_plans() -> None:
    """Of a symbol, what it stood for, and no guard: a graph for any size stays one."""
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv

    env = ShapeEnv()
    source = ConstantSource("n")
    symbol = env.create_symbol(7, source, dynamic_dim=DimDynamic.DYNAMIC)
    size = env.create_symintnode(symbol, hint=7, source=source)
    assert (plain(7), plain(size)) == (7, 7)
    assert type(plain(size)) is int
    assert not env.guards
