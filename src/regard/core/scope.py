"""Who listens to which model, from which thread, and what a call's place in it is called.

A `Listener` is what an open watch or edit is to the interceptor. All that are open stand in one tuple, in the order
in which they were opened; it is replaced as a whole, so that any thread may read it at any time.

A listener serves the thread that opened it, and work that torch itself sends elsewhere: replicas of
`nn.DataParallel`, and recomputation in the autograd engine's threads. Other Python threads are served only where
`threads="all"` asks for it: on a server, two requests that share a model must not read or edit each other.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from regard.core.call import Call, Tap
from regard.core.checkpoint import Checkpoint
from regard.core.track import Product, Softmax
from regard.errors import CallError
from regard.layout import Windows

WRAPPERS = ("_orig_mod.", "module.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")

Threads = Literal["own", "all"]


class Maker(NamedTuple):
    """Who makes a call, and the sizes of the batches that its model was last given."""

    module: nn.Module
    batches: frozenset[int] = frozenset()


class Parsed(NamedTuple):
    """Fields of a `Call`, and how its output gets from the model's own layout into the canonical one and back."""

    fields: dict[str, Any]
    canonical: Callable[[Any], Tensor]
    raw: Callable[[Tensor], Any]


@dataclass(frozen=True)
class Mechanisms:
    """How models compute attention: functions that are a call, and functions that hide one.

    calls: torch function -> parser of (maker, its arguments); None: not readable.
    opens: torch function -> an equal function that makes its inner calls visible.
    by_hand: a product of weights and values, and its maker.
    logits: what goes into a softmax, and its maker; the only field is the logits in the canonical view.
    windows: (modules from the caller outwards, batch, queries, keys, pictures, patches) to windows of the picture.
    opaque: the name of a function that is attention and cannot be read, or None.
    prepares: given a model, switch off what hides its calls and give back the undoing, or None.
    """

    calls: Mapping[Callable[..., Any], Callable[..., Parsed | None]]
    opens: Mapping[Callable[..., Any], Callable[..., Any]]
    by_hand: Callable[[Product, Maker], Parsed | None]
    logits: Callable[[Tensor, Maker], Parsed | None]
    prepares: tuple[Callable[[nn.Module], Callable[[], None] | None], ...] = ()
    windows: Callable[..., Windows | None] = lambda *_: None
    opaque: Callable[[Any], str | None] = lambda _: None


def addresses(model: nn.Module) -> dict[int, str]:
    """id(module) -> dotted address, without the names that wrappers add."""
    table = {}
    for name, module in model.named_modules():
        for wrapper in WRAPPERS:
            name = name.removeprefix(wrapper).replace("." + wrapper, ".")
        table[id(module)] = name or "(root)"
    return table


NOBODY = nn.Module()


class Listener:
    """One open watch or edit of a model.

    observe: is handed each call as it is finally made, its output, and its product of weights and values.
    edit: gives another call in a call's place; wants: whether the calls at a site are to be edited.
    taps: what a call's gradient is to be handed to, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        mechanisms: Mechanisms,
        observe: Callable[[Call, Tensor, Tensor], None] | None = None,
        *,
        edit: Callable[[Call], Call] | None = None,
        wants: Callable[[str], bool] = lambda _: True,
        taps: Callable[[Call], Tap | None] = lambda _: None,
        threads: str = "own",
    ) -> None:
        self.model, self.mechanisms = model, mechanisms
        self.observe, self.edit, self.wants, self.taps = observe, edit, wants, taps
        if threads not in ("own", "all"):
            raise CallError(f"threads={threads!r}", hint="'own' (this thread) or 'all'")
        self.thread, self.everywhere = threading.get_ident(), threads == "all"
        self.names = addresses(model)
        self.by_hooks = {id(m._forward_pre_hooks): self.names[id(m)] for m in model.modules()}
        self.patch_grid: tuple[int, int] | None = None  # (h, w) of the last patch embedding that ran
        self.patch_site: str | None = None
        self.not_covered: Counter[str] = Counter()
        self.batches: frozenset[int] = frozenset()
        self.ran = self.ran_elsewhere = False
        self.softmaxes: list[tuple[str, Softmax]] = []
        self.count: Counter[str] = Counter()
        self.checkpointed: dict[tuple[int, str], list[int]] = {}
        self.lock = threading.Lock()

    def name_of(self, module: nn.Module) -> str | None:
        """The address of one of the model's modules, or of a replica of it, if this thread is served there."""
        if getattr(module, "_is_replica", False):  # a replica shares its original's table of hooks
            return self.by_hooks.get(id(module._forward_pre_hooks))
        name = self.names.get(id(module))
        return name if name is None or self.serves_here() else None

    def around(self, site: str) -> list[nn.Module]:
        """The module at an address, and those that it is in, from the inside out."""
        named = {self.names[id(module)]: module for module in self.model.modules()}
        parts = site.split(".")
        outwards = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        return [named[name] for name in outwards if name in named]

    def serves_here(self) -> bool:
        here = threading.get_ident() == self.thread or self.everywhere
        return here or isinstance(threading.current_thread(), threading._DummyThread)

    def let_go(self) -> None:
        """Hold the model no longer than the block: what observes holds the listener in turn."""
        self.observe = self.edit = None
        self.wants, self.taps = (lambda _: False), (lambda _: None)
        self.model = NOBODY  # and not deleted: another thread may be looking through the list it was in

    def warn_of_other_threads(self, what: str) -> None:
        """The model ran during the block, but not in its thread: what was asked for did not happen."""
        if self.ran_elsewhere and not self.ran:
            warnings.warn(
                f"the model ran in another thread than the block's, and was not {what} there; threads='all' serves "
                "every thread, or open a block in each",
                stacklevel=4,
            )

    def next_call(self, site: str, checkpoint: Checkpoint | None) -> tuple[int, Checkpoint | None]:
        """Which call of its site this is; counted under a lock, for replicas run at the same time.

        One that is made again has the number that it had; where the first was not seen, it is a call like others.
        """
        with self.lock:
            made = self.checkpointed.setdefault((checkpoint.key, site), []) if checkpoint else []
            if checkpoint is not None and checkpoint.again:
                if not made:
                    return self._count(site), None
                made.append(made.pop(0))  # in turn, and from the first one again the next time
                return made[-1], checkpoint
            made.append(self._count(site))
            return made[-1], checkpoint

    def _count(self, site: str) -> int:
        self.count[site] += 1
        return self.count[site] - 1

    @property
    def uncovered(self) -> Counter[str]:
        """What looks like attention and was not handed over, with how often."""
        unused = (f"{site}: softmax without a product with values" for site, s in self.softmaxes if not s.used)
        return self.not_covered + Counter(unused)


_open: tuple[Listener, ...] = ()
_changing = threading.RLock()
_undoings: dict[int, tuple[int, list[Callable[[], None]]]] = {}  # id(model) -> how often opened, how to undo


def opened() -> tuple[Listener, ...]:
    """All open listeners, in the order in which they were opened."""
    return _open


def open_listener(listener: Listener) -> None:
    """Put it last, and make its model's calls visible if it is the first of this model."""
    global _open
    with _changing:
        count, undo = _undoings.get(id(listener.model), (0, []))
        if not count:
            undo = [u for u in (prepare(listener.model) for prepare in listener.mechanisms.prepares) if u is not None]
        _undoings[id(listener.model)] = (count + 1, undo)
        if not _open:
            _force_eager(True)
        _open = (*_open, listener)


def close_listener(listener: Listener) -> None:
    """Take it away; the last of a model gives the model its ways back."""
    global _open
    with _changing:
        _open = tuple(one for one in _open if one is not listener)
        if not _open:
            _force_eager(False)
        count, undo = _undoings.pop(id(listener.model))
        if count > 1:
            _undoings[id(listener.model)] = (count - 1, undo)
        else:
            for restore in undo:
                restore()


_stance: list[Any] = []


def _force_eager(on: bool) -> None:
    """Compiled code is run eagerly while anything is open. The stance is torch's, one for all threads."""
    if on and "torch._dynamo" in sys.modules:
        _stance.append(torch.compiler.set_stance("force_eager"))
        _stance[-1].__enter__()
    elif not on and _stance:
        _stance.pop().__exit__(None, None, None)


class Owner(NamedTuple):
    """A listener that a call belongs to, and where in its model the call is made."""

    listener: Listener
    site: str
    module: nn.Module

    @property
    def maker(self) -> Maker:
        return Maker(self.module, self.listener.batches)


def owners(frame: FrameType | None) -> list[Owner]:
    """For each open listener the nearest frame whose `self` is a module of its model, in the order of opening."""
    waiting = list(_open)
    found: dict[int, Owner] = {}
    while frame is not None and waiting:
        module = frame.f_locals.get("self")
        if isinstance(module, nn.Module) and not isinstance(module, nn.Softmax):  # that one acts for whom it is in
            for listener in tuple(waiting):
                name = listener.name_of(module)
                if name is not None:
                    found[id(listener)] = Owner(listener, name, module)
                    waiting.remove(listener)
        frame = frame.f_back
    return [found[id(one)] for one in _open if id(one) in found]
