from __future__ import annotations

import pytest
import torch

from regard.subjects import scan as scan_module
from regard.subjects.scan import SelectiveScan, hidden_attention, mean_attention


@pytest.fixture
def scan() -> SelectiveScan:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SelectiveScan(6, states=3, rank=2).double()


X = torch.randn(2, 11, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_hidden_attention_times_input_is_the_scan(scan: SelectiveScan) -> None:
    """Oracle 9: y = alpha x + D x, channel by channel, to rounding."""
    alpha = hidden_attention(scan.scanned(X))
    y = torch.einsum("bdij,bjd->bid", alpha, X) + scan.skip * X
    torch.testing.assert_close(y, scan(X), rtol=1e-12, atol=1e-14)
    assert torch.equal(alpha, alpha.tril())


def test_is_the_product_of_decays_by_hand(scan: SelectiveScan) -> None:
    made = scan.scanned(X)
    alpha = hidden_attention(made)
    i, j, d, one = 7, 3, 4, 1
    decay = torch.ones(3, dtype=torch.float64)
    for k in range(j + 1, i + 1):
        decay = decay * (made.step[one, k, d] * made.a[d]).exp()
    wanted = (made.c[one, i] * decay * made.step[one, j, d] * made.b[one, j]).sum()
    torch.testing.assert_close(alpha[one, d, i, j], wanted)


def test_chunks_of_channels_give_the_same_mean(scan: SelectiveScan, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scan.scanned(X)
    monkeypatch.setattr(scan_module, "CHUNK", 2000)
    torch.testing.assert_close(mean_attention(made), hidden_attention(made).mean(1))


def test_what_comes_later_changes_nothing(scan: SelectiveScan) -> None:
    other = X.clone()
    other[:, 8:] += 1.0
    torch.testing.assert_close(scan(other)[:, :8], scan(X)[:, :8])
    assert (scan(other)[:, 8:] - scan(X)[:, 8:]).abs().min() > 0
