"""Whatever names pictures becomes single pictures, prepared for the model one at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from regard.errors import DataError, LayoutError
from regard.looking.album import listed, opened, sample
from regard.models.facts import facts_of
from regard.models.picture import read_picture
from regard.models.prepare import prepare

from .vits import vit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for at, name in enumerate(("b.png", "a.JPG", "c.webp", ".hidden.png", "notes.txt")):
        (tmp_path / name).touch()
        if not name.endswith("txt"):
            Image.fromarray(np.full((40, 40, 3), 40 * at, np.uint8)).save(tmp_path / name)
    (tmp_path / "deeper").mkdir()
    return tmp_path


def test_a_folder_is_its_pictures_in_order(folder: Path) -> None:
    names = [str(folder / name) for name in ("a.JPG", "b.png", "c.webp")]
    assert listed(folder) == listed(str(folder)) == names
    assert listed(["sample:coffee", str(folder)]) == ["sample:coffee", *names]


def test_one_picture_and_a_batch() -> None:
    assert listed("sample:coffee") == ["sample:coffee"]
    x = torch.arange(6.0).reshape(2, 3, 1, 1)
    assert [one.tolist() for one in listed(x)] == [x[:1].tolist(), x[1:].tolist()]
    assert len(listed([x, x])) == 4
    assert len(listed(x[0])) == 1, "without a batch axis a tensor is a picture in 0..1"


def test_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"no picture was given\n  try: a path, a folder"):
        listed([])
    with pytest.raises(DataError, match=r"no picture in the folder '.*'\n  try: files that end in \.jpg"):
        listed(tmp_path)


def test_pictures_are_prepared_as_the_model_wants() -> None:
    model = vit()
    (shot,) = opened(model, ["sample:coffee"], 576)
    wanted = prepare(read_picture("sample:coffee"), facts_of(model))
    assert torch.equal(shot.x, wanted.x)
    assert shot.name == "coffee"
    assert shot.prepared is not None
    assert np.array_equal(shot.prepared.seen, wanted.seen)


def test_a_prepared_tensor_stays_as_it_is() -> None:
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    (shot,) = opened(vit(), [x], 576)
    assert shot.x is x
    assert (shot.name, shot.picture, shot.prepared) == ("picture 0", None, None)
    with pytest.raises(LayoutError, match=r"pictures in torch\.float64"):
        next(opened(vit(), [x.double()], 576))


def test_what_cannot_be_read_is_left_out_only_if_asked(tmp_path: Path) -> None:
    model, missing = vit(), str(tmp_path / "missing.png")
    with pytest.raises(DataError, match="no file"):
        list(opened(model, ["sample:coffee", missing], 576))
    skipped: dict[int, str] = {}
    shots = list(opened(model, [missing, "sample:coffee", missing], 576, skipped))
    assert [s.name for s in shots] == ["coffee"]
    assert set(skipped) == {0, 2}
    assert skipped[0] == f"no file '{missing}'"
    with pytest.raises(DataError, match="no file"):
        list(opened(model, [missing, missing], 576, {}))


@pytest.mark.parametrize(
    ("count", "most", "wanted"), [(3, 12, [0, 1, 2]), (12, 12, [*range(12)]), (10, 3, [0, 3, 6]), (5, 1, [0])]
)
def test_a_sample_is_evenly_spaced_and_starts_with_the_first(count: int, most: int, wanted: list[int]) -> None:
    assert sample(range(count), most) == wanted
