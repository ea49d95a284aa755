from __future__ import annotations

import pytest
import torch

from .layers import Head, layer_of
from .models import draw, explained, values


@pytest.mark.parametrize("centre", [False, True])
def test_is_the_projection_on_the_first_eigenvector(centre: bool) -> None:
    model, x = Head(), draw(2, 3, 8, 6)
    a, _ = layer_of(model, x)
    got = values(explained(model, x, "eigencam", centre=centre))
    for b in range(2):
        places = a[b].flatten(1).T
        places = places - places.mean(0) if centre else places
        _, vectors = torch.linalg.eigh(places.T @ places)
        wanted = (places @ vectors[:, -1]).view(4, 3)
        agree = float((wanted * places.mean(1).view(4, 3)).sum())
        torch.testing.assert_close(got[b], wanted if agree > 0 else -wanted)


def test_the_sign_is_that_of_the_mean_activation() -> None:
    """The first singular vector of A and of -A are the same; the map is not."""
    model, x = Head(), draw(1, 3, 8, 6)
    first = values(explained(model, x, "eigencam"))
    with torch.no_grad():
        for p in model.features.parameters():
            p.neg_()
    torch.testing.assert_close(values(explained(model, x, "eigencam")), -first)


def test_no_target_is_looked_at() -> None:
    model, x = Head(), draw(1, 3, 8, 6)
    assert (explained(model, x, "eigencam", 0).values == explained(model, x, "eigencam", 2).values).all()
