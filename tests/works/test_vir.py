"""vir works: one retention in three forms, a state that the length does not change, and digits told apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import regard as rg
from regard.operators._scan import scan
from regard.testing.marks import works

from .arithmetic import drawn, gap, with_gradients
from .digits import Reader, digits, fit

retention = rg.operators.retention


@works("vir")
def test_three_forms_agree_over_lengths_and_decays() -> None:
    """In float64 to 1e-10, gradients too, and in float32 to 1e-5."""
    for n in (1, 16, 197):
        q, k, v = (drawn(1, 2, n, 8, seed=i) for i in range(3))
        for decay in ([0.0, 1.0], [0.5, 0.9], [0.99, 0.999]):
            forms = [("parallel", 1), ("recurrent", 1), *(("chunked", c) for c in (7, 16, 64))]
            found = [
                with_gradients(lambda *x, f=f, c=c, d=decay: retention(*x, decay=d, form=f, chunk=c), q, k, v)
                for f, c in forms
            ]
            assert max(gap(one, found[0]) for one in found) < 1e-10
            single = [retention(*(x.float() for x in (q, k, v)), decay=decay, form=f, chunk=c) for f, c in forms]
            scale = float(single[0].abs().max())
            assert max(gap(one, single[0]) for one in single) < 1e-5 * max(1.0, scale)


class Largest(TorchDispatchMode):
    """The largest memory that any operation but the last, which strings the output together, asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        known = {x.untyped_storage().data_ptr() for x in args if isinstance(x, Tensor)}
        fresh = isinstance(out, Tensor) and out.untyped_storage().data_ptr() not in known
        if fresh and "cat" not in str(func):
            self.bytes = max(self.bytes, out.untyped_storage().nbytes())
        return out


@works("vir")
def test_the_recurrent_form_needs_constant_memory() -> None:
    """Beside inputs and output: the same bytes for 32, 128 and 512 tokens; the parallel form asks for N^2 numbers."""
    asked = {}
    for n in (32, 128, 512):
        q, k, v = (drawn(1, 2, n, 8, seed=i) for i in range(3))
        decay = torch.full((1, 2, 1, 1), -0.1).double()
        for step in (1, n):
            with Largest() as largest:
                scan(q, k, v, decay, step)
            asked[n, step == 1] = largest.bytes
    assert asked[32, True] == asked[128, True] == asked[512, True] <= 2 * 8 * 8 * 8
    assert asked[512, False] == 16 * asked[128, False] == 2 * 512 * 512 * 8


@works("vir")
def test_digits_are_classified_above_chance() -> None:
    """Causal retention over 16 patches, read at the last: trained by the parallel form, tested by the recurrent one.

    Right on .85 to .91 of the test digits for three seeds; chance is .1.
    """
    for seed in range(3):
        form = ["parallel"]
        model = Reader(lambda q, k, v, f=form: retention(q, k, v, form=f[0]), last=True, seed=seed)  # type: ignore[misc]
        accuracy = fit(model, seed=seed)
        x = digits()[2][:200]
        with torch.no_grad():
            parallel, form[0] = model(x), "recurrent"
            assert gap(model(x), parallel) < 1e-4
        assert accuracy > 0.7
