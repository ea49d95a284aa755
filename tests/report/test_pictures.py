"""Pictures of a look: the part that the model saw, under the maps that belong to it."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from regard.looking.look import Look
from regard.models.picture import Picture
from regard.report import pictures
from regard.report.pictures import LARGE, SMALL
from regard.viz.colour import outline, overlay

from ..looking.vits import cnn, vit, without_prefix
from .conftest import Render


def wide(h: int = 500, w: int = 1500) -> Picture:
    """Columns of three colours: a crop of the middle shows the second only."""
    rgb = np.zeros((h, w, 3), dtype=np.float32)
    for i, third in enumerate(np.array_split(np.arange(w), 3)):
        rgb[:, third, i] = 1.0
    return Picture(rgb, "wide.png")


def test_the_photo_is_the_part_the_model_saw(looked: Render) -> None:
    one = looked(cnn(), wide())
    for side in (LARGE, SMALL):
        drawn = pictures.photo(one, side)
        assert drawn.shape == (min(side, 500), min(side, 500), 3)
        inner = drawn[5:-5, 5:-5]
        assert (inner[..., 1] > 250).all()
        assert (inner[..., [0, 2]] < 5).all()


def test_small_photos_are_enlarged_large_ones_kept_below_the_side(planted_look: Look, looked: Render) -> None:
    large = pictures.photo(planted_look, SMALL)
    assert large.shape == (SMALL, SMALL, 3)
    whole = planted_look.picture.to_pil()
    back = np.asarray(Image.fromarray(large).resize(whole.size, Image.Resampling.BOX), dtype=float)
    assert np.abs(back - np.asarray(whole)).mean() < 4  # of 255: the same picture, larger
    rgb = np.random.default_rng(0).integers(0, 256, (600, 600, 3)).astype(np.float32) / 255
    one = looked(cnn(), Picture(rgb, "p"))
    np.testing.assert_array_equal(pictures.photo(one, LARGE), np.rint(255 * rgb))


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (1, 4)])
def test_a_speck_has_pictures_too(looked: Render, shape: tuple[int, int]) -> None:
    one = looked(cnn(), Picture(np.full((*shape, 3), 0.5, dtype=np.float32), "speck"))
    found = {name: picture for name, (_, picture) in pictures.panels(one).items()}
    assert (np.abs(found["photo"].astype(int) - 128) <= 1).all()
    assert max(found["photo"].shape) == SMALL
    assert {picture.shape for picture in found.values()} == {found["photo"].shape}


def test_heads_of_the_last_layers(planted_look: Look, looked: Render) -> None:
    heads = pictures.cls_heads(planted_look)
    assert [caption for caption, _ in heads] == [f"layer {i} head {j}" for i in (0, 1) for j in (0, 1)]
    assert planted_look.attention is not None
    base = pictures.photo(planted_look, SMALL)
    for (_, drawn), values in zip(heads, planted_look.attention.maps().reshape(-1, 8, 8), strict=True):
        np.testing.assert_array_equal(drawn, overlay(base, values))
    three = looked(vit())
    assert pictures.cls_heads(three)[0][0] == "layer 1 head 0"
    assert len(pictures.cls_heads(three, layers=9)) == 6
    assert pictures.cls_heads(looked(cnn())) == []


def test_panels_are_the_maps_over_the_photo(planted_look: Look) -> None:
    found = pictures.panels(planted_look)
    assert list(found) == ["photo", "attention", "rollout", "importance", "object", "vector", "pca", "gradcam"]
    base = found["photo"][1]
    assert planted_look.attention is not None
    np.testing.assert_array_equal(found["attention"][1], overlay(base, planted_look.attention.maps()[-1].mean(0)))
    np.testing.assert_array_equal(found["rollout"][1], overlay(base, planted_look.maps["rollout"].values[0]))
    np.testing.assert_array_equal(
        found["importance"][1], overlay(base, planted_look.maps["importance"].values[0], smooth=True)
    )
    mask = planted_look.parts["tokencut"].mask
    assert mask is not None
    np.testing.assert_array_equal(found["object"][1], outline(base, mask[0]))
    assert found["gradcam"][0] == "Grad-CAM: redness"


def test_what_was_refused_or_is_not_there_has_no_panel(planted_look: Look, looked: Render) -> None:
    from dataclasses import replace

    less = replace(planted_look, parts={"pca": planted_look.parts["pca"]}, maps={})
    assert list(pictures.panels(less)) == ["photo", "attention", "pca"]
    bare = looked(without_prefix())
    assert "rollout" not in pictures.panels(bare)
    assert pictures.panels(bare)["attention"][0].startswith("received attention")


def test_the_thumbnail_is_the_most_telling_panel(planted_look: Look, looked: Render) -> None:
    for one, name in ((planted_look, "gradcam"), (looked(vit()), "attention")):
        np.testing.assert_array_equal(pictures.Drawn(one).thumbnail, pictures.panels(one)[name][1])


def test_plain_paints_values_with_the_colours_of_their_limits() -> None:
    drawn = pictures.plain(np.array([[-1.0, 0.0, 1.0]]), (2, 6))
    ends = [(np.array(colormaps["coolwarm"](u)[:3]) * 255).astype(np.uint8) for u in (0.0, 0.5, 1.0)]
    for column, colour in zip((0, 2, 4), ends, strict=True):
        np.testing.assert_array_equal(drawn[:, column : column + 2], np.broadcast_to(colour, (2, 2, 3)))


def opened(address: str, kind: str) -> Image.Image:
    head, _, data = address.partition(",")
    assert head == f"data:image/{kind};base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_addresses_hold_the_picture() -> None:
    photo = np.full((16, 24, 3), (10, 200, 30), dtype=np.uint8)
    back = np.asarray(opened(pictures.data_address(photo), "jpeg"))
    assert back.shape == photo.shape
    assert np.abs(back.astype(int) - photo).max() < 6
    assert opened(pictures.figure_address(Figure(figsize=(2, 1)), dpi=50), "png").size == (100, 50)
