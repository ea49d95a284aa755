"""One layer of attention, whose attention, gradient and LIME explanations are all known by formula."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError

MOST = 14  # tokens, of whose subsets LIME's expectation is taken


@dataclass(frozen=True)
class one_layer:  # noqa: N801 (named after its file, as every method is)
    """f(e) = mean over heads of w . sum_t alpha_t W_v e_t, alpha = softmax(q . W_k e_t / sqrt(D)), one query q a head.

    The model on which attention-based and post-hoc explanations can be compared without sampling: an oracle for every
    explainer. query `[h, D]`, key `[h, D, d]`, value `[h, d', d]`, out `[h, d']` (the paper's w, a head's part of it);
    tokens e are `[t, d]`, their positions already added.

    Source: Lopardo, Precioso and Garreau 2024, "Attention Meets Post-hoc Interpretability", sections 2 to 5.

    >>> import torch
    >>> from regard.claims import one_layer
    >>> model = one_layer.draw(heads=2, width=8, generator=torch.Generator().manual_seed(0))
    >>> tokens = torch.randn(5, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    >>> bool((model.attention(tokens) >= 0).all()), tuple(model.gradient(tokens).shape)
    (True, (5, 8))
    """

    query: Float[Tensor, "h D"]
    key: Float[Tensor, "h D d"]
    value: Float[Tensor, "h v d"]
    out: Float[Tensor, "h v"]

    @classmethod
    def draw(cls, *, heads: int, width: int, generator: torch.Generator) -> one_layer:
        """Random weights of a usual size, in float64."""
        inner = max(1, width // heads)
        shapes = ((heads, inner), (heads, inner, width), (heads, inner, width), (heads, inner))
        drawn = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
        query, key, value, out = drawn
        return cls(query, key / width**0.5, value / width**0.5, out)

    def __call__(self, tokens: Float[Tensor, "*b t d"]) -> Float[Tensor, "*b"]:
        """The score."""
        return (self._alpha(tokens) * self._worth(tokens)).sum(-1).mean(-1)

    def _alpha(self, tokens: Float[Tensor, "*b t d"]) -> Float[Tensor, "*b h t"]:
        turned = torch.einsum("hD,hDd->hd", self.query, self.key) / math.sqrt(self.query.shape[1])
        return torch.einsum("hd,...td->...ht", turned, tokens).softmax(-1)

    def _worth(self, tokens: Float[Tensor, "*b t d"]) -> Float[Tensor, "*b h t"]:
        """w . v_t: what a token would say if it were attended to alone."""
        return torch.einsum("hv,hvd,...td->...ht", self.out, self.value, tokens)

    def attention(self, tokens: Float[Tensor, "t d"]) -> Float[Tensor, " t"]:
        """The explanation by attention: mean over heads of alpha_t. Never negative, whatever the token says."""
        return self._alpha(tokens).mean(0)

    def gradient(self, tokens: Float[Tensor, "t d"]) -> Float[Tensor, "t d"]:
        """df/de_t = mean_h alpha_t [W_v^T w + (W_k^T q / sqrt(D)) (w . v_t - sum_s alpha_s w . v_s)], q held."""
        alpha, worth = self._alpha(tokens), self._worth(tokens)
        straight = torch.einsum("hvd,hv->hd", self.value, self.out)
        turned = torch.einsum("hDd,hD->hd", self.key, self.query) / math.sqrt(self.query.shape[1])
        beyond = worth - (alpha * worth).sum(-1, keepdim=True)
        return (alpha[..., None] * (straight[:, None] + turned[:, None] * beyond[..., None])).mean(0)

    def lime(self, tokens: Float[Tensor, "t d"], masked: Float[Tensor, "t d"]) -> Float[Tensor, " t"]:
        """What LIME's coefficients come to with ever more samples and equal weights (a wide kernel).

        LIME for text removes s tokens, s uniform from 1 to t, and fits f by least squares to which are there, z. The
        limit solves the normal equations of that distribution, E[(1, z)(1, z)^T] beta = E[(1, z) f(z)]; here both
        are sums over all subsets, so t is at most 14. masked: the tokens that stand in the places of removed ones.
        Raises LayoutError for more tokens.
        """
        count = len(tokens)
        if not 2 <= count <= MOST or tokens.shape != masked.shape:
            raise LayoutError(f"{count} tokens, {len(masked)} masked ones", hint=f"2 to {MOST} of both, of one shape")
        index = torch.arange(2**count - 1)  # all but the whole text
        there = ((index[:, None] >> torch.arange(count)) & 1).to(tokens)
        gone = count - there.sum(1).long()
        ways = torch.tensor([math.comb(count, s) for s in range(count + 1)]).to(tokens)
        share = 1 / (count * ways[gone])
        scores = self(torch.where(there[..., None] > 0, tokens, masked))
        design = torch.cat([torch.ones_like(there[:, :1]), there], 1)
        return torch.linalg.solve(design.T @ (share[:, None] * design), design.T @ (share * scores))[1:]
