"""`attend` inside torch.compile, in processes of their own: torch cannot trace what checks annotations here."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from regard.errors import CallError
from regard.softmax.attend import computed

COMMON = """
import warnings
warnings.simplefilter("error")
import torch, regard as rg
from regard.softmax import RelativeTable
P = rg.patterns
graphs = lambda: torch._dynamo.utils.counters["stats"]["unique_graphs"]
class Layer(torch.nn.Module):
    def __init__(self, impl, pattern, **given):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.w = torch.nn.Parameter(torch.randn(48, 16, generator=draw))
        self.impl, self.pattern, self.given = impl, pattern, given
    def forward(self, x):
        assert self.pattern.queries.tokens == x.shape[1]  # a pattern may be read before it is used
        q, k, v = (x @ self.w.T).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        made = rg.attend(q, k, v, pattern=self.pattern, impl=self.impl, **self.given)
        self.told = made.impl, made.why
        return made.out.sin().sum() + made.lse.cos().sum()
def run(layer, x):
    total = layer(x)
    return total.detach(), *torch.autograd.grad(total, layer.w), getattr(layer, "told", None)
def same(one, other, tolerance):
    for a, b in zip(one[:2], other[:2]):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    assert one[2] == other[2]
x = torch.randn(2, 100, 16, generator=torch.Generator().manual_seed(1))
near = P.neighborhood(rg.Grid(9, 11, prefix=1), 3)
"""


def process(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", COMMON + program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_whole_graphs_with_gradients() -> None:
    """Without a break, of every way on a CPU; a table, padding, more keys and a sink among them."""
    process("""
more = torch.randn(2, 2, 3, 8, generator=torch.Generator().manual_seed(2))
table = RelativeTable(torch.linspace(-1, 1, 2 * 17 * 21).view(2, 17, 21))
keep = torch.arange(100).expand(2, 100) % 7 != 3
everything = {"sink": torch.zeros(2), "mask": keep, "extra_kv": (more, more), "bias": table}
for impl, given in (("tiled", {}), ("dense", everything), ("composite", {}), ("auto", everything)):
    layer = Layer(impl, near, **given)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    got = run(compiled, x)  # first, so that what its tracing left would show in the eager call
    same(run(layer, x), got, 1e-6)
assert compiled(x * float("nan")).isnan()  # a graph searches for no NaN
""")


@pytest.mark.slow
def test_another_pattern_is_another_graph_and_an_equal_one_is_not() -> None:
    """With code generated, and patterns without intervals."""
    process("""
layer = Layer("auto", near)
compiled = torch.compile(layer, fullgraph=True)
for pattern, count in (
    (near, 1), (P.neighborhood(rg.Grid(9, 11, prefix=1), 3), 1), (P.neighborhood(rg.Grid(9, 11, prefix=1), 5), 2),
    (P.random(rg.Grid(9, 11, prefix=1), 4), 3), (near, 3),
):
    layer.pattern = pattern
    same(run(layer, x), run(compiled, x), 1e-4)
    assert graphs() == count, (pattern, graphs())
""")


def test_what_is_no_op_is_refused() -> None:
    """As the graph's maker calls it."""
    x = torch.zeros(1, 1, 9, 4)
    for impl in ("flex", "triton", "natten"):
        with pytest.raises(CallError, match=f"torch.compile cannot look into {impl}"):
            computed(x, x, x, None, None, None, None, None, None, impl, as_op=True)


@pytest.mark.slow
def test_a_graph_serves_batches_of_any_size() -> None:
    """The second size makes the one that serves all; sizes that are dynamic from the start; with gradients."""
    process("""
more = torch.randn(1, 2, 3, 8, generator=torch.Generator().manual_seed(2))
keep = torch.arange(100) % 7 != 3
class Any(Layer):
    def forward(self, x):
        if self.impl in ("dense", "auto"):
            extra = more.expand(len(x), -1, -1, -1)
            self.given = {"mask": keep.expand(len(x), -1), "extra_kv": (extra, extra), "sink": torch.zeros(2)}
        return super().forward(x)
for impl in ("tiled", "dense", "composite", "auto"):
    for dynamic in (None, True):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        layer = Any(impl, near)
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=dynamic)
        for b in (2, 3, 5, 4):
            some = x[:1] * torch.linspace(1, 2, b)[:, None, None]
            same(run(layer, some)[:2] + (None,), run(compiled, some)[:2] + (None,), 1e-5)
        assert graphs() <= 2, (impl, dynamic, graphs())
""")
