"""extrmask works: cells that a hidden rule reads are told better with a learnt replacement than with a fixed one."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

import regard as rg
from regard.explainers.extrmask import objective
from regard.testing.marks import works

CHANNELS, LENGTH = 3, 40


class Rule(nn.Module):
    """Reads one channel at a time, which of them by a hidden state that switches: 3 + sum of bounded bumps, and not."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        state = torch.randint(CHANNELS + 2, (LENGTH // 5,), generator=generator).repeat_interleave(5)
        self.reads = torch.stack([state == c for c in range(CHANNELS)])  # two states of five read nothing

    def forward(self, x: Tensor) -> Tensor:
        y = (1 - torch.exp(-(x - 1).square())) * self.reads
        return torch.stack([-y.sum((1, 2)), y.sum((1, 2))], 1)


def series(n: int, seed: int) -> Tensor:
    """Correlated noise around 1, which is the value that says nothing."""
    noise = torch.randn(n, CHANNELS, LENGTH, generator=torch.Generator().manual_seed(seed))
    return 1 + 1.2 * noise


def precision(values: Tensor, truth: Tensor) -> float:
    """Average precision: the area under precision over recall."""
    hits = truth.flatten()[values.flatten().argsort(descending=True, stable=True)].double()
    return float((hits.cumsum(0) / torch.arange(1, len(hits) + 1) * hits).sum() / hits.sum())


@works("extrmask")
def test_a_learnt_replacement_tells_the_cells_at_least_as_well_as_a_fixed_one() -> None:
    """Mean average precision of 2 rules x 6 series, against the fixed replacement and the share of cells."""
    found: dict[bool, list[float]] = {True: [], False: []}
    share = []
    for seed in range(2):
        model, x = Rule(seed), series(6, seed)
        share.append(float(model.reads.double().mean()))
        for learnt in found:
            method = partial(rg.explainers.extrmask, learnt=learnt, steps=300, size=0.1, change=0.1)
            made = torch.from_numpy(rg.explain(model, x, method=method, target=1, seed=seed).values)
            found[learnt] += [precision(one, model.reads) for one in made]
    learnt, fixed = (sum(found[k]) / len(found[k]) for k in (True, False))
    assert learnt > fixed > 4 * sum(share) / len(share)  # .98, .95, .13; at weights of 1 both have .77
    assert learnt > 0.95


@works("extrmask")
def test_the_objective_is_time_interprets_on_fixed_tensors() -> None:
    """ExtremalMaskNet.step, preservation only, for one sample: mean of lambda_1 |m| + lambda_2 |model(x)|, then mse."""
    generator = torch.Generator().manual_seed(0)
    mask, other, x = (torch.randn(1, CHANNELS, LENGTH, generator=generator, dtype=torch.float64) for _ in range(3))
    model = Rule(0)

    def f(z: Tensor) -> Tensor:
        return model(z)[:, 1]

    clamped = mask.clamp(0, 1)
    told = (f(x * clamped + other * (1 - clamped)) - f(x)).square()
    theirs = (0.7 * mask.abs() + 0.3 * other.abs()).mean() + nn.functional.mse_loss(
        f(x * clamped + other * (1.0 - clamped)), f(x)
    )
    torch.testing.assert_close(objective(mask, other, told, size=0.7, change=0.3)[0], theirs)
