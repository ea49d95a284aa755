from __future__ import annotations

import numpy as np
import torch

from regard.gaze.predictors import pft, pqft
from regard.gaze.predictors.pqft import opponents

from .tools import drawn


def test_on_a_grey_picture_it_is_pft() -> None:
    x = drawn()[:, :1].expand(2, 3, -1, -1).contiguous()
    assert torch.allclose(pqft(x, sigma=2.5).values, pft(x).values, rtol=1e-6)
    assert not torch.allclose(pqft(drawn(), sigma=2.5).values, pft(drawn()).values, rtol=0.1)


def test_equals_a_slow_quaternion_transform() -> None:
    """Sums of quaternions times exp(-j angle) from the right, as (a + b i) + (c + d i) j written out in four reals."""
    x = drawn(1, 5, 6)
    rg, by = (t[0].numpy() for t in opponents(x))
    bright = np.tensordot([0.299, 0.587, 0.114], x[0].numpy(), 1)
    q = np.stack([np.zeros_like(rg), rg, by, bright], -1)

    def times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a0, a1, a2, a3 = np.moveaxis(a, -1, 0)
        b0, b1, b2, b3 = np.moveaxis(b, -1, 0)
        return np.stack(
            [
                a0 * b0 - a1 * b1 - a2 * b2 - a3 * b3,
                a0 * b1 + a1 * b0 + a2 * b3 - a3 * b2,
                a0 * b2 - a1 * b3 + a2 * b0 + a3 * b1,
                a0 * b3 + a1 * b2 - a2 * b1 + a3 * b0,
            ],
            -1,
        )

    h, w = rg.shape
    y, across = np.mgrid[:h, :w]

    def transform(field: np.ndarray, sign: float) -> np.ndarray:
        out = np.zeros_like(field)
        for u in range(h):
            for v in range(w):
                angle = sign * 2 * np.pi * (u * y / h + v * across / w)
                wave = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle), np.zeros_like(angle)], -1)
                out[u, v] = times(wave, field).sum((0, 1))
        return out

    spectrum = transform(q, -1)
    spectrum /= np.linalg.norm(spectrum, axis=-1, keepdims=True)
    back = (np.linalg.norm(transform(spectrum, 1) / (h * w), axis=-1)) ** 2
    assert np.allclose(pqft(x, sigma=0.0).values[0].numpy(), back, atol=1e-12)


def test_opponents_of_pure_colours() -> None:
    x = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]).T[None, :, None]
    rg, by = opponents(x)
    assert rg.flatten().tolist() == [1.5, -1.5, 0, 0]
    assert by[0, 0, 2] == 2 > 0 > by[0, 0, 3]
