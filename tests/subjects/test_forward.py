from __future__ import annotations

import pytest
import torch
from torch import nn

from regard.errors import LayoutError
from regard.mechanisms import ALL
from regard.subjects.forward import Forward, Subject, check_pictures, untouched
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


def test_pictures_that_no_model_takes_are_refused() -> None:
    model = nn.Linear(2, 2, device="meta")
    for x, told in (
        ("a photo", "got str"),
        (torch.zeros(3, 8, 8), "without a batch axis"),
        (torch.zeros(0, 3, 8, 8), r"no pictures: \[0, 3, 8, 8\]"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "pictures in torch.uint8, the model in torch.float32"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.float64), "pictures in torch.float64, the model in torch.float32"),
    ):
        with pytest.raises(LayoutError, match=told):
            check_pictures(model, x)
    check_pictures(model, torch.zeros(2, 3, 8, 8))
    check_pictures(model, torch.zeros(2, 8, dtype=torch.long))  # words
    check_pictures(nn.Identity(), torch.zeros(2, 3, 8, 8, dtype=torch.float64))


def test_statistics_of_a_model_in_training_are_put_back() -> None:
    model = nn.BatchNorm2d(3).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert model.running_mean is not None
    with untouched(model):
        model(torch.ones(2, 3, 4, 4))
        assert float(model.running_mean[0]) == pytest.approx(0.1)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
