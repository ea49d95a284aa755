from __future__ import annotations

import numpy as np
import pytest

import regard as rg
from regard.errors import LayoutError, MethodError
from regard.testing.planted import PlantedCNN, planted_pictures

X = planted_pictures([(2, 5)])


def test_a_bank_of_the_wrong_kind_is_refused_with_the_right_verb() -> None:
    model = PlantedCNN()
    heat = rg.explain(model, X, method="gradcam", target=1)
    orders, masks = rg.bank(model, X, heat, orders=2), rg.masks(model, X, heat, rounds=2, each=4)
    with pytest.raises(MethodError, match="deletion does not read a MaskBank") as caught:
        rg.score(heat, model, X, metric="deletion", bank=masks)
    assert "regard.bank" in caught.value.hint
    with pytest.raises(MethodError, match="saco does not read a OrderBank") as caught:
        rg.score(heat, model, X, metric="saco", bank=orders)
    assert "regard.masks" in caught.value.hint
    with pytest.raises(LayoutError, match="a map is scored, got str"):
        rg.masks(model, X, "map")  # type: ignore[arg-type]


def test_a_shared_bank_costs_no_forward_but_sacos_own_groups() -> None:
    model = PlantedCNN()
    heat = rg.explain(model, X, method="gradcam", target=1)
    masks = rg.masks(model, X, heat)
    for name, forwards in (("infidelity", 1), ("mu_fidelity", 1), ("sensitivity_n", 1), ("saco", 11)):
        assert rg.score(heat, model, X, metric=name, bank=masks).forwards == forwards, name
    alone = rg.score(heat, model, X, metric="saco")
    np.testing.assert_allclose(alone.value, rg.score(heat, model, X, metric="saco", bank=masks).value)
