from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.core import store
from regard.errors import DataError


class Attend(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = torch.arange(5.0).expand(5, 5)
        return F.scaled_dot_product_attention(x, x, x, attn_mask=bias.to(x.dtype))


def recorded() -> rg.Record:
    net, x = Attend(), torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    with rg.watch(net, keep=["entropy", "attention", "out"]) as record:
        net(x)
        net(x.bfloat16())
        torch.softmax(net(x), -1)
    return record


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = recorded()
    record.not_covered["a: b"] += 2
    back = rg.Record.load(record.save(tmp_path / "deep" / "record.safetensors"))
    assert (back.units, back.not_covered, back.seen) == (record.units, record.not_covered, record.seen)
    assert len(back) == len(record) == 3
    for one, other in zip(record, back, strict=True):
        assert list(one.values) == sorted(other.values) or set(one.values) == set(other.values)
        for name in one.values:
            assert torch.equal(one[name], other[name])
            assert one[name].dtype == other[name].dtype
        assert torch.equal(one.error, other.error)
        assert torch.equal(one.bias, other.bias)  # type: ignore[arg-type]
        for fact in ("site", "index", "heads", "grid", "gives", "causal", "scale", "address", "patches"):
            assert getattr(one, fact) == getattr(other, fact)
    assert back.table("entropy").rows == record.table("entropy").rows


def test_grids_come_back(tmp_path: Path) -> None:
    vit = rg.model("random:vit_tiny_patch16_224")
    with torch.no_grad(), rg.watch(vit, "blocks.0.attn", keep="row") as record:
        vit(rg.image("sample:coffee", like=vit))
    back = rg.Record.load(record.save(tmp_path / "r.safetensors"))
    assert back["blocks.0.attn"].grid == rg.Grid(14, 14, prefix=1)
    assert back["blocks.0.attn"].patches == (14, 14)
    swin = rg.model("random:swin_tiny_patch4_window7_224")
    with torch.no_grad(), rg.watch(swin, "layers.0.blocks.1.attn", keep="entropy") as record:
        swin(rg.image("sample:coffee", like=swin))
    back = rg.Record.load(record.save(tmp_path / "swin.safetensors"))
    assert back.readings[0].windows == record.readings[0].windows
    assert torch.equal(back.readings[0].on_map("entropy"), record.readings[0].on_map("entropy"))


def test_an_interruption_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = recorded().save(tmp_path / "r.safetensors")
    before = target.read_bytes()

    def broken(*_: object, **__: object) -> None:
        (tmp_path / "half").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "save_file", broken)
    with pytest.raises(KeyboardInterrupt):
        recorded().save(target)
    assert target.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["half", "r.safetensors"]


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file"):
        rg.Record.load(tmp_path / "none")
    (tmp_path / "text").write_text("text")
    with pytest.raises(DataError, match="is not a saved record"):
        rg.Record.load(tmp_path / "text")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="is not a saved record"):
        rg.Record.load(tmp_path / "other.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "new.safetensors", metadata={"regard": '{"format": 99}'})
    with pytest.raises(DataError, match="of format 99, newer than 1"):
        rg.Record.load(tmp_path / "new.safetensors")
