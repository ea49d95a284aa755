"""attentionviz works: what leaves attention as it is, and the scale that makes distance mirror it better."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.looking.joint import Pairs, balanced_scale, centre_keys, choose_scale, rescale
from regard.testing.marks import works

CHOOSE, JUDGE = ("sample:coffee", "sample:astronaut"), ("sample:chelsea", "sample:rocket")
Operands = list[tuple[Tensor, Tensor]]  # of one head, a picture each


def heads_of(model: nn.Module, names: tuple[str, ...]) -> tuple[dict[tuple[int, int], Operands], float]:
    found: dict[tuple[int, int], Operands] = {}
    for name in names:
        x = rg.image(name, like=model, patches=300)
        with torch.inference_mode(), rg.watch(model, keep=["q", "k"]) as record:
            model(x)
        for layer, reading in enumerate(record):
            for head in range(reading.heads):
                q, k = reading["q"][0, head].double(), reading["k"][0, head].double()
                found.setdefault((layer, head), []).append((q, k))
    return found, record.readings[0].scale


@works("attentionviz")
@pytest.mark.weights
def test_attention_is_unchanged_and_the_chosen_scale_mirrors_it_better(dinov2: nn.Module) -> None:
    """All 72 heads of DINOv2-small. Centring keys (one vector for both photos) and scaling leave every attention as it
    was to 1e-12 in float64; asked for is 1e-6.

    The scale chosen on two photos gives a stronger negative correlation of distance with logit there than no scale in
    all 72 heads (in over 60 of them by over 1e-4). Stronger than asked: on two photos that had no part in the choice,
    it still does in over 50 of 72, and on the mean over heads; and against keys neither centred nor scaled in over 55.
    """
    chosen_on, scale = heads_of(dinov2, CHOOSE)
    judged_on, _ = heads_of(dinov2, JUDGE)
    assert len(chosen_on) == 72
    gained, judged = [], []
    for at, pictures in chosen_on.items():
        queries, keys = [q for q, _ in pictures], [k for _, k in pictures]
        centred = centre_keys(keys)
        pairs = Pairs.of(queries, centred)
        c = choose_scale(pairs, balanced_scale(queries, centred))
        for q, k, moved in zip(queries, keys, centred, strict=True):
            a, b = rescale(q, moved, c)
            assert (softmax(scale * a @ b.T) - softmax(scale * q @ k.T)).abs().max() < 1e-12
        gained.append(pairs.correlation() - pairs.correlation(c))
        others = [q for q, _ in judged_on[at]], [k for _, k in judged_on[at]]
        held = Pairs.of(others[0], centre_keys(others[1]))
        judged.append((Pairs.of(*others).correlation(), held.correlation(), held.correlation(c)))
    assert min(gained) > 0
    assert sum(g > 1e-4 for g in gained) > 60
    bare, unscaled, scaled = np.array(judged).T
    assert scaled.mean() < unscaled.mean() - 0.005
    assert scaled.mean() < -0.85
    assert (scaled < unscaled).sum() > 50
    assert (scaled < bare).sum() > 55


def softmax(logits: Tensor) -> Tensor:
    return torch.softmax(logits, -1)


@pytest.mark.weights
def test_the_planted_faults_other_changes_do_change_attention(dinov2: nn.Module) -> None:
    """Queries moved, or both sides stretched: the check above would be red."""
    found, scale = heads_of(dinov2, CHOOSE[:1])
    q, k = found[8, 5][0]
    before = softmax(scale * q @ k.T)
    for a, b in ((q - q.mean(0), k), (q * 1.1, k * 1.1)):
        assert (softmax(scale * a @ b.T) - before).abs().max() > 0.01


@pytest.mark.weights
def test_the_verb_gives_the_same_numbers(dinov2: nn.Module) -> None:
    joint = rg.query_key(dinov2, list(CHOOSE), layer=8, head=5, patches=300)
    found, _ = heads_of(dinov2, CHOOSE)
    queries, keys = ([one[i] for one in found[8, 5]] for i in (0, 1))
    pairs = Pairs.of(queries, centre_keys(keys))
    assert joint.correlation["scaled too"] == pytest.approx(pairs.correlation(joint.scale), abs=1e-9)
    assert joint.correlation["scaled too"] < joint.correlation["as they are"]
