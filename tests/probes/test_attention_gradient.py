from __future__ import annotations

from functools import partial

import pytest
import torch

import regard as rg
from regard.errors import CallError

from .gradients import Layers, X, retained, score


def test_equals_the_rows_of_the_retained_gradient() -> None:
    net = Layers()
    probe = partial(rg.probes.attention_gradient, queries=(0, 5, -1))
    with rg.watch(net, keep={"it": probe}) as record:
        record.backward(score(net(X)))
    for reading, (_, g) in zip(record, retained(Layers()), strict=True):
        torch.testing.assert_close(reading["it"], g[:, :, [0, 5, 6]], rtol=1e-9, atol=1e-12)


def test_refusals() -> None:
    net = Layers()
    with (
        rg.watch(net, keep={"it": partial(rg.probes.attention_gradient, queries=(7,))}) as record,
        pytest.raises(CallError, match="no query 7: the call has 7"),
    ):
        record.backward(score(net(X)))
