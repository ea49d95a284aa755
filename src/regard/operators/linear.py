"""Linear attention: a feature map in the place of the exponential, so that keys and values are summed once."""

from __future__ import annotations

import torch

from regard.errors import LayoutError
from regard.operators._features import Feature, feature_map
from regard.operators._scan import scan
from regard.operators._shared import Form, Keys, Output, Queries, Values, check, step_of
from regard.registry import method


@method(
    "operators",
    paper="linear-attention",
    claim="equals the quadratic form with the same scores; causal: parallel, recurrent and chunked agree",
    source="the paper's linearised attention, and its causal form as a recurrence",
    needs={"q", "k", "v"},
    differs="further feature maps; may be left unnormalised; the causal sum also in chunks",
    unit="values",
    kinds="self, causal self, cross, causal cross",
)
def linear(
    q: Queries, k: Keys, v: Values, *, feature: Feature = "elu", causal: bool = False, normalise: bool = True,
    form: Form = "chunked", chunk: int = 64, eps: float = 1e-6,
) -> Output:  # fmt: skip
    """Attention whose weights are products of features, at a cost linear in the tokens.

    out_i = sum_j w_ij v_j / sum_j w_ij,   w_ij = phi(q_i) . phi(k_j), the sums over all j, or j <= i where causal.
    feature: phi (elu: elu(x) + 1, relu, taylor: 1 + s + s^2 / 2 for s = q . k, none). normalise: False leaves the
    division out. form, chunk: how a causal sum is made. eps: the smallest divisor.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E]. The paper's V' is our out. Cost N D E.

    Raises LayoutError where shapes do not fit, where causal and Q != K, and for feature none with normalise, since
    signed scores may sum to 0. Source: Katharopoulos et al. 2020, "Transformers are RNNs".

    >>> import regard as rg, torch
    >>> q, k, v = torch.eye(3).expand(3, 1, 1, 3, 3)
    >>> rg.operators.linear(q, k, v)[0, 0, 0]  # scores: 6 for its own key, 5 for the others
    tensor([0.3750, 0.3125, 0.3125])
    """
    check(q, k, v, same_count=causal)
    if feature == "none" and normalise:
        raise LayoutError("signed scores may sum to 0", hint="normalise=False, or a feature that is positive")
    q, k = feature_map(q, feature), feature_map(k, feature)
    if normalise:  # one more column of values, all ones, carries the sums of the weights along
        v = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    out = scan(q, k, v, None, step_of(form, chunk, q.shape[2])) if causal else q @ (k.mT @ v)
    return out[..., :-1] / out[..., -1:].clamp_min(eps) if normalise else out
