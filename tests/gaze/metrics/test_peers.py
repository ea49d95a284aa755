"""Agreement with pysaliency to 1e-10, where it can be imported (it wants setuptools below 81 and a dozen packages)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from regard.gaze import metrics

from .tools import drawn


@pytest.fixture(scope="module")
def theirs() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pysaliency", exc_type=ImportError)
        from pysaliency import metrics as peer
        from pysaliency.roc import general_roc

    return peer, general_roc


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")  # theirs: old NumPy calls, a log of a map that has zeros
@pytest.mark.parametrize("seed", range(5))
def test_equals_pysaliency(seed: int, theirs: Any) -> None:
    peer, general_roc = theirs
    heat, points, others, truth = drawn(seed, 60, 80, 50)
    s, t = heat.numpy(), truth.numpy()
    x, y = points.numpy().astype(int).T
    ox, oy = others.numpy().astype(int).T
    want = {
        "nss": peer.NSS(s, x, y).mean(),
        "cc": peer.CC(s, t),
        "sim": peer.SIM(s, t),
        "kld": peer.MIT_KLDiv(s, t),
        "auc": general_roc(s[y, x], s.ravel())[0],
        "sauc": general_roc(s[y, x], s[oy, ox])[0],
    }
    given = {"nss": (points,), "auc": (points,), "sauc": (points, others)}
    for name, value in want.items():
        got = getattr(metrics, name)(heat, *given.get(name, (truth,)))
        assert float(got) == pytest.approx(float(value), abs=1e-10), name
    assert isinstance(got, torch.Tensor)
    assert np.isfinite(list(want.values())).all()
