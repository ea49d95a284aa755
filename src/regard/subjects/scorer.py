"""`Scorer`: pictures to the explained score, differentiable, counting what goes through the model.

The one subject of every explainer that runs the model by itself. Parameters ask for no gradient meanwhile; pictures go
through a few at a time. What cannot be differentiated is refused, with the module at which the gradient ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from regard.core.call import Call
from regard.core.edit import Edit, Edited
from regard.core.plan import Keep
from regard.core.record import Record
from regard.core.scope import addresses
from regard.core.watch import Watch
from regard.errors import CallError, DegenerateError
from regard.layout import Grid
from regard.progress import track
from regard.subjects.bank import BATCH
from regard.subjects.baseline import baseline_picture
from regard.subjects.forward import Subject, frozen
from regard.subjects.kept import Kept
from regard.subjects.scan import Scan, Scanned, SelectiveScan
from regard.subjects.tap import Activations, Layer, Place, activations, changed, put, taps
from regard.subjects.target import Goal, Target, choose

NO_GRADIENT = "the score does not depend on the picture in a way that can be differentiated"


class Scorer:
    """`score(pictures)` gives the target's score `[n]` of n pictures, a multiple of those that are explained.

    The target is resolved on the explained pictures when it is first needed. count: pictures that were scored. kept:
    where scores without a graph are kept, and taken from if they are there.
    """

    def __init__(self, on: Subject, goal: Goal) -> None:
        self.on, self._goal = on, goal
        self.count = 0
        self.kept: Kept | None = None
        self._channels_last = on.x.device.type == "cpu"  # convolutions and their gradients: a fifth faster there
        self._found: tuple[Target, Tensor] | None = None

    @property
    def aimed(self) -> bool:
        """Whether the target was looked at."""
        return self._found is not None

    @property
    def target(self) -> Target:
        """What is explained."""
        return self._first()[0]

    @property
    def value(self) -> Float[Tensor, " b"]:
        """The scores of the explained pictures."""
        return self._first()[1]

    def _first(self) -> tuple[Target, Tensor]:
        if self._found is None:
            with torch.no_grad():
                self.of_pictures(self._run(self.on.x))
        assert self._found is not None
        return self._found

    def of_pictures(self, output: Any) -> Float[Tensor, " b"]:
        """As `of`, where the output is known to be that of the explained pictures: a target not yet known is found."""
        target = self._found[0] if self._found else choose(self._goal, output, self.on.classes)
        scores = _finite(target.of(output), target)
        self._found = self._found or (target, scores.detach())
        return scores

    def of(self, output: Any) -> Float[Tensor, " n"]:
        """The score in what the model returned; NaN is refused."""
        return _finite(self.target.of(output), self.target)

    def __call__(self, pictures: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
        """Scores without a graph, a few pictures at a time."""
        with torch.no_grad():
            return torch.cat([self.plain(part) for part in track(self._split(pictures), "pictures")])

    def plain(self, part: Float[Tensor, "n ..."], *under: Tensor) -> Float[Tensor, " n"]:
        """Scores of one batch without a graph, run or kept. under: what else decides them, in a changed model."""
        self._first()
        before = self.count
        with torch.no_grad():
            scores = self._scored(part) if self.kept is None else self.kept((part, *under), self._scored)
        self.count = before + len(part)
        return scores

    def _scored(self, part: Tensor) -> Tensor:
        return self.of(self._run(part))

    def gradient(self, pictures: Shaped[Tensor, "b ..."] | None = None) -> Float[Tensor, "b ..."]:
        """The gradient of each picture's own score; the explained pictures if none are given."""
        (only,) = self.gradients([self.on.x if pictures is None else pictures])
        return only

    def gradients(self, points: Iterable[Tensor], total: int = 1) -> Iterator[Float[Tensor, "b ..."]]:
        """The gradient at each of `points`, `[B, ...]` each, several in one batch. Refuses if all of them are zero."""
        rest, alive = iter(track(points, "gradients", total=total)), False
        per = max(1, BATCH // self.on.x.shape[0])
        while some := list(islice(rest, per)):
            together = self.slope(torch.cat(some) if len(some) > 1 else some[0])
            alive = alive or bool(together.any())
            yield from together.split(self.on.x.shape[0])
        if not alive:
            raise self.why_zero()

    def baseline(self, name: str, generator: torch.Generator | None = None) -> Float[Tensor, "b ..."]:
        """The explained pictures without their evidence."""
        return baseline_picture(self.on.x, name, span=self.on.span, generator=generator)

    def run(self, pictures: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
        """Scores of the explained pictures (or changed ones), in one batch and with whatever graph there is.

        Pictures on a graph have scores on it: a mask would otherwise be learnt from its own costs alone.
        """
        self._first()
        scores = self.of(self._run(pictures))
        if torch.is_grad_enabled() and pictures.requires_grad and not scores.requires_grad:
            raise self._cut(pictures)
        return scores

    # Inside of the model.

    @cached_property
    def grid(self) -> Grid | None:
        """How the model's tokens lie on the picture, if it attends to any that do."""
        return next((r.grid for r in reversed(self.watch(()).readings) if r.grid is not None), None)

    def layers(self, places: Sequence[Place]) -> list[Layer]:
        """What flows at some places, with the gradient of the score there: one forward, one backward."""
        self.count += self.on.x.shape[0]
        return taps(self.on.model, self.on.x, places, self.of_pictures)[0]

    def activations(self, places: Sequence[Place]) -> list[Activations]:
        """What flows at some places, without a gradient: one forward, which also finds the target."""
        self.count += self.on.x.shape[0]
        made, output = activations(self.on.model, self.on.x, places)
        with torch.no_grad():
            self.of_pictures(output)
        return made

    def scans(self) -> list[Scan]:
        """Every selective scan of the model, in order, with the gradient at its output: one forward, one backward."""
        names = addresses(self.on.model)
        kept: list[tuple[str, Scanned, Tensor]] = []

        def note(module: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
            assert isinstance(module, SelectiveScan)
            live = out if out.requires_grad else out.detach().requires_grad_()
            kept.append((names[id(module)], Scanned(*(t.detach() for t in module.scanned(args[0]))), live))
            return live.clone()

        self._first()
        with ExitStack() as stack:
            stack.enter_context(frozen(self.on.model))
            for module in self.on.model.modules():
                if isinstance(module, SelectiveScan):
                    stack.callback(module.register_forward_hook(note).remove)
            scores = self.of(self._run(self.on.x))
            if not kept:
                raise CallError(
                    "this model runs no selective scan that can be read", hint="regard.subjects.scan.SelectiveScan"
                )
            slopes = torch.autograd.grad(scores.sum(), [live for *_, live in kept])
        return [Scan(name, made, slope) for (name, made, _), slope in zip(kept, slopes, strict=True)]

    def with_layer(self, layer: Activations, values: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        """Scores of the explained pictures with other activations at a layer; n a multiple of the pictures."""
        found = []
        with torch.no_grad():
            for part in track(self._split(values), "activations"):
                repeated = self.on.x.repeat(len(part) // len(self.on.x), *(1,) * (self.on.x.ndim - 1))
                with changed(self.on.model, layer.place, partial(put, part, place=layer.place)):
                    found.append(self.of(self._run(repeated)))
        return torch.cat(found)

    def keeping(self, kept: Bool[Tensor, "n tokens"]) -> Float[Tensor, " n"]:
        """Scores of the explained pictures with some tokens only; n a multiple of the pictures.

        The keys of the others are masked in every call of their number: exactly as if they were dropped after the
        position embedding, where only prefix tokens are read out (`check_droppable`).
        """
        found = []
        with torch.no_grad():
            for part in track(self._split(kept), "token masks"):
                mask = part[:, None, None]

                def masked(call: Call, mask: Tensor = mask) -> Call:
                    return call.biased(mask) if call.keys == mask.shape[-1] else call

                repeated = self.on.x.repeat(len(part) // len(self.on.x), *(1,) * (self.on.x.ndim - 1))
                with Edited(self.on.model, self.on.mechanisms, Edit("token drop", masked), "*"):
                    found.append(self.plain(repeated, part))
        return torch.cat(found)

    def check_droppable(self) -> Grid:
        """The grid of the tokens, of which any may go; refuses a model that reads out patch tokens."""
        grid = self.grid
        if grid is None:
            raise CallError("this model attends to no tokens on a grid, so none can be dropped", hint="a ViT, or rise")
        none = torch.zeros(len(self.on.x), grid.tokens, dtype=torch.bool, device=self.on.x.device)
        none[:, : grid.prefix] = True
        other = Scorer(replace(self.on, x=self.on.x.flip(-1) * -1), self.target.of)
        same = grid.prefix > 0 and torch.allclose(self.keeping(none), other.keeping(none), rtol=1e-4, atol=1e-5)
        self.count += other.count
        if not same:
            raise CallError(
                "this model's score also reads patch tokens, not only the prefix: a masked token is not a dropped one",
                hint="a model with a class token, or a method that masks pixels",
            )
        return grid

    def watch(
        self, keep: Keep, select: str = "*", *, skip: Sequence[str] = (), pictures: Tensor | None = None
    ) -> Record:
        """A record whose gradient probes were filled by the score, of the explained pictures or of as many others.

        Blocks at `skip` hand on what they are given.
        """
        self._first()
        with ExitStack() as stack:
            stack.enter_context(frozen(self.on.model))
            for address in skip:
                stack.enter_context(_skipped(self.on.model, address))
            record = stack.enter_context(Watch(self.on.model, self.on.mechanisms, select, keep))
            scores = self.of(self._run(self.on.x if pictures is None else pictures))
            if record.taps:
                if not scores.requires_grad:
                    raise CallError(NO_GRADIENT, hint="a method that only runs the model (regard list explainers)")
                record.backward(scores)
        return record

    def _run(self, pictures: Tensor) -> Any:
        """The model's output; channels last where that is faster and the model's own `view` allows it."""
        self.count += pictures.shape[0]
        if not self._channels_last or pictures.ndim != 4:
            return self.on.model(pictures)
        try:
            return self.on.model(pictures.contiguous(memory_format=torch.channels_last))
        except RuntimeError as error:
            if "view size is not compatible" not in str(error):
                raise
        self._channels_last = False
        return self.on.model(pictures.contiguous())

    def _split(self, pictures: Tensor) -> tuple[Tensor, ...]:
        b = self.on.x.shape[0]
        return pictures.split(b * max(1, BATCH // b))

    def slope(self, pictures: Shaped[Tensor, "n ..."], only: int | None = None) -> Float[Tensor, "n ..."]:
        """The gradient of the summed scores (of the first `only` pictures, if given), all in one batch."""
        if not pictures.is_floating_point():
            raise CallError(
                f"an input of {pictures.dtype} has no gradient: numbers of tokens cannot be moved a little",
                hint="a method of attention (transformer_attribution, attention_x_gradient), or masks",
            )
        if pictures is not self.on.x:
            self._first()
        score = self.of_pictures if pictures is self.on.x else self.of
        with frozen(self.on.model):
            leaf = pictures.detach().clone().requires_grad_()
            scores = score(self._run(leaf))
            if not scores.requires_grad:
                raise self._cut(leaf)
            (slope,) = torch.autograd.grad(scores[:only].sum(), leaf, allow_unused=True)
        if slope is None:
            raise CallError(f"{NO_GRADIENT}: nothing of it reaches the score", hint="another target")
        if not torch.isfinite(slope).all():
            raise DegenerateError(
                f"the gradient of {self.target.label} is NaN or infinite", hint="float32, or a score without log(0)"
            )
        return slope

    def _cut(self, leaf: Tensor) -> CallError:
        """The refusal of a score that is off the graph, with where it was cut."""
        return CallError(
            f"{NO_GRADIENT}: its graph ends inside of the model ({_where_cut(self.on.model, leaf)})",
            hint="no torch.no_grad(), .detach(), argmax or NumPy in forward; or a method that only runs it",
        )

    def why_zero(self) -> DegenerateError:
        """The refusal of a gradient that is zero, with where it ends."""
        where = _where_zero(self.on.model, self.on.x, self.of)
        return DegenerateError(
            f"the gradient of {self.target.label} is zero at every pixel{where}",
            hint="another target or a method without gradients; a score that is saturated or clipped has none",
        )


def _finite(scores: Tensor, target: Target) -> Tensor:
    if not torch.isfinite(scores).all():
        wrong = int((~torch.isfinite(scores)).sum())
        raise DegenerateError(
            f"the model's score of {target.label} is NaN or infinite for {wrong} of {len(scores)} pictures",
            hint="pictures as regard.image(path, like=model) scales them; weights and types without overflow",
        )
    return scores


def _outputs(model: nn.Module, x: Tensor) -> tuple[list[tuple[str, Tensor]], Any]:
    """What each leaf module gave, with its address, and the model's output."""
    found: list[tuple[str, Tensor]] = []
    names = addresses(model)

    def note(module: nn.Module, _: Any, out: Any) -> Any:
        if not isinstance(out, Tensor):
            return out
        found.append((f"{names[id(module)]} ({type(module).__name__})", out))
        return out.clone()  # what follows may write in place

    with ExitStack() as stack:
        for module in model.modules():
            if not any(True for _ in module.children()):
                stack.callback(module.register_forward_hook(note).remove)
        return found, model(x)


def _where_cut(model: nn.Module, leaf: Tensor) -> str:
    """The last module that still was on the graph."""
    on_graph = [name for name, out in _outputs(model, leaf)[0] if out.requires_grad]
    return f"after '{on_graph[-1]}'" if on_graph else "before its first module"


def _where_zero(model: nn.Module, x: Tensor, score: Callable[[Any], Tensor]) -> str:
    """The first module behind which the gradient still lives: the one that ends it."""
    with frozen(model):
        found, output = _outputs(model, x.detach().clone().requires_grad_())
        reached = [(name, out) for name, out in found if out.requires_grad]
        slopes = torch.autograd.grad(score(output).sum(), [out for _, out in reached], allow_unused=True)
    alive = [name for (name, _), slope in zip(reached, slopes, strict=True) if slope is not None and slope.any()]
    return f": it ends at '{alive[0]}'" if alive else ": no module's output moves it"


def _skipped(model: nn.Module, address: str) -> Any:
    """A block that hands on its input."""
    given: list[Tensor] = []

    def at_input(value: Tensor) -> Tensor:
        given.append(value)
        return value

    stack = ExitStack()
    stack.enter_context(changed(model, Place(address, at_input=True), at_input))
    stack.enter_context(changed(model, Place(address, at_input=False), lambda _: given.pop()))
    return stack
