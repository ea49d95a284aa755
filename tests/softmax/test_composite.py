from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.softmax import RelativeTable
from regard.softmax._problem import problem
from regard.softmax.composite import composite

from .problems import EVERY, FULL, SEPARABLE, a_problem, agree, small_tiles


@pytest.mark.parametrize("name", EVERY)
def test_equals_the_reference(name: str) -> None:
    with small_tiles(3):
        agree(composite, a_problem(EVERY[name], heads=2, **FULL))


@pytest.mark.parametrize("name", ["near", "criss-cross, prefix", "random, prefix"])
def test_biases_have_gradients(name: str, generator: torch.Generator) -> None:
    pattern = EVERY[name]
    it, leaves = a_problem(pattern)
    n = pattern.queries.tokens
    pairs = torch.randn(1, 4, n, n, generator=generator, dtype=torch.float64).requires_grad_()
    table = torch.randn(4, *(2 * a - 1 for a in pattern.queries.axes), generator=generator, dtype=torch.float64)
    table.requires_grad_()
    for bias, leaf in ((pairs, pairs), (RelativeTable(table), table)):
        agree(composite, (problem(it.q, it.k, it.v, pattern, bias, None, None, None, None), [*leaves, leaf]))


@pytest.mark.slow
def test_first_and_second_derivatives() -> None:
    """39: gradcheck and gradgradcheck, of output and log sum exp."""
    it, leaves = a_problem(rg.patterns.neighborhood(rg.Grid(2, 3, prefix=1), 2), heads=1, groups=1, dim=2, values=1)

    def function(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return composite(problem(q, k, v, it.pattern, None, None, None, None, None))

    with small_tiles(2), torch.random.fork_rng(devices=[]):  # gradgradcheck draws
        assert torch.autograd.gradcheck(function, leaves)
        assert torch.autograd.gradgradcheck(function, leaves)


def test_the_gradient_of_the_log_sum_exp_is_the_attention() -> None:
    """40, with v = identity so that the output is the attention itself."""
    it, _ = a_problem(SEPARABLE["near"], groups=1, values=99, dim=99)
    q, k = it.q.detach(), torch.eye(99, dtype=torch.float64).expand(2, 4, 99, 99)
    q.requires_grad_()
    out, lse = composite(problem(q, k, k, it.pattern, None, 1.0, None, None, None))  # so logits are q itself
    (grad,) = torch.autograd.grad(lse.sum(), q)
    torch.testing.assert_close(grad, out, rtol=1e-12, atol=1e-13)
