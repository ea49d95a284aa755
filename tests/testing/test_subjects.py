"""Any method of any family, run the same way."""

from __future__ import annotations

import torch

import regard as rg
from regard.registry import cards
from regard.testing.planted import PlantedCNN, PlantedViT, planted_pictures
from regard.testing.subjects import run

X = planted_pictures([(2, 5), (6, 1)])


def test_values_are_those_of_the_verbs() -> None:
    vit, cnn = PlantedViT(), PlantedCNN()
    with torch.no_grad(), rg.watch(vit, "blocks.1.attn", keep="entropy") as record:
        vit(X)
    assert torch.equal(run(cards("probes")["entropy"], vit, X).values, record["blocks.1.attn"]["entropy"])
    cam = torch.from_numpy(rg.explain(cnn, X, method="gradcam", target=1).values)
    assert torch.equal(run(cards("explainers")["gradcam"], cnn, X).values, cam)
    parts = torch.from_numpy(rg.discover(vit, X, "pca").values)
    assert torch.equal(run(cards("objects")["pca"], vit, X).values, parts)


def test_metrics_tell_their_direction_and_take_a_map() -> None:
    heat = torch.zeros(1, 8, 8)
    heat[0, 2, 5] = 1.0
    inserted = run(cards("metrics")["insertion"], PlantedCNN(), X[:1], heatmap=heat)
    deleted = run(cards("metrics")["deletion"], PlantedCNN(), X[:1], heatmap=heat)
    assert inserted.higher_is_better
    assert not deleted.higher_is_better
    assert float(inserted.values) > float(deleted.values)
