from __future__ import annotations

from functools import partial

import pytest
import torch

import regard as rg
from regard.errors import CallError
from regard.softmax import RelativeTable, _ops
from regard.softmax._problem import problem

from .problems import FULL, OTHERS, SEPARABLE, a_problem, agree

EXACT = ("dense", "tiled")  # those in float64; `native` is in its own test


@pytest.mark.parametrize("impl", EXACT)
@pytest.mark.parametrize("name", ["near", "criss-cross, prefix"])
def test_equals_the_reference(impl: str, name: str) -> None:
    agree(partial(_ops.call, impl), a_problem(SEPARABLE[name], seed=3, table=True, **FULL))
    agree(partial(_ops.call, impl), a_problem(SEPARABLE[name], values=13, sink=True), with_lse=False)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # opcheck's own
@pytest.mark.parametrize("impl", EXACT)
def test_torch_finds_no_fault_in_the_op(impl: str) -> None:
    """Its schema, its shapes without numbers, its gradient, and both in a traced graph."""
    it, _ = a_problem(rg.patterns.neighborhood((3, 4), 3), heads=2, groups=1, extra=True, sink=True)
    assert it.extra is not None
    facts = impl, _ops.number(it.pattern), it.scale
    keep = torch.arange(12).expand(2, 12) < 9
    table = torch.linspace(-1, 1, 2 * 25, dtype=torch.float64).view(2, 5, 5)
    for given in (
        (it.q, it.k, it.v, *it.extra, it.sink, None, None, None, *facts),
        (it.q, it.k, it.v, None, None, None, keep, None, table, *facts),
    ):
        told = torch.library.opcheck(torch.ops.regard.attend, given)
        assert set(told.values()) == {"SUCCESS"}


def test_patterns_go_by_number() -> None:
    one, same, other = (rg.patterns.neighborhood((3, 4), n) for n in (2, 2, 3))
    assert _ops.number(one) == _ops.number(same) != _ops.number(other)
    x = torch.zeros(1, 1, 12, 4)
    with pytest.raises(CallError, match="this process knows no pattern 999999"):
        torch.ops.regard.attend(x, x, x, None, None, None, None, None, None, "tiled", 999999, 1.0)


def test_refusals_come_before_the_graph() -> None:
    with pytest.raises(CallError, match="has no intervals to make tiles of"):
        _ops.call("tiled", a_problem(OTHERS["regions"])[0])
    it, _ = a_problem(SEPARABLE["near"])
    table = RelativeTable(torch.zeros(4, 17, 21, dtype=torch.float64, requires_grad=True))
    with pytest.raises(CallError, match="the bias needs a gradient"):
        _ops.call("dense", problem(it.q, it.k, it.v, it.pattern, table, None, None, None, None))
