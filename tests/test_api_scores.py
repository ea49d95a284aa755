from __future__ import annotations

from pathlib import Path

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


@pytest.mark.slow
def test_maps_are_held_against_people(tmp_path: Path) -> None:
    """People look at the left of every photo: the control maps get their rows beside the method's, saved with it."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    names = [f"{i}.png" for i in range(3)]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(tmp_path / name)
    xy = rng.normal([25, 30], 4, (60, 2))
    eyes = rg.gaze.Fixations(xy, image=np.repeat(names, 20), observer=list("abcde") * 12, size=(60, 80), per_degree=4.0)
    model = rg.model("random:test_vit")
    told = rg.compare(
        model, tmp_path, methods=["gradient"], metrics=["deletion"], baselines=["mean"], orders=1, gaze=eyes
    )
    assert told.people is not None
    assert {"gradient", "random", "centre", "people", "centre prior"} <= set(told.people.column("map"))
    assert told.people.column("n") == [3] * len(told.people.rows)
    told.save(tmp_path / "out")
    assert (tmp_path / "out" / "people.csv").read_text().startswith("metric,map,n,mean")
    with pytest.raises(rg.errors.LayoutError, match="photos by name"):
        rg.compare(model, rg.image("sample:coffee", like=model), methods=["gradient"], gaze=eyes)
