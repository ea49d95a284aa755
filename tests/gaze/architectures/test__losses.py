"""Losses by hand: 0 for the truth, and SUM's mixture term by term."""

from __future__ import annotations

import numpy as np
import torch

from regard.gaze.architectures._losses import kl, mixed


def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    logits, truth = (torch.randn(2, 4, 5, generator=g, dtype=torch.float64) for _ in range(2))
    return logits, truth.exp(), torch.randint(0, 3, (2, 4, 5), generator=g).double()


def test_kl_by_hand_and_at_the_truth() -> None:
    logits, truth, counts = drawn()
    found = []
    for one, people in zip(logits.numpy(), truth.numpy(), strict=True):
        p, q = people / people.sum(), np.exp(one) / np.exp(one).sum()
        found.append((p * np.log(p / q)).sum())
    assert np.isclose(float(kl(logits, truth, counts)), np.mean(found))
    assert abs(float(kl(truth.log(), truth, counts))) < 1e-12


def test_the_mixture_by_hand() -> None:
    logits, truth, counts = drawn()
    found = []
    for one, people, seen in zip(logits.numpy(), truth.numpy(), counts.numpy(), strict=True):
        p, q = people / people.sum(), np.exp(one) / np.exp(one).sum()
        cc = np.corrcoef(p.ravel(), q.ravel())[0, 1]
        nss = (((q - q.mean()) / q.std()) * seen).sum() / seen.sum()
        mse = ((p / p.max() - q / q.max()) ** 2).mean()
        found.append(10 * (p * np.log(p / q)).sum() - 2 * cc - np.minimum(p, q).sum() - nss + 5 * mse)
    assert np.isclose(float(mixed(logits, truth, counts)), np.mean(found))
