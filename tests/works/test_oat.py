"""oat works: simulated searchers, held-out layouts; likelihood beside pixel saliency and distance."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.gaze.scanpaths.oat import OAT
from regard.testing.marks import works

from .toys import seeded, train

OBJECTS, KINDS, STEPS = 8, 6, 4


def searches(n: int, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Objects of six kinds (one hot, with noise) and a brightness, places, a target kind; the searcher goes to what is
    like the target and near, and to nothing twice. Brightness is what a saliency map would see; it does not matter."""
    kinds = torch.randint(KINDS, (n, OBJECTS), generator=g)
    bright = torch.rand(n, OBJECTS, 1, generator=g)
    looks = torch.nn.functional.one_hot(kinds, KINDS) + 0.1 * torch.randn(n, OBJECTS, KINDS, generator=g)
    places = torch.rand(n, OBJECTS, 2, generator=g)
    goal = torch.randint(KINDS, (n,), generator=g)
    target = torch.cat([torch.nn.functional.one_hot(goal, KINDS).float(), torch.zeros(n, 1)], 1)
    here, shut, path = torch.full((n, 2), 0.5), torch.zeros(n, OBJECTS, dtype=torch.bool), []
    ring = (kinds - goal[:, None]) % KINDS  # kinds lie on a ring: neighbours are alike
    alike = 1 - torch.minimum(ring, KINDS - ring) / 3
    for _ in range(STEPS):
        drive = 6 * alike - 4 * (places - here[:, None]).norm(dim=-1)
        chance = drive.masked_fill(shut, -torch.inf).softmax(1)
        chosen = torch.multinomial(chance, 1, generator=g)
        shut = shut.scatter(1, chosen, True)
        here = places.gather(1, chosen[..., None].expand(-1, -1, 2))[:, 0]
        path.append(chosen)
    return torch.cat([looks, bright], -1), places, target, torch.cat(path, 1), bright[..., 0]


def simple(drive: Tensor, path: Tensor) -> Tensor:
    """Log likelihood of a path under a drive [b, t, n], nothing twice."""
    found = []
    shut = torch.zeros(drive.shape[0], OBJECTS, dtype=torch.bool)
    for t in range(STEPS):
        found.append(drive[:, t].masked_fill(shut, -torch.inf).log_softmax(1).gather(1, path[:, t : t + 1]))
        shut = shut.scatter(1, path[:, t : t + 1], True)
    return torch.cat(found, 1)


@works("oat")
def test_likelihood_of_simulated_searchers_on_new_layouts() -> None:
    """Layouts are drawn afresh for training and test: over 0.15 nats a fixation better than uniform, brightness and
    distance at their best slopes, which are told that nothing is looked at twice. Codes' products fall with distance;
    objects in another order give the same in that order.

    Over three seeds .27, .23 and .27 nats better than the best rival; one seed is run, for time.
    """
    g = torch.Generator().manual_seed(0)
    with seeded(0):
        model = OAT(KINDS + 1, width=32, heads=2, depth=1)

    def loss() -> Tensor:
        objects, places, target, path, _ = searches(96, g)
        return -model.log_likelihood(objects, places, target, path).mean()

    train(model, loss, steps=450, rate=4e-3)
    objects, places, target, path, bright = searches(500, torch.Generator().manual_seed(99))
    with torch.no_grad():
        ours = float(model.log_likelihood(objects, places, target, path).mean())
        order = torch.randperm(OBJECTS, generator=g)
        plain = model(objects, places, target, path[:, :1])
        mixed = model(objects[:, order], places[:, order], target, order.argsort()[path[:, :1]])
        code = model.place(places[0])
    assert torch.allclose(plain[:, :, order], mixed, atol=1e-4)
    far = (places[0][:, None] - places[0]).norm(dim=-1).flatten()
    assert float(torch.corrcoef(torch.stack([far, (code @ code.T).flatten()]))[0, 1]) < -0.7
    before = torch.cat([torch.full((500, 1, 2), 0.5), places.gather(1, path[:, :-1, None].expand(-1, -1, 2))], 1)
    away = (before[:, :, None] - places[:, None]).norm(dim=-1)
    slopes = [0.0, 1.0, 2.0, 4.0, 6.0, 8.0]
    rivals = {
        "saliency": max(float(simple(s * bright[:, None].expand(-1, STEPS, -1), path).mean()) for s in slopes),
        "distance": max(float(simple(-s * away, path).mean()) for s in slopes),
    }
    assert ours > max(rivals.values()) + 0.15
