from __future__ import annotations

import pytest
import torch

from regard.mechanisms import ALL
from regard.subjects.forward import Forward, Subject
from regard.testing.planted import PlantedCNN, planted_pictures

X = planted_pictures([(2, 5), (6, 6)])


def test_counts_pictures_and_gives_probabilities() -> None:
    model = PlantedCNN()
    forward = Forward(Subject(model, X, ALL), 1)
    assert forward.count == 2
    got = forward(torch.cat([X, X]))
    expected = model(X).softmax(1)[:, 1].detach()
    torch.testing.assert_close(got, expected.repeat(2))
    assert forward.whole == pytest.approx(float(expected[0]))
    assert forward.count == 6
    assert not got.requires_grad


def test_classes_name_the_target() -> None:
    assert Forward(Subject(PlantedCNN(), X, ALL, ("a", "red", "c")), "red").target.index == (1, 1)
    assert Forward(Subject(PlantedCNN(), X, ALL, ("a", "red", "c")), None).target.label == "red"
