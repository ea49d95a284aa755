"""The verbs of gaze: what they wrap, what they say about it, what they refuse."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import regard as rg
from regard.errors import DataError, ImageError, LayoutError, MethodError

from .test_card import SIZE, crowd


def heat(seed: int = 0, h: int = 30, w: int = 40) -> rg.Map:
    return rg.Map(np.random.default_rng(seed).random((1, h, w)), rg.Grid(h, w), "drawn")


def test_predict_is_the_method_with_its_facts() -> None:
    x = rg.image("sample:coffee")
    got = rg.gaze.predict(x, partial(rg.gaze.predictors.pft, width=40))
    assert np.array_equal(got.values, rg.gaze.predictors.pft(x, width=40).values.numpy())
    assert (got.method, got.unit, got.settings["width"], got.forwards) == ("pft", "energy", 40, 0)
    with pytest.raises(MethodError, match=r"no gaze\.predictor named 'bsm'"):
        rg.gaze.predict(x, "bsm")
    with pytest.raises(ImageError, match=r"not 0\.\.1"):
        rg.gaze.predict(x * 2, "pft")


def test_predict_opens_a_photo(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(path)
    for given in (path, str(path)):
        assert np.array_equal(rg.gaze.predict(given, "pft").values, rg.gaze.predict(rg.image(path), "pft").values)
    with pytest.raises(DataError, match=r"no\.jpg"):
        rg.gaze.predict("no.jpg", "pft")


def test_score_tells_its_convention_and_resizing() -> None:
    seen = crowd()
    maps = {name: heat(i, 15, 20) for i, name in enumerate(seen.images)}
    table = rg.gaze.score(maps, seen, convention="aim2024")
    assert table.title == "aim2024, blur 3.33 px: 120 fixations on 4 pictures; maps resized from 15x20"
    assert table.columns == ("metric", "value", "low", "high", "people", "centre", "other picture", "uniform")
    assert table.column("metric") == ["CC", "SIM", "NSS", "AUC-Judd"]
    assert 0.4 < table.column("uniform")[3] < 0.6
    whole = rg.gaze.score(maps, seen, sigma=1.0, controls=False, ceiling="leave-one-out")
    assert "blur 1 px" in whole.title
    assert whole.columns[-1] == "people"


def test_one_map_for_one_picture() -> None:
    seen = crowd().on("a")
    table = rg.gaze.score(heat(), seen)
    assert table.title == "tuebingen, blur 2 px: 30 fixations on a"
    assert table.column("centre") == [None] * 5
    with pytest.raises(LayoutError, match="1 maps for fixations on 4 pictures"):
        rg.gaze.score(heat(), crowd())
    with pytest.raises(LayoutError, match="'a' has no single Map"):
        rg.gaze.score({"a": np.ones(SIZE)}, seen)
    with pytest.raises(LayoutError, match="size of the pictures"):
        rg.gaze.score(heat(), rg.gaze.Fixations([[1.0, 1.0]]))
    with pytest.raises(MethodError, match="no ceiling named 'third'"):
        rg.gaze.score(heat(), seen, ceiling="third")


def test_ceiling_of_people_who_agree_and_who_do_not() -> None:
    rng = np.random.default_rng(0)
    apart = rg.gaze.Fixations(
        rng.uniform(0, 29, (60, 2)), observer=[str(i % 6) for i in range(60)], size=SIZE, per_degree=2.0
    )
    agree = dict(zip(*(rg.gaze.ceiling(crowd()).column(c) for c in ("metric", "half-split")), strict=True))
    differ = dict(zip(*(rg.gaze.ceiling(apart).column(c) for c in ("metric", "half-split")), strict=True))
    assert agree["AUC"] > 0.95 > 0.75 > differ["AUC"]
    assert "sAUC" in agree
    assert "sAUC" not in differ


def test_area_card() -> None:
    table = rg.gaze.area_card(crowd(), {"spot": (0, 0, 20, 15)})
    assert table.title == "24 viewings"
    assert table.units == {"dwell": "s", "first": "s"}
    assert table.column("seen by")[0] == pytest.approx(0.25)


def test_scanpath_is_in_the_pixels_of_the_picture() -> None:
    one = rg.Map(np.eye(4)[None], rg.Grid(4, 4), "drawn")
    assert rg.gaze.scanpath(one, (40, 80), fixations=1).xy.tolist() == [[10, 5]]
    assert rg.gaze.scanpath(one, fixations=1).xy.tolist() == [[0.5, 0.5]]
    with pytest.raises(LayoutError, match="2 maps"):
        rg.gaze.scanpath(rg.Map(np.zeros((2, 4, 4)), rg.Grid(4, 4), "drawn"))


def test_compare_hands_over_size_and_names() -> None:
    one, two = crowd().on("a").paths()[:2]
    got = rg.gaze.compare(one, two)
    assert list(got) == ["shape", "direction", "length", "position", "duration"]
    assert rg.gaze.compare(one, one, partial(rg.gaze.comparisons.scanmatch, threshold=2.0)) == {"scanmatch": 1.0}
    bare = rg.gaze.Scanpath(one.xy, one.duration)
    assert rg.gaze.compare(bare, bare, "frechet") == {"frechet": 0.0}
    with pytest.raises(LayoutError, match=r"pictures of None and \(30, 40\)"):
        rg.gaze.compare(bare, two, "levenshtein")
