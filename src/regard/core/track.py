"""`Tracker`: finds attention that a model makes by hand, `softmax(q k^T ...) ... @ v`, among its torch functions.

A product of two tensors may be logits; what elementwise functions make of it stays so. A softmax over the
last axis makes weights, and dropout, casts, masks or talking heads leave them weights. The product that has
weights on its left is the call: there the weights are as the model uses them. A softmax that no such product
follows is not attention, or none that can be read, and is told of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.weak import WeakIdKeyDictionary

SOFTMAXES = frozenset({torch.softmax, F.softmax, Tensor.softmax, torch.special.softmax})
PRODUCTS = frozenset({torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__})
_MT: Any = Tensor.mT
CUTTING = frozenset({Tensor.__getitem__, torch.narrow, Tensor.narrow})
TURNING = frozenset({torch.transpose, Tensor.transpose, torch.swapaxes, Tensor.swapaxes, _MT.__get__})
UNSQUEEZING = frozenset({torch.unsqueeze, Tensor.unsqueeze})
ADDING = frozenset({torch.baddbmm, Tensor.baddbmm})  # added + left @ right
EINSUMS = frozenset({torch.einsum, torch.functional.einsum})


@dataclass(frozen=True)
class Logits:
    """A product of two tensors: left `[..., Q, D]`, right `[..., D, K]`."""

    left: Tensor
    right: Tensor


@dataclass(eq=False)
class Softmax:
    """Whether what went into it was edited, and whether a product with values has followed."""

    edited: bool = False
    used: bool = False


@dataclass(frozen=True)
class Product:
    """Weights times values, as the model multiplied them; out has the queries before the last axis.

    finish: from an output like `out` to what the model's own function gives.
    """

    weights: Tensor
    values: Tensor
    out: Tensor
    logits: Logits | None
    edited: bool = False
    finish: Callable[[Tensor], Tensor] = lambda out: out


@dataclass(frozen=True)
class Weights:
    """Of a softmax over the last axis, with the product that its input came from, where it came from one.

    turned: the last two axes have changed places since, so that the queries are last.
    """

    softmax: Softmax
    logits: Logits | None
    turned: bool = False

    def use(self, weights: Tensor, values: Tensor, out: Tensor) -> Product | None:
        """The call that this product is, unless the same weights were on another operand before."""
        if self.softmax.used:
            return None
        self.softmax.used = True
        return Product(weights, values, out, self.logits, self.softmax.edited)


class Tracker:
    """Follows marks from function to function; holds no tensor longer than the model does."""

    def __init__(self) -> None:
        self._marks: Any = WeakIdKeyDictionary()

    def mark(self, tensor: Any) -> Logits | Weights | None:
        """What is known of a tensor."""
        return self._marks.get(tensor) if isinstance(tensor, Tensor) else None

    def see(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Product | None:
        """Take note of one function and what it gave; a `Product` if it was attention."""
        if not isinstance(out, Tensor):
            return None
        operands = _operands(func, args, kwargs)
        if operands is None:
            self._inherit(func, args, out)
            return None
        left, right = operands
        first, second = self._marks.get(left), self._marks.get(right)
        if isinstance(first, Weights) and not first.turned:
            return first.use(left, right, out)
        if isinstance(second, Weights) and second.turned:  # v^T p^T is (p v)^T
            product = second.use(right.mT, left.mT, out.mT)
            return None if product is None else replace(product, finish=lambda made: made.mT)
        if out.ndim >= 3:
            self._marks[out] = Logits(left, right)
        return None

    def softmax(
        self, source: Logits | Weights | None, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, *, edited: bool
    ) -> Softmax | None:
        """Take note of a softmax over what is known of its source; None if it cannot be attention's."""
        if not isinstance(out, Tensor) or out.ndim < 3:
            return None
        axis = args[1] if len(args) > 1 else kwargs.get("dim")
        softmax = Softmax(edited)
        if axis is not None and axis % out.ndim == out.ndim - 1:
            self._marks[out] = Weights(softmax, source if isinstance(source, Logits) else None)
        return softmax

    def _inherit(self, func: Any, args: tuple[Any, ...], out: Tensor) -> None:
        """What is made of a marked tensor, entry by entry, carries its mark."""
        if not len(self._marks):
            return
        for one in args:
            mark = self._marks.get(one) if isinstance(one, Tensor) else None
            if isinstance(mark, Weights) and func in CUTTING and out.shape[:-1] == one.shape[:-1]:
                self._marks[out] = replace(mark, logits=None)  # columns cut off: what is left are weights still
                return
            if mark is not None and out.numel() == one.numel():
                column = func in UNSQUEEZING and out.shape[-1] == 1 and one.shape[-2:-1] == (1,)  # one query's row
                turned = column or (func in TURNING and _turns(one.ndim, args[1:]))
                if isinstance(mark, Weights) and turned:
                    mark = replace(mark, turned=not mark.turned)
                self._marks[out] = mark
                return


def _turns(ndim: int, axes: tuple[Any, ...]) -> bool:
    """Whether a transposition (of the last two axes, if none are given) is of the last two."""
    return not axes or {axis % ndim for axis in axes if isinstance(axis, int)} == {ndim - 2, ndim - 1}


def _operands(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Tensor] | None:
    """Left `[..., Q, D]` and right `[..., D, K]` of a product of at least three axes."""
    if func in EINSUMS:
        return _einsum(args)
    at = 0 if func in PRODUCTS else 1 if func in ADDING else None
    if at is None:
        return None
    names = ("input", "other", "mat2") if at == 0 else ("batch1", "batch2")
    found = [*args[at : at + 2], *(kwargs[n] for n in names if n in kwargs)][:2]
    both = len(found) == 2 and all(isinstance(one, Tensor) and one.ndim >= 3 for one in found)
    return (found[0], found[1]) if both else None


def _einsum(args: tuple[Any, ...]) -> tuple[Tensor, Tensor] | None:
    """`...id,...jd->...ij` and `...ij,...jd->...id`, whatever the letters; other sums are not followed."""
    if len(args) == 2 and isinstance(args[1], list | tuple):  # operands may come as one list
        args = (args[0], *args[1])
    if len(args) != 3 or not isinstance(args[0], str) or not all(isinstance(a, Tensor) for a in args[1:]):
        return None
    sides, arrow, result = args[0].replace(" ", "").partition("->")
    a, comma, b = sides.partition(",")
    if not (arrow and comma) or len(a) < 3 or not a[:-2] == b[:-2] == result[:-2]:
        return None
    if a[-1] == b[-1] and result[-2:] == a[-2] + b[-2]:
        return args[1], args[2].transpose(-1, -2)
    if a[-1] == b[-2] and result[-2:] == a[-2] + b[-1]:
        return args[1], args[2]
    return None
