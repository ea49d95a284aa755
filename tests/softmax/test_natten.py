"""With a stand-in for NATTEN that reads its arguments as its documentation tells them.

`test_natten_itself` holds the window rule against NATTEN's own.
"""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.errors import CallError, ExtraError
from regard.softmax import natten as module
from regard.softmax.natten import natten, of_axis
from regard.softmax.reference import reference

from .problems import SEPARABLE, a_problem, agree

P = rg.patterns
GRID = rg.Grid(5, 7, prefix=2)
KNOWN = {name: SEPARABLE[name] for name in ("near", "even, strided", "uneven dilation", "causal near", "three axes")}
KNOWN |= {"prefix": P.neighborhood(GRID, 3), "line": P.neighborhood(12, 4), "blocks": P.window((8, 6), 2)}


def stand_in(
    q: Tensor, k: Tensor, v: Tensor, *, kernel_size: tuple[int, ...], stride: tuple[int, ...],
    dilation: tuple[int, ...], is_causal: tuple[bool, ...], scale: float, return_lse: bool,
    additional_keys: Tensor | None = None, additional_values: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """[B, *axes, H, D], pair by pair; additional keys `[B, E, H, D]` are seen by all."""
    assert return_lse
    axes = tuple(q.shape[1:-2])
    seen = P.neighborhood(axes, kernel_size, stride, dilation, is_causal).mask()
    q, k, v = (x.flatten(1, len(axes)).transpose(1, 2) for x in (q, k, v))
    if additional_keys is not None and additional_values is not None:
        k, v = (torch.cat([x, y.transpose(1, 2)], 2) for x, y in ((k, additional_keys), (v, additional_values)))
        seen = torch.nn.functional.pad(seen, (0, additional_keys.shape[1]), value=True)
    logits = (scale * q @ k.mT).masked_fill(~seen, -torch.inf)
    out, lse = logits.softmax(-1) @ v, logits.logsumexp(-1)
    return out.transpose(1, 2).unflatten(1, axes), lse.transpose(1, 2).unflatten(1, axes)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """NATTEN, on a CPU."""
    library = ModuleType("natten")
    library.__dict__.update(dict.fromkeys(("na1d", "na2d", "na3d"), stand_in))
    monkeypatch.setitem(sys.modules, "natten", library)
    monkeypatch.setattr(module, "DEVICES", ("cpu",))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", KNOWN)
def test_equals_the_reference(name: str) -> None:
    """Output, gradients, and the log sum exp in float32, without a gradient."""
    for more in (False, True):
        it, leaves = a_problem(KNOWN[name], extra=more)
        lse, wanted = natten(it)[1], reference(it)[1]
        assert (lse.dtype, lse.requires_grad) == (torch.float32, False)
        torch.testing.assert_close(lse.double(), wanted, rtol=1e-6, atol=1e-6)
        agree(lambda p: (natten(p)[0], reference(p)[1]), (it, leaves), with_lse=False)


def test_settings_are_read_from_intervals() -> None:
    for axis, settings in (
        (P.neighborhood(13, 5, 3).boxes, (5, 3, 1, False)),
        (P.neighborhood(13, 4, 2, 3).boxes, (4, 2, 3, False)),
        (P.neighborhood(13, 4, 1, 2, True).boxes, (4, 1, 2, True)),
        (P.window(12, 4).boxes, (4, 4, 1, False)),
        (P.dense(12).boxes, (12, 1, 1, False)),
        (P.causal(12).boxes, (12, 1, 1, True)),
        (P.sliding(12, 2).boxes, None),
        (P.window(12, 4, 1).boxes, None),
    ):
        assert axis is not None
        assert of_axis(axis[0][0]) == settings


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    it, _ = a_problem(P.neighborhood(12, 4))
    with pytest.raises(CallError, match="NATTEN is for CUDA, q is on cpu"):
        natten(it)
    for name in ("sink", "mask"):
        with pytest.raises(CallError, match=f"NATTEN has no {name}"):
            natten(a_problem(P.neighborhood(12, 4), **{name: True})[0])
    for pattern in (P.sliding(12, 2), SEPARABLE["criss-cross, prefix"], P.random(12, 3), P.dense(12, 9)):
        with pytest.raises(CallError, match="is no neighborhood"):
            natten(a_problem(pattern)[0])
    monkeypatch.setattr(module, "DEVICES", ("cpu",))
    monkeypatch.setitem(sys.modules, "natten", None)
    with pytest.raises(ExtraError, match="NATTEN is not installed"):
        natten(it)
