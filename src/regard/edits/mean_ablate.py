"""Mean ablation: heads that always say what they say on average."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from regard.core.call import Call
from regard.core.edit import Edit
from regard.core.record import Record
from regard.edits._shared import Heads, chosen_heads, told
from regard.errors import CallError, EditError
from regard.registry import method


@method(
    "edits",
    paper="circuit-reuse",
    claim="equals putting the mean over the reference set in place by hand",
    source="mean ablation of heads, as the baseline of path patching",
    needs={"out"},
    differs="none",
    unit="output",
)
def mean_ablate(record: Record, heads: Heads = None, over: Literal["all", "pictures"] = "all") -> Edit:
    """Replace the output of heads by its mean over a reference set.

    o_h <- mean of o_h over the pictures of the record and (over="all") over the queries too. The record keeps "out"
    of one forward, or of several: then all of a site's calls are averaged. Unlike zero, the mean is an output that
    the next layer expects. Closed form.

    Raises SiteError where the record has no such site, EditError where shapes do not fit.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> x = rg.image("sample:coffee", like=m)
    >>> with rg.watch(m, keep="out") as reference:
    ...     _ = m(x)
    >>> rg.edits.mean_ablate(reference, heads=[0, 2])
    mean_ablate(heads=[0, 2])
    """
    means: dict[str, Tensor] = {}

    def mean_at(site: str) -> Tensor:
        if site not in means:
            kept = torch.cat([r["out"] for r in record.select(site)])
            means[site] = kept.mean((0, 2), keepdim=True) if over == "all" else kept.mean(0, keepdim=True)
        return means[site]

    def change(call: Call) -> Call:
        if call.given is not None:
            return call
        mean, there = mean_at(call.site), chosen_heads(call, heads)
        if mean.shape[1] != call.heads or mean.shape[2] not in (1, call.queries):
            raise EditError(
                f"the record's mean at {call.site} is {list(mean.shape)}, the call has {call.heads} heads and "
                f"{call.queries} queries",
                hint="over='all' serves any number of queries",
            )
        return call.then(lambda out: torch.where(there, mean.to(out), out))

    if not len(record):
        raise CallError("an empty record has no mean", hint="watch(model, keep='out'), run the model, then mean_ablate")
    return Edit(f"mean_ablate({told(heads)[2:]})", change)
