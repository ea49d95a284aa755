"""The verbs about heads, by value: what they take, what they give, what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import CallError, DataError, LayoutError, MethodError

from .test_api import refused


@pytest.fixture(scope="module")
def x(tiny_vit: nn.Module) -> Tensor:
    return rg.image("sample:coffee", like=tiny_vit)


def test_heads_is_the_mean_of_the_watched_tables(tiny_vit: nn.Module) -> None:
    photos = ["sample:coffee", "sample:rocket"]
    tables = []
    for name in photos:
        with torch.no_grad(), rg.watch(tiny_vit, "blocks.{3..5}.attn", keep="distance") as record:
            tiny_vit(rg.image(name, like=tiny_vit))
        tables.append(record.table("distance").numbers())
    found = rg.heads(tiny_vit, photos, probe=rg.probes.distance, site="blocks.{3..5}.attn")
    np.testing.assert_allclose(found.values, np.mean(tables, 0), rtol=1e-9)
    assert found.table().units["head 0"] == "patches"
    batch = torch.cat([rg.image(name, like=tiny_vit) for name in photos])
    np.testing.assert_allclose(
        rg.heads(tiny_vit, batch, probe="distance", site="blocks.{3..5}.attn").values, found.values, rtol=1e-9
    )


def test_query_key_and_head_groups_take_what_heads_takes(tiny_vit: nn.Module, x: Tensor, tmp_path: Path) -> None:
    joint = rg.query_key(tiny_vit, x, layer=-1, head=-1, tokens=50)
    assert (joint.address, joint.head, len(joint.points)) == ("blocks.11.attn", 2, 100)
    assert np.array_equal(joint.points, rg.query_key(tiny_vit, "sample:coffee", head=2, tokens=50).points)
    other = rg.query_key(tiny_vit, x, layer=-1, head=-1, tokens=50, seed=1)
    assert not np.array_equal(joint.token, other.token)
    groups = rg.head_groups(tiny_vit, [x], groups=4)
    assert len(groups.names) == len(np.unique(groups.labels)) == 4
    back = rg.load(groups.save(tmp_path / "groups.npz"))
    assert repr(back) == repr(groups)


def test_views_of_heads_refuse(tiny_vit: nn.Module, x: Tensor, tmp_path: Path) -> None:
    with refused(MethodError, "no probe named 'entropie'", "'entropy'"):
        rg.heads(tiny_vit, x, probe="entropie")
    with refused(CallError, "probe 'received' gives more than one number", "entropy"):
        rg.heads(tiny_vit, x, probe=rg.probes.received)
    with refused(CallError, "ResNet made no attention call", "regard.sites"):
        rg.heads(rg.model("random:resnet18"), x[..., :96, :96])
    with refused(DataError, "no picture in the folder", "end in .jpg"):
        rg.heads(tiny_vit, tmp_path)
    with refused(CallError, "no layer 12 head 0", "layer 0 .. 11, head 0 .. 2"):
        rg.query_key(tiny_vit, x, layer=12)
    with refused(LayoutError, "36 heads in 37 groups", "1 .. 36"):
        rg.head_groups(tiny_vit, x, groups=37)
    with refused(LayoutError, "no picture was given", "a folder"):
        rg.head_groups(tiny_vit, [])
