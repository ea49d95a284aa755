"""`natten`: the NATTEN library's kernels, where it is installed, for the patterns that it knows.

Tokens of the body go in its layout, heads last; prefix keys and more keys are its additional keys, which all queries
see; prefix queries see everything, and are computed in plain torch.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from regard.errors import CallError, ExtraError
from regard.patterns._axis import Axis
from regard.patterns._pattern import Pattern
from regard.patterns.neighborhood import neighborhood
from regard.softmax._assembly import whole_rows
from regard.softmax._problem import Problem

DEVICES = ("cuda",)
FUNCTIONS = {1: "na1d", 2: "na2d", 3: "na3d"}
Settings = tuple[int, int, int, bool]  # window, stride, dilation, causal


def natten(problem: Problem) -> tuple[Tensor, Tensor]:
    """Attention under a neighborhood by NATTEN. The log sum exp has no gradient; tested with a stand-in for NATTEN.

    Raises CallError for patterns that are no neighborhood, for biases, padding and a sink, and away from CUDA;
    ExtraError without NATTEN.
    """
    p = problem
    settings = _settings(p.pattern)
    for name, asked in (("bias", p.bias), ("bias", p.table), ("mask", p.keep), ("sink", p.sink)):
        if asked is not None:
            raise CallError(f"NATTEN has no {name}", hint="impl='triton' or 'composite'")
    if p.q.device.type not in DEVICES:
        raise CallError(f"NATTEN is for CUDA, q is on {p.q.device}", hint="impl='tiled'")
    function = getattr(_library(), FUNCTIONS[len(settings)])
    space, first = p.pattern.queries, p.pattern.queries.prefix
    k, v = (x.repeat_interleave(p.groups, 1) for x in (p.k, p.v))
    body = [x[:, :, first:].transpose(1, 2).unflatten(1, space.axes) for x in (p.q, k, v)]
    more = [x[:, :, :first] for x in (k, v)]
    if p.extra is not None:
        more = [torch.cat([x, y.repeat_interleave(p.groups, 1)], 2) for x, y in zip(more, p.extra, strict=True)]
    given = _given(settings) | {"scale": p.scale, "return_lse": True}
    if more[0].shape[2]:
        given |= {f"additional_{name}": x.transpose(1, 2) for name, x in zip(("keys", "values"), more, strict=True)}
    out, lse = (x.flatten(1, len(settings)).transpose(1, 2) for x in function(*body, **given))
    lse = lse.detach().float()
    if first:
        head, head_lse = whole_rows(p, first)
        out, lse = torch.cat([head.to(out), out], 2), torch.cat([head_lse.detach().float(), lse], 2)
    return out, lse


def _given(settings: tuple[Settings, ...]) -> dict[str, Any]:
    """As NATTEN names them, a number for each axis."""
    names = ("kernel_size", "stride", "dilation", "is_causal")
    return dict(zip(names, zip(*settings, strict=True), strict=True))


def _library() -> ModuleType:
    try:
        return importlib.import_module("natten")
    except ImportError as error:
        raise ExtraError("NATTEN is not installed", hint="https://natten.org/install, or impl='triton'") from error


@functools.lru_cache(maxsize=64)
def _settings(pattern: Pattern) -> tuple[Settings, ...]:
    """The window, stride, dilation and causality of each axis, read from its intervals."""
    boxes = pattern.boxes or ()
    found = [of_axis(axis) for axis in boxes[0]] if len(boxes) == 1 and pattern.queries == pattern.keys else [None]
    if None in found:
        raise CallError(f"{pattern} is no neighborhood, which is all that NATTEN knows", hint="impl='triton'")
    return tuple(one for one in found if one is not None)


def of_axis(axis: Axis) -> Settings | None:
    """What `neighborhood` would be called with to give these intervals; None: nothing."""
    window = max(b - a for a, b in zip(axis.lo, axis.hi, strict=True))
    if window * axis.dilation > axis.queries:
        return None
    for causal in (False, True):
        for stride in range(1, window + 1):
            made = neighborhood(axis.queries, window, stride, axis.dilation, causal)
            if made.boxes == ((axis,),):
                return window, stride, axis.dilation, causal
    return None
