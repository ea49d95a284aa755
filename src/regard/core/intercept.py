"""`Interceptor`: sees every attention call that a model makes in this thread, without touching the model.

A `TorchFunctionMode` compares each torch function, by identity, with tables given by `mechanisms/`, and
follows softmaxes to the products they end in (`track`). The caller's address is the nearest stack frame
whose `self` is a module of the watched model; calls by other models are passed through unseen. Nothing
is hooked, so nothing can be left hooked.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from regard.core.call import Call
from regard.core.track import Product, Tracker

WRAPPERS = ("_orig_mod.", "module.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
PATCHIFIERS = frozenset({torch.conv1d, torch.conv2d, torch.conv3d})


@dataclass(frozen=True)
class Mechanisms:
    """How models compute attention: functions that are a call, and functions that hide one.

    calls: torch function -> parser of (module, output, its arguments) into the fields of a `Call` and its
        output in the canonical view (None: not readable).
    opens: torch function -> an equal function that makes its inner calls visible.
    by_hand: a product of weights and values, and the module that made it, into the fields of a `Call`.
    """

    calls: Mapping[Callable[..., Any], Callable[..., dict[str, Any] | None]]
    opens: Mapping[Callable[..., Any], Callable[..., Any]]
    by_hand: Callable[[Product, nn.Module], dict[str, Any] | None]


def addresses(model: nn.Module) -> dict[int, str]:
    """id(module) -> dotted address, without the names that wrappers add."""
    table = {}
    for name, module in model.named_modules():
        for wrapper in WRAPPERS:
            name = name.removeprefix(wrapper).replace("." + wrapper, ".")
        table[id(module)] = name or "(root)"
    return table


class Interceptor(TorchFunctionMode):
    """While active, hands each attention call of `model` and its output to `observe`."""

    def __init__(self, model: nn.Module, mechanisms: Mechanisms, observe: Callable[[Call, Tensor], None]) -> None:
        super().__init__()
        self.names = addresses(model)
        self.modules = {self.names[id(module)]: module for module in model.modules()}
        self.mechanisms = mechanisms
        self.observe = observe
        self.patch_grid: tuple[int, int] | None = None  # (h, w) of the last patch embedding that ran
        self.patch_site: str | None = None
        self.not_covered: Counter[str] = Counter()
        self._count: Counter[str] = Counter()
        self._tracker = Tracker()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in self.mechanisms.calls:
            return self._attention(func, args, kwargs)
        if func in self.mechanisms.opens and self._address() is not None:
            with self:  # torch switches the mode off inside this method; the opened function needs it
                return self.mechanisms.opens[func](*args, **kwargs)
        out = func(*args, **kwargs)
        if func in PATCHIFIERS:
            self._note_patches(out, args, kwargs)
        product = self._tracker.see(func, args, kwargs, out, self._address)
        if product is not None:
            self._by_hand(product)
        return out

    def _attention(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        out = func(*args, **kwargs)
        site = self._address()
        if site is None:
            return out
        fields = self.mechanisms.calls[func](self.modules[site], out, *args, **kwargs)
        if fields is None:
            self.not_covered[f"{site}: {func.__name__} with operands whose head axis is not known"] += 1
        else:
            self._hand_over(site, fields)
        return out

    def _by_hand(self, product: Product) -> None:
        site = self._address()
        if site is None:
            return
        fields = self.mechanisms.by_hand(product, self.modules[site])
        if fields is None:
            shape = list(product.weights.shape)
            self.not_covered[f"{site}: attention by hand whose weights {shape} have no known head axis"] += 1
            return
        self._hand_over(site, fields)

    def _hand_over(self, site: str, fields: dict[str, Any]) -> None:
        out = fields.pop("out")
        call = Call(site=site, index=self._count[site], **fields)
        self._count[site] += 1
        with torch.no_grad(), _full_precision(out):
            self.observe(call, out)

    def _note_patches(self, out: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Remember the grid when a convolution cuts the picture into patches (kernel = stride > 1)."""
        weight = args[1] if len(args) > 1 else kwargs.get("weight")
        stride = args[3] if len(args) > 3 else kwargs.get("stride", 1)
        if weight is None or weight.ndim != 4 or out.ndim != 4 or weight.shape[1] > 4:
            return
        step = (stride, stride) if isinstance(stride, int) else tuple(stride)
        if tuple(weight.shape[-2:]) == tuple(step) and max(step) > 1:
            site = self._address()
            if site is not None:
                self.patch_grid, self.patch_site = (out.shape[-2], out.shape[-1]), site

    @property
    def uncovered(self) -> Counter[str]:
        """What looks like attention and was not handed over, with how often."""
        return self.not_covered + self._tracker.unused()

    def _address(self) -> str | None:
        """Nearest frame on the stack whose `self` is a module of the model."""
        frame = sys._getframe(1)
        while frame is not None:
            owner = frame.f_locals.get("self")
            name = self.names.get(id(owner)) if owner is not None else None
            if name is not None:
                return name
            frame = frame.f_back  # type: ignore[assignment]
        return None


def _full_precision(x: Tensor) -> AbstractContextManager[Any]:
    """Readings are taken outside autocast, so that a half-precision region does not blur them."""
    kind = x.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()
