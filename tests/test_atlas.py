"""Results about heads hold and never compute: there and back, as tables, as words, as plain data."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import regard as rg
from regard.atlas import Atlas, HeadGroups, Joint
from regard.errors import LayoutError
from regard.layout import Grid
from regard.results import Result, load


def atlas(**given: Any) -> Atlas:
    plain: dict[str, Any] = {
        "values": np.array([[3.0, 0.5], [7.25, np.nan]]), "addresses": ("blocks.0.attn", "blocks.1.attn"),
        "probe": "entropy", "unit": "bits", "lowest": (0, 1), "highest": (1, 0), "words": ("one", "two"),
        "std": np.array([[0.5, 0.25], [1.0, np.nan]]), "pictures": ("a", "b"), "settings": {"times": 2.0},
    }  # fmt: skip
    return Atlas(**(plain | given))


def joint(**given: Any) -> Joint:
    plain: dict[str, Any] = {
        "points": np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]], dtype=np.float32),
        "key": np.array([False, False, True, True]), "picture": np.array([0, 1, 0, 1]), "token": np.array([0, 5, 0, 5]),
        "address": "blocks.3.attn", "head": 2, "grids": (Grid(2, 3, prefix=1), Grid(3, 2, prefix=1)),
        "pictures": ("a", "b"), "scale": 0.85, "correlation": {"as they are": -0.5, "scaled too": -0.9},
        "explained": 0.43,
    }  # fmt: skip
    return Joint(**(plain | given))


def groups(**given: Any) -> HeadGroups:
    plain: dict[str, Any] = {
        "labels": np.array([[0, 1], [1, 1]]), "addresses": ("blocks.0.attn", "blocks.1.attn"),
        "names": ("looks far", "looks up"), "medoids": ((0, 0), (1, 0)), "traits": ("near", "far"),
        "features": np.arange(8.0).reshape(2, 2, 2), "pictures": ("a",), "cophenetic": 0.7,
    }  # fmt: skip
    return HeadGroups(**(plain | given))


ALL: dict[str, Result] = {
    "atlas": atlas(), "atlas of one": atlas(std=None), "joint": joint(), "groups": groups()
}  # fmt: skip


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("name", ALL)
def test_load_is_the_inverse_of_save(name: str, tmp_path: Path) -> None:
    back = load(ALL[name].save(tmp_path / "one.npz"))
    assert type(back) is type(ALL[name])
    assert all(same(getattr(ALL[name], f.name), getattr(back, f.name)) for f in fields(ALL[name]))
    json.dumps(ALL[name].to_dict(), allow_nan=False)


def test_load_needs_nothing_imported_before(tmp_path: Path) -> None:
    path = joint().save(tmp_path / "joint.npz")
    program = f"import sys, regard as rg; print(rg.load({str(path)!r}), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{joint()!r} False"


def test_reprs_are_one_line() -> None:
    assert repr(atlas()) == "Atlas(entropy, [2, 2], 0.5..7.25 bits, pictures: 2)"
    assert repr(joint()) == "Joint(blocks.3.attn head 2, 4 points, c = 0.85, as they are -0.50, scaled too -0.90)"
    assert repr(groups()) == "HeadGroups(1 looks far, 3 looks up)"


def test_an_atlas_as_tables() -> None:
    table = atlas().table()
    assert table.columns == ("site", "head 0", "head 1")
    assert table.rows == (("blocks.0.attn", 3.0, 0.5), ("blocks.1.attn", 7.25, None))
    assert table.units == {"head 0": "bits", "head 1": "bits"}
    assert table.title == "entropy"
    assert atlas().table("std").rows[0] == ("blocks.0.attn", 0.5, 0.25)
    assert atlas(std=None).table("std").rows[0] == ("blocks.0.attn", None, None)
    assert "7.25" in atlas()._repr_html_()


def test_points_as_a_table() -> None:
    assert joint().table().rows == (
        ("a", "query", 0, None, None, 0.0, 1.0),
        ("b", "query", 5, 2, 0, 2.0, 3.0),
        ("a", "key", 0, None, None, 4.0, 5.0),
        ("b", "key", 5, 2, 0, 6.0, 7.0),
    )


def test_groups_as_a_table() -> None:
    assert groups().members(1) == [(0, 1), (1, 0), (1, 1)]
    assert groups().table().columns == ("group", "name", "heads", "most typical", "near", "far")
    assert groups().table().rows == (
        (0, "looks far", 1, "blocks.0.attn head 0", 0.0, 1.0),
        (1, "looks up", 3, "blocks.1.attn head 0", 4.0, 5.0),
    )


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(LayoutError, match=r"an Atlas of 2 calls needs values \[2, heads\], got \[3, 2\]"):
        atlas(values=np.zeros((3, 2)))
    with pytest.raises(LayoutError, match=r"points of a plane are \[P, 2\], got \[4, 3\]"):
        joint(points=np.zeros((4, 3)))
    with pytest.raises(LayoutError, match="4 points with 4 kinds, 4 pictures and 3 tokens"):
        joint(token=np.zeros(3))
    with pytest.raises(LayoutError, match=r"features \[2, 2, 3\] of heads \[2, 2\] with 2 traits"):
        groups(features=np.zeros((2, 2, 3)))


def test_the_public_names_are_these_classes() -> None:
    assert (rg.Atlas, rg.Joint, rg.HeadGroups) == (Atlas, Joint, HeadGroups)
