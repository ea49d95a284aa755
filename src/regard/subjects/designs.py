"""Mask designs: which cells stay in each of n pictures, `[n, cells]` bool. Structured ones say more a picture.

bernoulli   each cell stays with probability p, by itself
antithetic  the same in pairs of a mask and its complement
fixed       exactly k cells stay
coalitions  sizes as the Shapley kernel weighs them, in pairs of a mask and its complement
hadamard    rows of Hadamard matrices and their complements: main effects free of each other and of all
            two-cell interactions (resolution IV), where a whole design fits into n
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from scipy.linalg import hadamard as sylvester
from torch import Tensor

from regard.errors import LayoutError

Keep = Bool[Tensor, "n cells"]


def bernoulli(n: int, cells: int, generator: torch.Generator, *, p: float = 0.5) -> Keep:
    """Each cell stays with probability p, by itself."""
    _check(n, cells)
    if not 0 < p < 1:
        raise LayoutError(f"cells that stay with probability {p}", hint="between 0 and 1; 0.5 is usual")
    return torch.rand(n, cells, generator=generator, dtype=torch.float64) < p


def antithetic(n: int, cells: int, generator: torch.Generator) -> Keep:
    """Halves of each mask's cells, and the other halves."""
    return paired(bernoulli(-(-n // 2), cells, generator))[:n]


def fixed(n: int, cells: int, generator: torch.Generator, *, share: float = 0.5) -> Keep:
    """Exactly a share of the cells stays (rounded, at least one and not all)."""
    _check(n, cells)
    count = max(1, min(cells - 1, round(share * cells)))
    return _ranks(n, cells, generator) < count


def coalitions(n: int, cells: int, generator: torch.Generator) -> Keep:
    """Sizes s drawn with probability ~ (cells - 1) / (s (cells - s)), the cells of each at random; in pairs."""
    _check(n, cells)
    if cells < 2:
        raise LayoutError("a game of one cell", hint="at least two: its value is all of the score")
    half = -(-n // 2)
    sizes = torch.arange(1, cells, dtype=torch.float64)
    drawn = torch.multinomial(1 / (sizes * (cells - sizes)), half, replacement=True, generator=generator) + 1
    return paired(_ranks(half, cells, generator) < drawn[:, None])[:n]


def hadamard(n: int, cells: int, generator: torch.Generator) -> Keep:
    """Rows of Hadamard matrices with random columns, signs and order, each row followed by its complement."""
    _check(n, cells)
    matrix = torch.from_numpy(hadamard_matrix(cells + 1))
    order, pieces, left = len(matrix), [], n
    while left > 0:
        columns = torch.randperm(order - 1, generator=generator)[:cells] + 1  # the first column is constant
        signs = torch.randint(2, (cells,), generator=generator).bool()
        rows = torch.randperm(order, generator=generator)
        pieces.append(paired((matrix[rows][:, columns] > 0) ^ signs))
        left -= 2 * order
    return torch.cat(pieces)[:n]


def whole_design(cells: int) -> int:
    """Masks of one whole Hadamard design with its complements."""
    return 2 * len(hadamard_matrix(cells + 1))


def paired(keep: Bool[Tensor, "half cells"]) -> Bool[Tensor, "both cells"]:
    """Each mask followed by its complement."""
    return torch.stack([keep, ~keep], 1).flatten(0, 1)


@functools.cache
def hadamard_matrix(least: int) -> NDArray[np.int8]:
    """The smallest Hadamard matrix of an order of at least `least` that 2^a (q + 1) makes, q a prime of 4 m + 3.

    Paley's construction on the residues modulo q, doubled by Sylvester's; the first row and column are ones.
    """
    plain = 1 << (least - 1).bit_length()
    best: tuple[int, int] = (plain, 0)
    for q in (p for p in range(3, plain, 4) if _prime(p)):
        order = q + 1
        while order < least:
            order *= 2
        best = min(best, (order, q))
    order, q = best
    if not q:
        return sylvester(order, dtype=np.int8)
    made = np.kron(sylvester(order // (q + 1), dtype=np.int8), _paley(q))
    return made * made[:1]  # columns whose first entry is -1, turned


def _paley(q: int) -> NDArray[np.int8]:
    squares = set((np.arange(1, q) ** 2 % q).tolist())
    sign = np.array([0, *(1 if i in squares else -1 for i in range(1, q))], dtype=np.int8)
    core = sign[np.subtract.outer(np.arange(q), np.arange(q)) % q]
    skew = np.zeros((q + 1, q + 1), dtype=np.int8)
    skew[0, 1:], skew[1:, 0], skew[1:, 1:] = 1, -1, core
    made: NDArray[np.int8] = skew + np.eye(q + 1, dtype=np.int8)
    return made * made[:, :1]


def _prime(p: int) -> bool:
    return p > 1 and all(p % d for d in range(2, int(p**0.5) + 1))


def _ranks(n: int, cells: int, generator: torch.Generator) -> Int[Tensor, "n cells"]:
    return torch.rand(n, cells, generator=generator, dtype=torch.float64).argsort(1).argsort(1)


def _check(n: int, cells: int) -> None:
    if n < 1 or cells < 1:
        raise LayoutError(f"{n} masks of {cells} cells", hint="at least one of each")
