"""`Interceptor`: sees every attention call that models make in a thread, without touching them.

A `TorchFunctionMode`, one for each thread, compares each torch function, by identity, with tables given by
`mechanisms/`, and follows softmaxes to the products they end in (`track`). Edits act in the order in which they were
opened, whatever the nesting; then every watch sees the call as it was finally made.

The mode is on inside a listener's block. Hooks on the model's modules, there for as long as the block, push it
again where torch runs them out of sight of the block: in another thread, or in the backward of a checkpoint.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn, overrides
from torch.overrides import TorchFunctionMode

from regard.core.attend import attend
from regard.core.call import Call
from regard.core.checkpoint import checkpoint_around
from regard.core.scope import Listener, Owner, Parsed, close_listener, open_listener, opened, owners
from regard.core.track import SOFTMAXES, Logits, Product, Tracker
from regard.errors import EditError, context

PATCHIFIERS = frozenset({torch.conv1d, torch.conv2d, torch.conv3d})


class Interceptor(TorchFunctionMode):
    """While on, hands attention calls to the listeners of the models that make them."""

    def __init__(self) -> None:
        super().__init__()
        self._tracker = Tracker()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        all_open = opened()
        if not all_open:
            return func(*args, **kwargs)
        mechanisms = all_open[0].mechanisms
        if func in mechanisms.calls:
            return self._attention(func, args, kwargs)
        if func in mechanisms.opens and owners(sys._getframe(1)):
            with self:  # torch switches the mode off inside this method; the opened function needs it
                return mechanisms.opens[func](*args, **kwargs)
        name = mechanisms.opaque(func)
        if name is not None:
            _tell(owners(sys._getframe(1)), f"the fused kernel {name}")
        if func in SOFTMAXES:
            return self._softmax(func, args, kwargs)
        out = func(*args, **kwargs)
        if func in PATCHIFIERS:
            _note_patches(out, args, kwargs)
        product = self._tracker.see(func, args, kwargs, out)
        return out if product is None else self._by_hand(product, out)

    def _attention(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found = owners(sys._getframe(2))
        parsed = found[0].listener.mechanisms.calls[func](found[0].maker, *args, **kwargs) if found else None
        if parsed is None:
            _tell(found, f"{getattr(func, '__name__', func)} with operands whose head axis is not known")
            return func(*args, **kwargs)
        return _serve(found, parsed, lambda: func(*args, **kwargs))

    def _softmax(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Edits of logits act here, on what goes in; what comes out is followed."""
        found = owners(sys._getframe(2))
        source = args[0] if args else kwargs["input"]
        mark = self._tracker.mark(source)
        editors = [one for one in found if _edits(one)] if isinstance(mark, Logits) else []
        edited = _edit_logits(editors, source)
        if edited is not source:
            args, kwargs = ((edited, *args[1:]), kwargs) if args else (args, {**kwargs, "input": edited})
        out = func(*args, **kwargs)
        if found:
            softmax = self._tracker.softmax(mark, args, kwargs, out, edited=bool(editors))
            if softmax is not None:
                for one in found:
                    one.listener.softmaxes.append((one.site, softmax))
        return out

    def _by_hand(self, product: Product, out: Tensor) -> Tensor:
        found = owners(sys._getframe(2))
        parsed = found[0].listener.mechanisms.by_hand(product, found[0].maker) if found else None
        if parsed is None:
            shape = list(product.weights.shape)
            _tell(found, f"attention by hand whose weights {shape} have no known head axis")
            return out
        made = _serve(found, parsed, lambda: product.out)
        return out if made is product.out else product.finish(made)


def _serve(found: list[Owner], parsed: Parsed, run: Callable[[], Any]) -> Any:
    """Make a call: as the model does unless it is edited or its gradient is tapped; then let all look."""
    around = checkpoint_around(sys._getframe(2))
    indices, (checkpoint, *_) = zip(*(one.listener.next_call(one.site, around) for one in found), strict=True)
    call = Call(site=found[0].site, index=indices[0], checkpoint=checkpoint, **parsed.fields)
    edited = False
    for one, index in zip(found, indices, strict=True):
        if one.listener.edit is not None and one.listener.wants(one.site):
            before = call.placed(one.site, index)
            call = one.listener.edit(before)
            edited = edited or call is not before
    places = [(one.listener, call.placed(one.site, index)) for one, index in zip(found, indices, strict=True)]
    taps = [t for t in (listener.taps(here) for listener, here in places) if t is not None]
    if edited or taps:
        with context(f"while making {call.site}, call {call.index}"):
            product, canonical = attend(call, taps)
        out = parsed.raw(canonical)
    else:
        out = run()
        product = canonical = parsed.canonical(out)
    with torch.no_grad(), _full_precision(canonical):
        for listener, here in places:
            if listener.observe is not None:
                listener.observe(here, canonical, product)
    return out


def _edits(one: Owner) -> bool:
    return one.listener.edit is not None and one.listener.wants(one.site)


def _edit_logits(editors: list[Owner], source: Tensor) -> Tensor:
    """What goes into a softmax that may be attention's, edited; its call is not counted, for it is not made yet."""
    for one in editors:
        parsed = one.listener.mechanisms.logits(source, one.maker)
        if parsed is not None:
            assert one.listener.edit is not None
            call = one.listener.edit(Call(site=one.site, index=one.listener.count[one.site], **parsed.fields))
            if call.on_logits:
                source = parsed.raw(call.logits()).to(source.dtype)
    return source


def _tell(found: list[Owner], what: str) -> None:
    for one in found:
        one.listener.not_covered[f"{one.site}: {what}"] += 1
        if _edits(one):
            raise EditError(
                f"{one.site} cannot be edited: {what}", hint="leave it out of the selection; regard.sites lists it"
            )


def _note_patches(out: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Remember the grid when a convolution cuts the picture into patches (kernel = stride > 1)."""
    weight = args[1] if len(args) > 1 else kwargs.get("weight")
    stride = args[3] if len(args) > 3 else kwargs.get("stride", 1)
    if weight is None or weight.ndim != 4 or out.ndim != 4 or weight.shape[1] > 4:
        return
    step = (stride, stride) if isinstance(stride, int) else tuple(stride)
    if tuple(weight.shape[-2:]) == tuple(step) and max(step) > 1:
        for one in owners(sys._getframe(2)):
            one.listener.patch_grid, one.listener.patch_site = (out.shape[-2], out.shape[-1]), one.site


def _full_precision(x: Tensor) -> AbstractContextManager[Any]:
    """Readings are taken outside autocast, so that a half-precision region does not blur them."""
    kind = x.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()


class _Scope(threading.local):
    """Modules of this thread whose hooks are running, and whether each of them pushed the mode."""

    def __init__(self) -> None:
        self.entered: list[tuple[nn.Module, bool]] = []


_scope = _Scope()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Open a listener for a block; afterwards, however the block ends, nothing of ours is left on."""
    open_listener(listener)
    hooks = []
    try:
        for module in _hookable(listener.model):
            hooks.append(module.register_forward_pre_hook(_enter, prepend=True))
            hooks.append(module.register_forward_hook(_leave, always_call=True))
        if not isinstance(listener.model, torch.jit.ScriptModule):
            hooks.append(listener.model.register_forward_pre_hook(_note_batches, with_kwargs=True))
        if not _is_on():
            overrides._push_mode(Interceptor())
        yield
    finally:
        for hook in hooks:
            hook.remove()
        close_listener(listener)
        if not any(one.thread == threading.get_ident() for one in opened()):
            _unwind()
        listener.let_go()


def _hookable(model: nn.Module) -> Iterator[nn.Module]:
    """Modules that may hold attention: torch's own leaves do not."""
    for module in model.modules():
        leaf = type(module).__module__.startswith("torch.nn") and not any(True for _ in module.children())
        if not leaf and not isinstance(module, torch.jit.ScriptModule):
            yield module


def _is_on() -> bool:
    return any(isinstance(mode, Interceptor) for mode in overrides._get_current_function_mode_stack())


def _unwind() -> None:
    """Take every mode of ours off this thread's stack, and leave the others in their order."""
    _scope.entered.clear()
    stack = overrides._get_current_function_mode_stack()
    if any(isinstance(mode, Interceptor) for mode in stack):
        for _ in stack:
            overrides._pop_mode()
        for mode in stack:
            if not isinstance(mode, Interceptor):
                overrides._push_mode(mode)


def _enter(module: nn.Module, _: Any) -> None:
    """Where the mode is not on, push it for as long as the module runs. Plain functions, so that a copied or
    pickled model carries no listener."""
    on = _is_on()
    if (on and not _scope.entered) or not any(one.name_of(module) for one in opened()):
        return
    if not on:
        overrides._push_mode(Interceptor())
    _scope.entered.append((module, not on))


def _note_batches(module: nn.Module, args: Any, kwargs: Any) -> None:
    """Pictures, videos, texts; tensors of three axes may have their batch anywhere."""
    given = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
    sizes = {x.shape[0] for x in given if x.ndim >= 2 and x.ndim != 3}
    words = next((x.shape[1] for x in given if x.ndim == 2 and x.dtype == torch.int64), None)
    for one in opened():
        if one.model is module and one.serves_here():
            one.ran, one.batches = True, frozenset(sizes)
            if words is not None:  # a text is a line, until a picture is cut into patches
                one.patch_grid, one.patch_site = (1, words), None
        elif one.model is module:
            one.ran_elsewhere = True


def _leave(module: nn.Module, _: Any, __: Any) -> None:
    if not any(entered is module for entered, _ in _scope.entered):
        return
    pushed, left = False, False
    while not left:
        entered, pushed_here = _scope.entered.pop()
        left, pushed = entered is module, pushed or pushed_here
    if pushed:
        rest = list(_scope.entered)
        _unwind()
        _scope.entered.extend(rest)
