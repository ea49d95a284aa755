"""`operators`: the four kinds of attention of CAB, which operators can do each, and from what length on they pay.

self: queries, keys and values of the same tokens, all seen. causal self: token i uses no token after i. cross: queries
of other tokens than the keys. causal cross: query i uses all keys, and no query after i. An operator's card declares
the kinds that it can do; `leaks` tests a declaration by gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.bench.timing import Bench, in_turn, machine, quartiles, threads
from regard.errors import LayoutError, MethodError
from regard.layout import Grid
from regard.progress import track
from regard.registry import KINDS, Card, cards
from regard.results import Table

COLUMNS = ("operator", "kind", "length", "ms", "low", "high", "times plain", "crossover")
_FEW = 49  # agents, inducing points, rows of a projection: a fixed number, whatever the length


def operators(
    names: Sequence[str] | None = None, *, kinds: Sequence[str] = ("self",), lengths: Sequence[int] = (256, 1024, 4096),
    heads: int = 3, dim: int = 32, rounds: int = 5, patience: float = 2.0, one_thread: bool = True,
) -> Bench:  # fmt: skip
    """Time operators at several lengths against plain softmax attention, and tell from what length on they are faster.

    names: operators; None: all that can do one of the kinds. kinds: self, causal self, cross, causal cross (CAB's
    four). In cross attention there are as many queries as keys. lengths: tokens; those that are no square are left out
    for operators on grids, and those at which a call would take over `patience` seconds, if it grows with the square of
    the length; `notes` tell which. Columns: ms (median and quartiles), times plain: plain over operator in the same
    round; crossover: the length from which on the operator is faster, between lengths by a straight line in
    logarithms; the first length: "<= 256"; none in reach: "> 4096". Plain is `scaled_dot_product_attention`.

    Raises LayoutError for unknown kinds and for fewer than one length, MethodError for unknown operators, and for an
    operator that can do none of the kinds. Source: Zhang et al. 2022, "CAB".

    >>> import regard as rg
    >>> made = rg.bench.operators(["linear"], kinds=["causal self"], lengths=[16, 64], rounds=1)
    >>> made.table.column("length")
    [16, 64]
    """
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong or not lengths or min(lengths) < 1 or rounds < 1:
        raise LayoutError(
            f"kinds {list(kinds)}, lengths {list(lengths)}, {rounds} rounds",
            hint=f"kinds among {', '.join(KINDS)}; at least one length and one round",
        )
    pairs = [(card, kind) for card in _chosen(names, kinds) for kind in kinds if kind in card.kinds]
    rows: list[tuple[object, ...]] = []
    notes: list[str] = []
    with threads(1 if one_thread else torch.get_num_threads()):
        here = machine()
        for card, kind in track(pairs, "operators"):
            told, note = _rows(card, kind, sorted(lengths), heads, dim, rounds, patience)
            rows, notes = rows + told, notes + note
    table = Table(COLUMNS, tuple(rows), {"ms": "ms", "low": "ms", "high": "ms"}, "operators and their crossovers")
    return Bench(
        "operators", here, {"heads": heads, "dim": dim, "rounds": rounds, "kinds": list(kinds)}, table,
        tuple(notes),
    )  # fmt: skip


def _chosen(names: Sequence[str] | None, kinds: Sequence[str]) -> list[Card]:
    known = cards("operators")
    for name in names or ():
        if name not in known:
            raise MethodError.unknown("operator", name, known, see="regard list operators")
        if not set(kinds) & set(known[name].kinds):
            able = ", ".join(known[name].kinds) or "none of the four kinds: it changes tokens or pictures"
            raise MethodError(f"{name} does {able}", hint=f"asked for: {', '.join(kinds)}")
    every = [card for card in known.values() if set(kinds) & set(card.kinds)]
    return [known[name] for name in names] if names else sorted(every, key=lambda card: card.name)


def _rows(
    card: Card, kind: str, lengths: list[int], heads: int, dim: int, rounds: int, patience: float
) -> tuple[list[tuple[object, ...]], list[str]]:
    told: list[tuple[int, tuple[float, float, float], float]] = []
    notes: list[str] = []
    for length in lengths:
        if "grid" in card.subjects and math.isqrt(length) ** 2 != length:
            notes.append(f"{card.name}, {kind}: {length} tokens are no square")
            continue
        if told and told[-1][1][1] * (length / told[-1][0]) ** 2 > 1e3 * patience:
            notes.append(f"{card.name}, {kind}: {length} tokens and more may take over {patience:g} s a call; not run")
            break
        ways = {
            "plain": partial(_plain, kind == "causal self", *tensors(("q", "k", "v"), length, heads, dim)),
            "own": partial(call(card, kind), *tensors(card.subjects, length, heads, dim)),
        }
        with torch.no_grad():
            found = in_turn(ways, rounds, "cpu")
        gain = quartiles([a / b for a, b in zip(found["plain"], found["own"], strict=True)])[1]
        told.append((length, quartiles([1e3 * s for s in found["own"]]), gain))
    meet = crossover([length for length, *_ in told], [gain for *_, gain in told])
    return [(card.name, kind, length, ms[1], ms[0], ms[2], gain, meet) for length, ms, gain in told], notes


def _plain(causal: bool, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


def crossover(lengths: Sequence[int], gains: Sequence[float]) -> str:
    """The length from which on all gains are above 1, as text; between two lengths on a line in logarithms."""
    last = max((at for at, gain in enumerate(gains) if gain < 1), default=None)
    if not lengths:
        return ""
    if last is None:
        return f"<= {lengths[0]}"
    if last == len(lengths) - 1:
        return f"> {lengths[-1]}"
    low, high = math.log(gains[last]), math.log(gains[last + 1])
    share = -low / (high - low)
    return f"{lengths[last] * (lengths[last + 1] / lengths[last]) ** share:.0f}"


def call(card: Card, kind: str) -> Callable[..., Tensor]:
    """The operator as attention of a kind; a normaliser of logits gets products and, where causal, -inf."""
    causal = kind == "causal self"
    if "logits" in card.subjects:
        return partial(_normalised, card.function, causal)
    if causal and any(option.name == "causal" for option in card.options):
        return partial(card.function, causal=True)
    return card.function


def _normalised(weights: Callable[[Tensor], Tensor], causal: bool, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logits = q @ k.mT * q.shape[-1] ** -0.5
    if causal:
        later = torch.ones(logits.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        logits = logits.masked_fill(later, -math.inf)
    return weights(logits) @ v


def tensors(subjects: Sequence[str], length: int, heads: int, dim: int, keys: int | None = None) -> list[Any]:
    """What an operator asks for, at a length: random, the same each time. keys: their number, if it is another one.

    Raises MethodError for subjects that have no length, as those of operators on pictures.
    """
    generator = torch.Generator().manual_seed(0)
    keys = length if keys is None else keys

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    made: dict[str, Callable[[], Any]] = {
        "q": lambda: drawn(1, heads, length, dim),
        "k": lambda: drawn(1, heads, keys, dim),
        "v": lambda: drawn(1, heads, keys, dim),
        "agents": lambda: drawn(1, heads, _FEW, dim),
        "inducing": lambda: drawn(1, heads, _FEW, dim),
        "projection": lambda: drawn(_FEW, keys),
        "gate": lambda: F.logsigmoid(drawn(1, heads, keys, dim)),
        "beta": lambda: torch.sigmoid(drawn(1, heads, keys)),
        "importance": lambda: drawn(1, heads, keys),
        "intensity": lambda: drawn(1, length),
        "position": lambda: drawn(heads, length, keys),
        "left": lambda: drawn(1, heads, length, 4),
        "right": lambda: drawn(1, heads, keys, 4),
        "rq": lambda: drawn(1, heads, length, dim),
        "rk": lambda: drawn(1, heads, keys, dim),
        "mix": lambda: drawn(heads, heads, dim),
        "tokens": lambda: drawn(1, length, heads * dim),
        "decay": lambda: torch.sigmoid(drawn(1, heads, length, 2) + 2),
        "grid": lambda: Grid(math.isqrt(length), math.isqrt(length)),
    }
    wanted = ("q", "k", "v") if "logits" in subjects else subjects
    missing = [name for name in wanted if name not in made]
    if missing:
        raise MethodError.unknown("operand of a length", missing[0], made, see="regard.bench.operators.tensors")
    return [made[name]() for name in wanted]


def leaks(function: Callable[..., Tensor], kind: str, operands: Sequence[Any], subjects: Sequence[str]) -> list[str]:
    """Names of the operands whose later tokens reach an earlier output: none, if a causal kind is kept.

    Outputs of about the first half may have no gradient for, and must not change with, the tokens after it; the
    change also shows choices, which have no gradient. causal self looks at all that belongs to a token, causal cross
    at what belongs to a query.
    """
    wanted = ("q", "k", "v") if "logits" in subjects else tuple(subjects)
    per_token = {"q", "rq"} if kind == "causal cross" else {"q", "k", "v", "rq", "rk", "gate", "beta", "importance"}
    watched = {name: at for at, name in enumerate(wanted) if name in per_token}
    given = list(operands)
    for at in watched.values():
        given[at] = given[at].detach().clone().requires_grad_()
    out = function(*given)
    half = out.shape[2] // 2 - 3  # within a block, wherever blocks are a power of two
    generator = torch.Generator().manual_seed(1)
    early = out[:, :, :half]
    weighed = (early * torch.randn(early.shape, generator=generator).to(out)).sum()
    grads = torch.autograd.grad(weighed, [given[at] for at in watched.values()], allow_unused=True)
    found = []
    for (name, at), grad in zip(watched.items(), grads, strict=True):
        other = [x.detach() if isinstance(x, Tensor) else x for x in given]
        other[at] = other[at].clone()
        later = other[at][:, :, half:]
        later.copy_(1.5 * later.flip(2))
        moved = not torch.allclose(function(*other)[:, :, :half], early.detach(), rtol=1e-5, atol=1e-6)
        if moved or (grad is not None and bool(grad[:, :, half:].any())):
            found.append(name)
    return found
