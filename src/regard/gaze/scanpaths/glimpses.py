"""Glimpse prediction: what the next fixation will show, told from the glimpses so far and the saccade to come."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import LayoutError


class GlimpsePredictor(nn.Module):
    """A GRU over (glimpse, saccade) that predicts the next glimpse's frozen embedding. Untrained.

    h_t = GRU([glimpse_t, saccade_t], h_(t-1)); prediction = W h_t: the embedding expected after the saccade. h_t is
    a representation of the scene. recurrent=False: each step on its own, saccade=False: where the eyes go is not
    told; the paper's two ablations.

    >>> with torch.random.fork_rng():
    ...     model = GlimpsePredictor(8, width=16)
    >>> predicted, state = model(torch.rand(2, 5, 8), torch.rand(2, 5, 2))
    >>> predicted.shape, state.shape
    (torch.Size([2, 5, 8]), torch.Size([2, 5, 16]))
    """

    def __init__(self, features: int, *, width: int = 512, recurrent: bool = True, saccade: bool = True) -> None:
        super().__init__()
        self.recurrent, self.saccade = recurrent, saccade
        self.cell = nn.GRUCell(features + 2, width)
        self.predict = nn.Linear(width, features)

    def forward(self, glimpses: Tensor, saccades: Tensor) -> tuple[Float[Tensor, "b t f"], Float[Tensor, "b t c"]]:
        """Predictions of the glimpse after each saccade, and the states; saccades: x and y to the next fixation."""
        if glimpses.shape[:2] != saccades.shape[:2]:
            raise LayoutError(
                f"{list(glimpses.shape)} glimpses, {list(saccades.shape)} saccades", hint="[B, t, F] and [B, t, 2]"
            )
        given = torch.cat([glimpses, saccades if self.saccade else torch.zeros_like(saccades)], -1)
        state = given.new_zeros(len(given), self.cell.hidden_size)
        states = []
        for step in given.unbind(1):
            state = self.cell(step, state if self.recurrent else torch.zeros_like(state))
            states.append(state)
        seen = torch.stack(states, 1)
        return self.predict(seen), seen


def contrastive(
    predicted: Float[Tensor, "b t f"], truth: Float[Tensor, "b t f"], *, temperature: float = 0.1
) -> Float[Tensor, ""]:
    """Cross-entropy of finding each true glimpse among all of the batch by the cosine with its prediction.

    >>> truth = torch.eye(3)[None]
    >>> bool(contrastive(truth, truth) < contrastive(truth.roll(1, 1), truth))
    True
    """
    one, other = (F.normalize(v.flatten(0, 1), dim=-1) for v in (predicted, truth))
    logits = one @ other.T / temperature
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
