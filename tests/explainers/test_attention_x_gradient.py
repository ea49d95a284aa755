from __future__ import annotations

import pytest
import torch

from regard.errors import CallError
from regard.testing.planted import PlantedViT, planted_pictures

from .matrices import attention_of, gradient_of
from .models import explained, values

X = planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize(("layer", "query"), [(-1, None), (0, 0), (0, 17)])
def test_is_attention_times_its_gradient(layer: int, query: int | None, absolute: bool) -> None:
    model = PlantedViT(seed=2).double()
    product = (attention_of(model, X)[layer] * gradient_of(model, X)[layer])[:, :, query or 0, 1:]
    got = explained(model, X, "attention_x_gradient", layer=layer, query=query, absolute=absolute)
    torch.testing.assert_close(values(got).flatten(1), (product.abs() if absolute else product).mean(1))


def test_a_query_that_is_not_read_has_no_gradient() -> None:
    """The planted fault: the row of a token that the score does not read is zero, as a decoder's own row is."""
    got = explained(PlantedViT().double(), X, "attention_x_gradient", query=17)
    assert abs(got.values).max() == 0.0
    assert got.warnings[0] == "map 0: all values are 0"


def test_refusals() -> None:
    with pytest.raises(CallError, match="no layer 2"):
        explained(PlantedViT().double(), X, "attention_x_gradient", layer=2)
