"""A linear recurrence over all tokens at once, and its four readings of a grid (VMamba's SS2D)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 256  # tokens that are scanned together; the state goes from one chunk to the next


def recurrence(
    decay: Float[Tensor, "*b n s"], given: Float[Tensor, "*b n s"], *, chunk: int = CHUNK
) -> Float[Tensor, "*b n s"]:
    """h_i = decay_i h_(i-1) + given_i from h_0 = 0, in log2(chunk) steps a chunk instead of one a token.

    >>> recurrence(torch.full((4, 1), 0.5), torch.ones(4, 1)).flatten()
    tensor([1.0000, 1.5000, 1.7500, 1.8750])
    """
    state: Tensor | None = None
    done = []
    for a, b in zip(decay.split(chunk, -2), given.split(chunk, -2), strict=True):
        shift = 1
        while shift < b.shape[-2]:
            near, far = slice(shift, None), slice(None, -shift)
            b = torch.cat([b[..., :shift, :], b[..., near, :] + a[..., near, :] * b[..., far, :]], -2)
            a = torch.cat([a[..., :shift, :], a[..., near, :] * a[..., far, :]], -2)
            shift *= 2
        h = b if state is None else b + a * state
        state = h[..., -1:, :]
        done.append(h)
    return torch.cat(done, -2)


class FourScans(nn.Module):
    """Selective scans of a grid by rows and by columns, each forwards and backwards, summed: [B, h, w, D] -> the same.

    h_i = exp(step_i A) h_(i-1) + step_i B_i x_i, y_i = C_i h_i + D x_i with step, B and C made from x_i, a set of
    weights for each direction; `states` numbers a channel.
    """

    def __init__(self, width: int, *, states: int = 16, rank: int | None = None) -> None:
        super().__init__()
        self.states, self.rank = states, rank or -(-width // 32)
        self.select = nn.Parameter(torch.randn(4, self.rank + 2 * states, width) / width**0.5)
        self.step = nn.Parameter((2 * torch.rand(4, width, self.rank) - 1) / self.rank**0.5)
        begin = torch.exp(torch.rand(4, width) * 4.6 - 6.9)  # steps of .001 to .1
        self.bias = nn.Parameter(begin + torch.log(-torch.expm1(-begin)))
        self.log_a = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(4, width, 1))
        self.skip = nn.Parameter(torch.ones(4, width))

    def forward(self, x: Float[Tensor, "b h w d"]) -> Float[Tensor, "b h w d"]:
        h, w = x.shape[1:3]
        rows, columns = x.flatten(1, 2), x.transpose(1, 2).flatten(1, 2)
        read = torch.stack([rows, columns, rows.flip(1), columns.flip(1)], 1)
        low, b, c = torch.einsum("bknd,ked->bkne", read, self.select).split([self.rank, self.states, self.states], -1)
        step = F.softplus(torch.einsum("bknr,kdr->bknd", low, self.step) + self.bias[:, None])
        decay = torch.exp(-step[..., None] * self.log_a.exp()[:, None])
        given = (step * read)[..., None] * b[..., None, :]
        state = recurrence(decay.flatten(-2), given.flatten(-2)).unflatten(-1, decay.shape[-2:])
        y = (state * c[..., None, :]).sum(-1) + self.skip[:, None] * read
        y = torch.cat([y[:, :2], y[:, 2:].flip(2)], 1)
        along, down = y[:, 0] + y[:, 2], y[:, 1] + y[:, 3]
        return along.unflatten(1, (h, w)) + down.unflatten(1, (w, h)).transpose(1, 2)
