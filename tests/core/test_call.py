"""`Call` against F.scaled_dot_product_attention: the same probabilities, whatever the mask."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from regard.core import call as call_module
from regard.core.call import Call, Workspace


def make(
    b: int = 2, h: int = 4, hk: int = 4, q: int = 7, k: int = 5, d: int = 3, *, seed: int = 0, **given: object
) -> Call:
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    fields: dict[str, object] = {"bias": None, "causal": False, "scale": d**-0.5} | given
    return Call(
        site="attn", index=0, mechanism="sdpa", q=draw(b, h, q, d), k=draw(b, hk, k, d), v=draw(b, hk, k, 2), **fields
    )  # type: ignore[arg-type]


def kernel(c: Call) -> torch.Tensor:
    groups = c.heads // c.k.shape[1]
    k, v = (t.repeat_interleave(groups, dim=1) for t in (c.k, c.v))
    return F.scaled_dot_product_attention(c.q, k, v, attn_mask=c.bias, is_causal=c.causal, scale=c.scale)


def mask(*shape: int, seed: int = 1) -> torch.Tensor:
    allowed = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) > 0.4
    allowed[..., 0] = True
    return allowed


CASES = {
    "plain": {},
    "scale": {"scale": 0.9},
    "grouped queries": {"hk": 2},
    "causal": {"causal": True},
    "causal, fewer keys than queries": {"causal": True, "k": 3},
    "bool mask": {"bias": mask(7, 5)},
    "bool mask a head": {"bias": mask(2, 4, 7, 5)},
    "float bias": {"bias": torch.randn(1, 4, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))},
}


@pytest.mark.parametrize("name", CASES)
def test_probs_reproduce_the_kernel(name: str) -> None:
    c = make(**CASES[name])  # type: ignore[arg-type]
    v = c.v.repeat_interleave(c.heads // c.v.shape[1], dim=1)
    torch.testing.assert_close(c.probs() @ v, kernel(c), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(c.probs().sum(-1), torch.ones(2, 4, 7, dtype=torch.float64))


def test_a_wholly_masked_row_is_zero_as_in_torch() -> None:
    allowed = torch.ones(7, 5, dtype=torch.bool)
    allowed[2] = False
    c = make(bias=allowed)
    assert torch.equal(c.probs()[:, :, 2], torch.zeros(2, 4, 5, dtype=torch.float64))
    torch.testing.assert_close(c.probs() @ c.v, kernel(c))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 40, 100_000])
def test_blocks_are_the_whole_in_pieces(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "BLOCK", size)
    c = make(**CASES[name])  # type: ignore[arg-type]
    pieces = [(r.start, r.stop, r.probs.clone(), r.logits.clone(), r.lse.clone()) for r in c.blocks()]
    assert [p[0] for p in pieces] == [0, *(p[1] for p in pieces[:-1])]
    assert pieces[-1][1] == 7
    torch.testing.assert_close(torch.cat([p[2] for p in pieces], dim=2), c.probs(), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(torch.cat([p[3] for p in pieces], dim=2), c.logits(), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(
        torch.cat([p[4] for p in pieces], dim=2), c.logits().logsumexp(-1), rtol=1e-12, atol=1e-12
    )


def test_half_precision_is_read_in_full() -> None:
    c = make()
    halves = Call(**(c.__dict__ | {"q": c.q.bfloat16(), "k": c.k.bfloat16(), "v": c.v.bfloat16()}))
    wide = Call(**(c.__dict__ | {"q": c.q.bfloat16().double(), "k": c.k.bfloat16().double()}))
    assert halves.probs().dtype == torch.float32
    torch.testing.assert_close(halves.probs().double(), wide.probs(), rtol=1e-5, atol=1e-6)


def test_workspace_lends_the_same_memory_and_knows_it() -> None:
    space, like = Workspace(), torch.zeros(1)
    first = space.lend("a", (2, 3), like)
    again = space.lend("a", (3, 2), like)
    assert first.data_ptr() == again.data_ptr()
    assert space.lend("b", (2, 3), like).data_ptr() != first.data_ptr()
    assert space.owns(first[0])
    assert not space.owns(first.clone())
