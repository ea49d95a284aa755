from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import DataError
from regard.subjects.kept import Kept, digest
from regard.testing.planted import PlantedViT, planted_pictures

X = planted_pictures([(2, 5)])
METHODS: dict[str, Any] = {
    "rise": {"forwards": 60},
    "banzhaf": {"cells": 4, "baseline": "drop"},
    "kernel_shap": {"cells": 3},
    "scorecam": {},
    "tis": {"masks": 64},
}


class Breaking(nn.Module):
    """A planted ViT that stops after so many forwards; counts them."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.body, self.left, self.done = PlantedViT(), after, 0

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        self.done += 1
        return self.body(x)


def made(model: nn.Module, name: str, folder: Path | None, **more: Any) -> rg.Map:
    method = partial(getattr(rg.explainers, name), **(METHODS[name] | more.pop("options", {})))
    return rg.explain(model, more.pop("x", X), **({"method": method, "target": 1, "resume": folder} | more))


@pytest.mark.parametrize(("name", "after"), [("rise", 5), ("kernel_shap", 5), ("scorecam", 4), ("tis", 8)])
def test_a_stopped_run_goes_on_to_the_same_bits(name: str, after: int, tmp_path: Path) -> None:
    whole = made(Breaking(10**6), name, None)
    with pytest.raises(KeyboardInterrupt):
        made(Breaking(after), name, tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.glob("*.npy")}
    assert files
    on = Breaking(10**6)
    again = made(on, name, tmp_path)
    np.testing.assert_array_equal(again.values, whole.values)
    assert all(path.read_bytes() == before for path, before in files.items())
    free = Breaking(10**6)
    more = made(free, name, tmp_path).forwards - whole.forwards  # all that the map rests on, run now or before
    assert more in (0, 1)  # whether the whole picture, which tells whose folder it is, is scored in any case
    plain = Breaking(10**6)
    made(plain, name, None)
    assert free.done < on.done < plain.done + 2
    assert free.done <= (6 if name == "tis" else 3)  # tis first looks at what it clusters, and whether tokens can go


def test_dropped_tokens_are_told_apart_although_their_pictures_are_the_same(tmp_path: Path) -> None:
    class Named(PlantedViT):
        def __init__(self) -> None:
            super().__init__()
            self.patch_drop = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            tokens = torch.cat([self.cls.expand(len(x), -1, -1), self.embed(x).flatten(2).mT], 1)
            tokens = self.patch_drop(tokens)
            for block in self.blocks:
                tokens = block(tokens)
            return self.head(tokens[:, 0])

    whole = made(Named(), "banzhaf", None)
    for _ in range(2):
        np.testing.assert_array_equal(made(Named(), "banzhaf", tmp_path).values, whole.values)


def test_another_run_is_refused_by_what_is_other(tmp_path: Path) -> None:
    made(PlantedViT(), "rise", tmp_path)
    for told, more in (
        ("model", {"model": PlantedViT(seed=1)}),
        ("picture", {"x": X + 1e-3}),
        ("seed", {"seed": 1}),
        ("setting", {"options": {"p": 0.4}}),
        ("target", {"target": 2}),
    ):
        with pytest.raises(DataError, match=f"holds a run of another .*{told}") as caught:
            made(more.pop("model", PlantedViT()), "rise", tmp_path, **more)  # type: ignore[arg-type]
        assert "another folder" in caught.value.hint
    with pytest.raises(DataError, match="another method"):
        made(PlantedViT(), "scorecam", tmp_path)


def test_files_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match=r"holds files and no run\.json"):
        Kept(tmp_path, {})
    folder = tmp_path / "new"
    kept = Kept(folder, {"seed": 1})
    path = folder / f"{digest([X])[:32]}.npy"
    assert torch.equal(kept([X], lambda x: x.mean((1, 2, 3))), X.mean((1, 2, 3)))
    path.write_bytes(b"half")
    with pytest.raises(DataError, match="holds no scores"):
        Kept(folder, {"seed": 1})([X], lambda x: x)
    (folder / "run.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        Kept(folder, {"seed": 1})


def test_a_digest_tells_bits_shapes_and_types_apart() -> None:
    a = torch.arange(4.0)
    others = [a + 1e-6 * (a == 3), a.view(2, 2), a.double(), a.int(), -a]
    assert len({digest([one]) for one in [a, *others]} | {digest([a], 1), digest([a, a])}) == 8
    assert digest([a]) == digest([a.clone()])


def test_a_method_that_scores_nothing_says_so(tmp_path: Path) -> None:
    map_ = rg.explain(PlantedViT(), X, method="gradient", target=1, resume=tmp_path)
    assert map_.warnings[-1] == "gradient scores no pictures without gradients: nothing was kept to go on from"


SLOW = """
import sys, time, torch, regard as rg
from functools import partial
from regard.testing.planted import PlantedViT, planted_pictures
class Slow(PlantedViT):
    def forward(self, x):
        time.sleep(0.05)
        return super().forward(x)
method = partial(rg.explainers.rise, forwards=400)
rg.explain(Slow(), planted_pictures([(2, 5)]), method=method, target=1, resume=sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_process_leaves_whole_files(tmp_path: Path) -> None:
    class Slow(PlantedViT):
        """The same model as in the process."""

    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(folder)])
    try:
        end = time.monotonic() + 60
        while len(list(folder.glob("*.npy"))) < 5 and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    left = len([path for path in folder.glob("*.npy") if not path.name.startswith(".")])
    assert 5 <= left < 50
    method = partial(rg.explainers.rise, forwards=400)
    again, whole = (rg.explain(Slow(), X, method=method, target=1, resume=one) for one in (folder, None))
    np.testing.assert_array_equal(again.values, whole.values)
    assert len(list(folder.glob("[!.]*.npy"))) == 50
