"""The verbs about attention calls: see them, change them, list them, and make sure that none was missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from regard.results import Table

if TYPE_CHECKING:
    from torch import Tensor, nn

    from regard.core.edit import Edited, Edits
    from regard.core.plan import Keep
    from regard.core.scope import Threads
    from regard.core.select import Selection
    from regard.core.watch import Watch
    from regard.mechanisms.survey import Inputs
    from regard.patterns._pattern import Pattern
    from regard.softmax._problem import Bias
    from regard.softmax.attend import Attended, Impl
    from regard.softmax.swap import Chosen, Swapped


def watch(
    model: nn.Module, select: Selection = "*", *, keep: Keep = (), sample: int = 1, threads: Threads = "own",
    limit: int = 4 << 30,
) -> Watch:  # fmt: skip
    """Watch chosen attention calls while a block runs; the model's output stays bitwise the same.

    (One exception: `nn.TransformerEncoder` and `nn.MultiheadAttention` leave torch's inference fast path,
    which rounds differently and zeroes padded rows.)

    select: addresses such as `"blocks.{6..11}.attn"`; keep: fields (`q k v out probs`), `attention` (the
    smaller of what any row can be had from again) and probes (functions or names), or a mapping from the
    name to read by. Entering gives the Record that fills as the model runs; probes of gradients are filled by
    `record.backward(score)` inside the block. sample: look at about one query row in so many; the
    numbers of the others are NaN. Options of a probe are bound by functools.partial. threads: whether
    other Python threads that run the model during the block are watched too. limit: bytes that keep="probs" may
    hold. Raises SiteError at the end of the block if the model made attention calls and none matched, CallError
    for what a call cannot give.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> with rg.watch(m, "blocks.{10..11}.attn", keep=[rg.probes.entropy]) as rec:
    ...     _ = m(rg.image("sample:coffee", like=m))
    >>> rec.table("entropy").columns
    ('site', 'head 0', 'head 1', 'head 2')
    """
    from regard.core.watch import Watch
    from regard.mechanisms import ALL
    from regard.subjects.forward import check_model

    check_model(model)
    return Watch(model, ALL, select, keep, sample=sample, threads=threads, limit=limit)


def edit(
    model: nn.Module, edits: Edits | Mapping[str, Edits], select: Selection = "*", *, threads: Threads = "own"
) -> Edited:
    """Change chosen attention calls while a block runs; the model itself is never touched.

    edits: what `regard.edits` makes, `first >> then` or a list, a function of `logits`, `probs` or `out` (blocks of
    query rows `[B, H, rows, K]`, resp. `[B, H, Q, D]`), or a mapping from addresses to any of these. Within a call:
    operands and logits, softmax, probabilities, output; within each, in the order listed; blocks in the order
    opened; watches see the result. Call `backward()` inside the block: checkpointed layers are computed again in it.
    threads: whether other Python threads that run the model during the block are edited too.
    Raises SiteError at the end of the block if a selection matched no call, EditError for what does not fit.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> x = rg.image("sample:coffee", like=m)
    >>> with rg.edit(m, {"blocks.7.attn": rg.edits.temperature(0.5), "blocks.8.attn": rg.edits.ablate(heads=[2])}):
    ...     _ = m(x)
    """
    from regard.core.edit import Edited
    from regard.mechanisms import ALL
    from regard.subjects.forward import check_model

    check_model(model)
    return Edited(model, ALL, edits, select, threads=threads)


def swap(
    model: nn.Module, select: Selection = "*", *, pattern: Chosen, impl: Impl = "auto", compare: bool = True,
    threads: Threads = "own",
) -> Swapped:  # fmt: skip
    """Run a trained model with a pattern in the place of its dense attention, while a block runs.

    select: addresses of the calls; pattern: of `regard.patterns`, on the grid of the model with its prefix, or a
    function of q and k that makes one for each call. Weights stay as they are; a model's own bias and padding stay in
    force; calls that cannot be computed by `regard.attend` (attention by hand, dropout, edits before) get their
    probabilities masked and normalised again, which is the same. compare: also compute the dense output of each call,
    and tell in `table()` by how much it changed. Raises SiteError at the end of the block if no call matched,
    LayoutError for a pattern of another number of tokens.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> near = rg.patterns.neighborhood(rg.Grid(14, 14, prefix=1), window=7)
    >>> with rg.swap(m, "blocks.{6..11}.attn", pattern=near) as swapped:
    ...     _ = m(rg.image("sample:coffee", like=m))
    >>> swapped.table().columns
    ('site', 'calls', 'impl', 'pairs left', 'change of output')
    """
    from regard.mechanisms import ALL
    from regard.softmax.swap import Swapped

    return Swapped(model, ALL, select, pattern, impl=impl, compare=compare, threads=threads)


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, pattern: Pattern | None = None, bias: Bias | None = None,
    scale: float | None = None, mask: Tensor | None = None, extra_kv: tuple[Tensor, Tensor] | None = None,
    sink: Tensor | None = None, impl: Impl = "auto",
) -> Attended:  # fmt: skip
    """Softmax attention in which each query sees the keys that a pattern allows.

    out = softmax(scale q k^T + bias) v over the allowed keys. q `[B, H, Q, D]`, k `[B, Hk, K, D]`, v `[B, Hk, K, Dv]`
    with Hk dividing H (grouped queries); lse in float32 or wider.

    pattern: of `regard.patterns`; None: all keys. bias: `RelativeTable` or `LowRank` (of `regard.softmax`), or a number
    for each pair, broadcasting to `[B, H, Q, K]`. scale: D ** -0.5 if not given. mask: bool `[B, K]`, True for keys
    that are there (padding). extra_kv: keys and values `[B, Hk, E, D]` that all queries see besides. sink: `[H]`, the
    logit of a key whose value is zero ("off by one" at 0).
    impl: `reference` (float64, all logits), `composite` (plain torch, differentiable without limit), `tiled` (intervals
    only), `native` (the same in C++, built at first use by this machine's compiler; float32 on CPUs), `dense` (any
    pattern), `flex` (torch's FlexAttention, compiled; on CPUs without gradient and lse), `triton` (intervals, on GPUs),
    `natten` (neighborhoods, on GPUs, where NATTEN is installed), or `auto`, which takes what costs least of
    `composite`, `tiled` and `dense`; a choice is never replaced.

    Under autocast, operands that are not float64 are cast to its type, and sums stay in float32. In torch.compile a
    call is a part of the graph, without a break; make the pattern before. torch.func's grad and vmap look into
    `composite` and `reference`. Both leave out the search for NaN, which would have to read numbers.

    Raises LayoutError for operands that do not fit the pattern or each other, CallError for what an implementation
    cannot do, DegenerateError for NaN.

    >>> import regard as rg, torch
    >>> q, k, v = (torch.randn(1, 3, 3136, 32, generator=torch.Generator().manual_seed(i)) for i in range(3))
    >>> rg.attend(q, k, v, pattern=rg.patterns.neighborhood((56, 56), window=7)).impl
    'tiled'
    """
    from regard.softmax.attend import attend

    return attend(q, k, v, pattern=pattern, bias=bias, scale=scale, mask=mask, extra_kv=extra_kv, sink=sink, impl=impl)


def sites(model: nn.Module, x: Inputs) -> Table:
    """Every attention site of a model: address, kind, path, heads, size, grid, calls; and what is not covered.

    The model runs on tensors without numbers, so nothing is computed; where it looks at numbers to decide what to do,
    one real forward is run instead, and the title says so. x: a tensor, a list of inputs, a mapping of names to
    inputs, or a function that runs the model. kind: self, cross, pool (one query), window, joint, channel, outlook,
    sampling, linear. maps MiB: what keep="probs" would hold of one forward.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> rg.sites(m, rg.image("sample:coffee", like=m)).rows[0]
    ('blocks.0.attn', 'self', 'sdpa', 3, 197, 197, '14x14+1', 1, 0.4, 'q k v out probs')
    """
    from regard.mechanisms import ALL
    from regard.mechanisms.survey import survey
    from regard.subjects.forward import check_model, untouched

    check_model(model)
    with untouched(model):
        found, real = survey(model, x, ALL)
    rows = tuple(
        (s.address, s.kind, s.path, s.heads, s.queries, s.keys, s.grid, s.calls, round(s.bytes / 2**20, 1), s.gives)
        for s in found
    )
    how = (" (by a real forward)" if real else "") + ("" if rows else ": none seen; regard.audit counts what ran")
    return Table(
        columns=("address", "kind", "path", "heads", "queries", "keys", "grid", "calls", "maps MiB", "gives"),
        rows=rows,
        title=f"attention sites of {type(model).__name__}{how}",
    )


def audit(model: nn.Module, x: Inputs) -> Table:
    """Whether any attention goes unseen: ops that torch's dispatcher ran, beside calls seen and softmaxes told of.

    A gap above 0 is attention that `watch` and `edit` do not reach: code compiled by torch.jit, say.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> rg.audit(m, rg.image("sample:coffee", like=m)).rows[-1]
    ('gap', 0)
    """
    from regard.mechanisms import ALL
    from regard.mechanisms.survey import audit as counted
    from regard.subjects.forward import check_model, untouched

    check_model(model)
    with untouched(model):
        found = counted(model, x, ALL)
    ops = tuple((f"dispatched: {name}", count) for name, count in sorted(found.dispatched.items()))
    told = tuple((f"told of: {what}", count) for what, count in found.told.items())
    rows = (*ops, ("calls seen", found.seen), *told, ("gap", found.gap))
    return Table(columns=("what", "count"), rows=rows, title=f"audit of {type(model).__name__}")
