"""saliency-verbalization works: a sentence reads back as the map's own numbers, and its search is exhaustive."""

from __future__ import annotations

import itertools
import re
from functools import partial

import numpy as np
import pytest
from torch import nn

import regard as rg
from regard.testing.marks import works
from regard.viz.words import PLACES


def ninths(part: np.ndarray) -> np.ndarray:
    """Shares by a map enlarged until thirds are whole entries."""
    large = part.repeat(3, 0).repeat(3, 1)
    h, w = part.shape
    return (
        np.array([large[h * r : h * r + h, w * c : w * c + w].sum() for r in range(3) for c in range(3)]) / large.sum()
    )


def read(sentence: str) -> tuple[dict[str, int], int]:
    """The places with their shares, and what they hold together."""
    places = {name: int(share) for name, share in re.findall(r"(the [a-z ]+?) \((\d+) %\)", sentence)}
    return places, int(re.search(r": (\d+) %", sentence.rsplit(")", 1)[1]).group(1))  # type: ignore[union-attr]


@works("saliency-verbalization")
@pytest.mark.weights
@pytest.mark.parametrize("photo", ["chelsea", "coffee", "rocket"])
@pytest.mark.parametrize("method", ["input_x_gradient", "occlusion"])
def test_what_is_said_of_a_real_map_reads_back(efficientnet: nn.Module, photo: str, method: str) -> None:
    """Places, order, shares to half a per cent; no smaller set, and none as small, of the 511 holds more."""
    x = rg.image(f"sample:{photo}", like=efficientnet)
    chosen = partial(rg.explainers.occlusion, cells=5) if method == "occlusion" else method
    made = rg.explain(efficientnet, x, method=chosen)
    for sentence, sign in zip(re.split(r"(?<=\.) (?=Against)", made.describe(coverage=0.6)), (1, -1), strict=True):
        shares = ninths((sign * made.values[0].astype(float)).clip(min=0))
        places, together = read(sentence)
        at = [PLACES.index(name) for name in places]
        assert at == sorted(range(9), key=lambda i: -shares[i])[: len(at)]
        assert all(abs(100 * shares[i] - told) <= 0.501 for i, told in zip(at, places.values(), strict=True))
        assert abs(100 * shares[at].sum() - together) <= 0.501
        best = [max(shares[list(s)].sum() for s in itertools.combinations(range(9), n)) for n in range(10)]
        assert shares[at].sum() == pytest.approx(best[len(at)])
        assert best[len(at)] >= 0.6 > best[len(at) - 1]
