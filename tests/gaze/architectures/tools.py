"""What the tests of architectures share: weights counted without memory, and a dot to be learnt."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def counted(make: Callable[[], nn.Module], *shape: int) -> tuple[int, list[int]]:
    """Weights of a module, and the shape of its output, both without computing anything."""
    with torch.device("meta"):
        model = make().eval()
        out = model(torch.empty(shape))
    return sum(p.numel() for p in model.parameters()), list(out.shape)


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def dots(size: tuple[int, int], n: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise with a bright square, and the index of its middle."""
    g = torch.Generator().manual_seed(seed)
    x = 0.1 * torch.randn(n, 3, *size, generator=g)
    at = [(int(torch.randint(4, s - 4, (1,), generator=g))) for _ in range(n) for s in size]
    rows, columns = at[0::2], at[1::2]
    for i, (r, c) in enumerate(zip(rows, columns, strict=True)):
        x[i, :, r - 2 : r + 3, c - 2 : c + 3] += 2.0
    return x, torch.tensor([rows, columns]).T


def learns(model: nn.Module, x: Tensor, at: Tensor, *, steps: int = 60, rate: float = 3e-3) -> float:
    """Mean NSS on the dots after so many steps of cross-entropy; also: every weight has a gradient."""
    optimiser = torch.optim.Adam(model.parameters(), rate)
    cells = model.eval()(x[:1]).shape[-2:]
    goal = (at[:, 0] * cells[0] // x.shape[-2]) * cells[1] + at[:, 1] * cells[1] // x.shape[-1]
    model.train()
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(x).flatten(1), goal)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters() if p.requires_grad)
    density = model.eval()(x).detach().flatten(1).softmax(-1)
    return float(((density.gather(1, goal[:, None])[:, 0] - density.mean(1)) / density.std(1)).mean())
