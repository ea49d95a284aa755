"""`attention`: patterns x sizes x implementations of `regard.attend`, each beside dense attention with a mask."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.bench.timing import Bench, Machine, in_turn, machine, quartiles, threads
from regard.errors import CallError, ExtraError, LayoutError
from regard.patterns._pattern import Pattern
from regard.progress import track
from regard.registry import find
from regard.results import Table
from regard.softmax.attend import attend

MASK = 1 << 30  # bytes of the mask that dense attention may have; above it the other ways stand alone
COLUMNS = (
    "pattern", "impl", "pass", "ms", "low", "high", "times dense", "bound", "pairs bound", "share of floor",
    "took", "why", "refused",
)  # fmt: skip
_UNITS = {"ms": "ms", "low": "ms", "high": "ms", "times dense": "x", "bound": "x", "pairs bound": "x"}


@dataclass(frozen=True)
class Shape:
    """What all cases share: pictures, heads, and the width of a head."""

    batch: int = 1
    heads: int = 3
    dim: int = 32


def attention(
    patterns: Sequence[str | Pattern] = ("neighborhood(7)", "neighborhood(13)", "window(8)"),
    *, sizes: Sequence[str] = ("56x56",), impls: Sequence[str] = ("auto",), shape: Shape = Shape(),
    backward: bool = False, rounds: int = 7, device: str = "cpu", one_thread: bool = True,
) -> Bench:  # fmt: skip
    """Time implementations of `regard.attend`, and tell measured speed-ups beside those that a plan predicts.

    patterns: as one writes them after `regard.patterns.`, without the space: "neighborhood(7, dilation=2)"; or made
    ones, which carry their space. sizes: of the axes, "56x56", "1024", "8x28x28". impls: as in `attend`. backward: time
    the gradients, too. rounds: each runs all ways in turn. device: cpu or cuda. one_thread: on a CPU, count the
    process's own time of one thread, which neighbours on a shared machine disturb least.

    Columns: ms (median, and quartiles low, high); times dense: median over rounds of dense SDPA with a mask over the
    way, in the same round; bound: dense over visited tiles of 32 queries and keys (`Pattern.plan`), pairs bound: all
    pairs over those that are seen; share of floor: the least time that the seen pairs' arithmetic and one reading and
    writing of q, k, v and out take at the machine's own speed (backward: 3.5 and 2 times that), over ms; took, why:
    the implementation that ran, and why; refused: why a way did not run. One that refuses is a row, not an error.

    Raises LayoutError for texts that are no pattern or size, MethodError for unknown patterns.

    >>> import regard as rg
    >>> made = rg.bench.attention(["window(4)"], sizes=["8x8"], impls=["tiled"], rounds=1)
    >>> made.table.column("impl")
    ['dense', 'tiled']
    """
    if rounds < 1:
        raise LayoutError(f"{rounds} rounds", hint="at least 1")
    if device != "cpu" and not torch.cuda.is_available():
        raise CallError(f"no device {device} is at hand", hint="device='cpu'")
    ready = [one for one in patterns if isinstance(one, Pattern)]
    for one in patterns:
        ready += [read(one, size) for size in sizes] if isinstance(one, str) else []
    rows: list[tuple[object, ...]] = []
    settings = {"batch": shape.batch, "heads": shape.heads, "dim": shape.dim, "rounds": rounds, "device": device}
    with threads(1 if one_thread and device == "cpu" else torch.get_num_threads()):
        here = machine(device)
        for pattern in track(ready, "patterns"):
            for mode in ("forward", "both") if backward else ("forward",):
                rows += _rows(pattern, impls, mode, shape, rounds, here)
    table = Table(COLUMNS, tuple(rows), _UNITS, "attention under patterns")
    notes = tuple(
        f"{row[0]}, {row[1]}, {row[2]}: {row[-1] or f'took {row[-3]}, for {row[-2]}'}"
        for row in rows
        if row[-1] or row[1] == "auto"
    )
    return Bench("attention", here, settings, table, notes)


def read(text: str, size: str) -> Pattern:
    """The pattern that `regard.patterns.<text>` makes on axes such as "56x56"; literals only, nothing is evaluated."""
    try:
        call = ast.parse(text, mode="eval").body
        call = ast.Call(call, [], []) if isinstance(call, ast.Name) else call
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            raise ValueError("no call of a name")
        given = [ast.literal_eval(value) for value in call.args]
        named = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        axes = tuple(int(n) for n in size.split("x"))
    except (SyntaxError, ValueError) as error:
        raise LayoutError(
            f"'{text}' on '{size}' is no pattern", hint="'neighborhood(7, dilation=2)' on '56x56'"
        ) from error
    factory = find("patterns", call.func.id).function
    try:
        made: Pattern = factory(axes, *given, **named)
    except TypeError as error:
        raise LayoutError(f"'{text}': {error}", hint=f"regard card patterns.{call.func.id}") from error
    return made


def _rows(
    pattern: Pattern, impls: Sequence[str], mode: str, shape: Shape, rounds: int, here: Machine
) -> Iterator[tuple[object, ...]]:
    """A row for each implementation; those that refuse are asked first, so that they are not timed."""
    operands = _operands(pattern, shape, mode == "both", here.device)
    ways: dict[str, Callable[[], object]] = {}
    took: dict[str, tuple[str, str]] = {}
    refused: dict[str, str] = {}
    if pattern.queries.tokens * pattern.keys.tokens * 4 <= MASK:
        ways["dense"] = partial(_once, _plain(pattern, here.device), operands, mode)
    else:
        refused["dense"] = f"its mask would take over {MASK >> 30} GiB"
    for impl in impls:
        run = partial(_once, partial(_ours, pattern, impl), operands, mode)
        try:
            run()
        except (CallError, LayoutError, ExtraError) as error:
            refused[impl] = str(error).splitlines()[0]
        else:
            name = "dense (ours)" if impl == "dense" else impl
            ways[name], took[name] = run, (impl, "as asked")
            if impl == "auto":
                with torch.set_grad_enabled(mode == "both"):
                    made = attend(*operands, pattern=pattern)
                took[name] = (made.impl, made.why)
    found = in_turn(ways, rounds, here.device)
    plan = pattern.plan(dim=shape.dim, heads=shape.heads, batch=shape.batch)
    flops, moved = (plan.flops, plan.bytes) if mode == "forward" else (3.5 * plan.flops, 3 * plan.bytes)
    bounds = (round(plan.bound, 2), round(plan.dense_pairs / plan.pairs, 2))
    for name, taken in found.items():
        low, middle, high = quartiles([1e3 * s for s in taken])
        ratios = [dense / own for dense, own in zip(found["dense"], taken, strict=True)] if "dense" in found else []
        share = 1e3 * here.floor(flops, moved) / middle
        gain = quartiles(ratios)[1] if ratios else None
        seen = bounds if name != "dense" else (1.0, 1.0)
        yield (str(pattern), name, mode, middle, low, high, gain, *seen, share, *took.get(name, (None, None)), None)
    for name, why in refused.items():
        yield (str(pattern), name, mode, None, None, None, None, *bounds, None, None, None, why)


def _operands(pattern: Pattern, shape: Shape, backward: bool, device: str) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    counts = (pattern.queries.tokens, pattern.keys.tokens, pattern.keys.tokens)
    made = (torch.randn(shape.batch, shape.heads, n, shape.dim, generator=generator) for n in counts)
    return tuple(x.to(device).requires_grad_(backward) for x in made)


def _plain(pattern: Pattern, device: str) -> Callable[..., Tensor]:
    """What one writes without a pattern: SDPA with a mask that is made before, or none where all is seen."""
    if pattern.count() == math.prod(pattern.lead) * pattern.queries.tokens * pattern.keys.tokens:
        return F.scaled_dot_product_attention
    seen = pattern.mask(device)
    return partial(
        F.scaled_dot_product_attention, attn_mask=torch.zeros(seen.shape, device=device).masked_fill_(~seen, -math.inf)
    )


def _ours(pattern: Pattern, impl: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return attend(q, k, v, pattern=pattern, impl=impl).out


def _once(function: Callable[..., Tensor], operands: tuple[Tensor, ...], mode: str) -> None:
    if mode == "forward":
        with torch.no_grad():
            function(*operands)
    else:
        out = function(*operands)
        torch.autograd.grad(out, operands, torch.ones_like(out))
