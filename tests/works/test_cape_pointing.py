"""cape-pointing works: rays as the row says, and scenes where the name alone leaves two things to choose from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from regard.gaze.following.pointing import ray, weighed
from regard.testing.marks import works

SIDE, THINGS = 48, 6


def scenes(n: int, seed: int) -> dict[str, Tensor]:
    """Six things of three names at random places, somebody who points at one; keypoints and names are read noisily."""
    g = torch.Generator().manual_seed(seed)
    places = SIDE * (0.1 + 0.8 * torch.rand(n, THINGS, 2, generator=g))
    names = torch.arange(THINGS).remainder(3).expand(n, -1)
    at = torch.randint(THINGS, (n,), generator=g)
    target = places[torch.arange(n), at]
    wrist = SIDE * torch.rand(n, 2, generator=g)
    towards = (target - wrist) / (target - wrist).norm(dim=1, keepdim=True)
    finger = wrist + 3 * towards + 0.3 * torch.randn(n, 2, generator=g)
    head = wrist - 4 * towards + 1.0 * torch.randn(n, 2, generator=g)
    said = torch.nn.functional.one_hot(names[torch.arange(n), at], 3).float()
    read = said + 0.3 * torch.randn(n, 3, generator=g)
    return {"places": places, "name": read.gather(1, names), "at": at, "wrist": wrist, "finger": finger, "head": head}


def under(heat: Tensor, places: Tensor) -> Tensor:
    cells = places.long().clamp(0, SIDE - 1)
    return heat[torch.arange(len(heat))[:, None], cells[..., 1], cells[..., 0]]


@works("cape-pointing")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rays_and_names_find_what_is_pointed_at(seed: int) -> None:
    """The heat map is 1 on the ray, 0 behind the origin, turns with its points; over 300 scenes rays and name together
    choose rightly over 30 points more often than the name alone, and than the rays alone."""
    told = scenes(300, seed)
    by_head, by_wrist = (ray(told[k], told["finger"], (SIDE, SIDE)) for k in ("head", "wrist"))
    forward = told["finger"] - told["wrist"]
    ahead, behind = told["finger"] + 2 * forward, told["wrist"] - 3 * forward
    inside = ((ahead > 1) & (ahead < SIDE - 1)).all(1)
    assert float(under(by_wrist, ahead[:, None])[inside].min()) > 0.9  # the cell's middle is off the ray by half a cell
    inside = ((behind > 1) & (behind < SIDE - 1)).all(1)
    assert float(under(by_wrist, behind[:, None])[inside].max()) == 0
    turned = ray(*(torch.stack([SIDE - told[k][:, 1], told[k][:, 0]], 1) for k in ("wrist", "finger")), (SIDE, SIDE))
    assert torch.allclose(turned, by_wrist.rot90(-1, (1, 2)), atol=1e-4)

    models = [4 * told["name"] + 3 * under(heat, told["places"]) for heat in (by_head, by_wrist)]
    likeness = torch.stack([told["name"].gather(1, m.argmax(1, keepdim=True))[:, 0] for m in models], 1)
    right = {
        "both": weighed(*models, likeness).argmax(1),
        "name": told["name"].argmax(1),
        "rays": (under(by_head, told["places"]) + under(by_wrist, told["places"])).argmax(1),
    }
    share = {k: float((v == told["at"]).float().mean()) for k, v in right.items()}
    assert share["both"] > share["name"] + 0.3
    assert share["both"] > share["rays"]
