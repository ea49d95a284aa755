"""What is gathered of each picture is what watching it gives."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

import regard as rg
from regard.errors import CallError
from regard.looking import attention
from regard.looking.gather import gather, head_groups, operands
from regard.looking.groups import features

from .vits import cnn, vit, with_registers


def pictures(count: int = 2) -> list[Tensor]:
    x = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return list(x.split(1))


def test_pooled_attention_and_operands_are_the_watched_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "CELLS", 10)
    model = with_registers()
    frames = list(gather(model, pictures(), patches=576, wanted=[(1, 0), (-1, -1)], pooled=True))
    assert [f.name for f in frames] == ["picture 0", "picture 1"]
    for x, frame in zip(pictures(), frames, strict=True):
        assert (str(frame.grid), frame.cell, frame.heads) == ("8x8+5", 3, 2)
        keep = {"q": "q", "k": "k", "pooled": partial(rg.probes.pooled, query=3)}
        with torch.no_grad(), rg.watch(model, keep=keep) as record:
            model(x)
        assert frame.pooled is not None
        np.testing.assert_allclose(frame.pooled, torch.stack([r["pooled"][0] for r in record]).numpy(), rtol=1e-6)
        assert set(frame.operands) == {(1, 0), (2, 1)}
        for (layer, head), (q, k) in frame.operands.items():
            reading = record.readings[layer]
            assert torch.equal(q, reading["q"][0, head].double())
            assert torch.equal(k, reading["k"][0, head].double())


def test_only_what_is_asked_for_is_kept() -> None:
    (frame,) = gather(vit(), pictures(1), patches=576, wanted=[(0, 1)])
    assert frame.pooled is None
    assert list(frame.operands) == [(0, 1)]
    assert frame.addresses == ("blocks.0.attn", "blocks.1.attn", "blocks.2.attn")


def test_keys_of_grouped_queries_are_shared() -> None:
    from .test_exact import reading

    one = reading(values={"q": torch.arange(4.0).view(1, 4, 1, 1), "k": torch.arange(2.0).view(1, 2, 1, 1)})
    assert [(float(q), float(k)) for q, k in (operands(one, h) for h in range(4))] == [(0, 0), (1, 0), (2, 1), (3, 1)]


@pytest.mark.parametrize("at", [(3, 0), (0, 2), (-4, 0), (0, -3)])
def test_heads_that_are_not_there_are_refused(at: tuple[int, int]) -> None:
    with pytest.raises(CallError, match=rf"no layer {at[0]} head {at[1]}: 3 layers of 2 heads lie on a grid"):
        list(gather(vit(), pictures(1), patches=576, wanted=[at]))


def test_a_model_without_attention_is_refused() -> None:
    with pytest.raises(CallError, match="made no attention call"):
        list(gather(cnn(), pictures(1), patches=576, pooled=True))


def test_groups_are_of_the_mean_over_pictures() -> None:
    model = vit()
    found = head_groups(model, torch.cat(pictures(3)), groups=2, patches=576, most=2)
    frames = list(gather(model, pictures(2), patches=576, pooled=True))
    wanted = np.mean([features(f.pooled, f.grid, f.cell) for f in frames if f.pooled is not None], axis=0)
    assert found.pictures == ("picture 0", "picture 1")
    np.testing.assert_allclose(found.features, wanted, rtol=1e-6)
    assert set(np.unique(found.labels)) == {0, 1}
