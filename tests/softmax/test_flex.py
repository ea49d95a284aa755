from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

import regard as rg
from regard.errors import CallError
from regard.softmax import flex as module
from regard.softmax._problem import Problem, problem
from regard.softmax.flex import flex
from regard.softmax.reference import reference

from .problems import FULL, OTHERS, SEPARABLE, a_problem

NAMES = [
    "criss-cross, prefix", "uneven dilation",
    *(pytest.param(name, marks=pytest.mark.slow)
      for name in ("even, strided", "three axes", "causal line", "cross, dense", "blind queries", "global and near")),
]  # fmt: skip


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """FlexAttention by torch's own slow form, with the same masks and scores as what is compiled."""
    monkeypatch.setattr(module, "run", module.call)
    with torch.no_grad():
        yield


def same(p: Problem, tolerance: float = 2e-6) -> None:
    out, lse = flex(p)
    assert lse is None
    torch.testing.assert_close(out, reference(p)[0], rtol=tolerance, atol=tolerance)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.usefixtures("eager")
class TestEager:
    @pytest.mark.parametrize("name", NAMES)
    def test_equals_the_reference(self, name: str) -> None:
        same(a_problem(SEPARABLE[name], dtype=torch.float32)[0])
        same(a_problem(SEPARABLE[name], dtype=torch.float32, seed=1, table=True, **FULL)[0])

    def test_a_bias_of_pairs_and_grouped_heads(self, generator: torch.Generator) -> None:
        it, _ = a_problem(SEPARABLE["near"], dtype=torch.float32, groups=4, extra=True)
        bias = torch.randn(2, 1, 99, 99, generator=generator)
        same(problem(it.q, it.k, it.v, it.pattern, bias, None, None, it.extra, None))

    def test_the_sink_has_its_own_logit(self) -> None:
        """The planted fault: a sink moved by 1 is seen."""
        it, _ = a_problem(SEPARABLE["near"], dtype=torch.float32, sink=True)
        same(it)
        moved = replace(it, sink=it.sink + 1)  # type: ignore[operator]
        assert float((flex(moved)[0] - flex(it)[0]).abs().max()) > 1e-2

    def test_padding_of_all_keys_gives_zeros(self) -> None:
        it, _ = a_problem(SEPARABLE["near"], dtype=torch.float32, mask=True)
        blind = replace(it, keep=torch.zeros_like(it.keep))  # type: ignore[arg-type]
        assert flex(blind)[0].eq(0).all()

    def test_with_the_log_sum_exp_as_on_other_devices(self) -> None:
        it, _ = a_problem(SEPARABLE["criss-cross, prefix"], dtype=torch.float32, groups=1)
        q, k, v = (x.detach() for x in (it.q, it.k, it.v))
        out, lse = module.call(q, k, v, None, module._block_mask(it.pattern, 0, q.device), it.scale, False, True)
        for got, wanted in zip((out, lse), reference(it), strict=True):
            torch.testing.assert_close(got, wanted, rtol=2e-6, atol=2e-6)

    def test_masks_are_kept(self) -> None:
        it, _ = a_problem(SEPARABLE["near"], dtype=torch.float32)
        flex(it)
        before = module._block_mask.cache_info().hits
        flex(it)
        assert module._block_mask.cache_info().hits == before + 1


def test_refusals() -> None:
    x = torch.zeros(1, 1, 9, 16)
    line = rg.patterns.window(9, 3)
    with pytest.raises(CallError, match="has no intervals to make blocks of"):
        flex(a_problem(OTHERS["regions"])[0])
    with pytest.raises(CallError, match="FlexAttention is not compiled for float64"):
        rg.attend(x.double(), x.double(), x.double(), pattern=line, impl="flex")
    with pytest.raises(CallError, match="FlexAttention has no backward on a CPU"):
        rg.attend(x.clone().requires_grad_(), x, x, pattern=line, impl="flex")


@pytest.mark.slow
def test_compiled_once_for_all_patterns_and_never_replaced() -> None:
    """In a process of its own: torch cannot trace what checks annotations here."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


PROGRAM = """
import torch, regard as rg
from regard.errors import CallError
torch._dynamo.config.recompile_limit = 1
P = rg.patterns
grid = rg.Grid(15, 16, prefix=1)
q, k, v = (torch.randn(1, 2, 241, 16) for _ in range(3))
others = P.window(grid, 4), P.neighborhood(rg.Grid(12, 20, prefix=1), 3)
for pattern in (P.neighborhood(grid, 5, dilation=(1, 2)), *others):
    made = rg.attend(q, k, v, pattern=pattern, impl="flex")
    wanted = rg.attend(q, k, v, pattern=pattern, impl="tiled")
    torch.testing.assert_close(made.out, wanted.out, rtol=1e-5, atol=1e-5)
assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
def refused(function, told):
    try:
        function()
    except CallError as error:
        assert told in str(error), error
    else:
        raise AssertionError("not refused")
refused(lambda: made.lse, "flex gives no log sum exp on cpu")
other = [x[:, :, :100] for x in (q, k, v)]
refused(lambda: rg.attend(*other, pattern=P.window(100, 10), impl="flex"), "torch cannot compile FlexAttention here")
"""
