"""Random: each query sees some keys drawn by a seed."""

from __future__ import annotations

import torch

from regard.errors import LayoutError
from regard.patterns._pattern import BLOCK, Held, Listed, Pattern
from regard.patterns._space import Place, as_space
from regard.registry import method


@method(
    "patterns",
    paper="bigbird",
    claim="each query has exactly so many different keys, all equally likely; a seed gives the same again",
    source="section 2: random attention",
    needs=(),
    differs="single keys, where the paper's implementation draws blocks",
    unit="pairs",
)
def random(queries: Place, number: int = 32, seed: int = 0, keys: Place | None = None) -> Pattern:
    """Each query sees `number` different keys, drawn by `seed`. With `| neighborhood | global_tokens`: BigBird.

    Raises LayoutError for a number outside 1 .. keys. Source: Zaheer et al. 2020, "Big Bird".

    >>> import regard as rg
    >>> rg.patterns.random(16, 3).count()
    48
    """
    space = as_space(queries)
    other = space if keys is None else as_space(keys)
    if not 1 <= number <= other.body:
        raise LayoutError(f"number = {number} of {other.body} keys", hint=f"1 .. {other.body}")
    generator = torch.Generator().manual_seed(seed)
    step = max(1, BLOCK // other.body)
    drawn = [
        torch.rand(min(step, space.body - start), other.body, generator=generator).topk(number, -1).indices
        for start in range(0, space.body, step)
    ]
    name = f"random({space}, {number}, seed={seed})"
    return Pattern(name, space, other, Listed(Held(torch.cat(drawn)), other.body))
