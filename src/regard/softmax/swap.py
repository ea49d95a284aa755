"""`Swapped`: a trained model run with a pattern in the place of its dense attention, and what that changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor, nn

from regard.core.call import Call, Rule
from regard.core.edit import Edit, Edited
from regard.core.scope import Mechanisms
from regard.core.select import Selection
from regard.errors import LayoutError
from regard.patterns._pattern import Pattern
from regard.results import Table
from regard.softmax.attend import attend

Chosen = Pattern | Callable[[Tensor, Tensor], Pattern]


@dataclass(frozen=True)
class Change:
    """What a pattern did to one call: how it was made, the share of pairs left, the relative change of the output."""

    impl: str
    kept: float
    change: float | None


class Swapped(Edited):
    """Context manager behind `regard.swap`; entering gives itself, and `changes` fills as the model runs."""

    def __init__(
        self, model: nn.Module, mechanisms: Mechanisms, select: Selection, pattern: Chosen, *, impl: str,
        compare: bool, threads: str,
    ) -> None:  # fmt: skip
        self.changes: dict[str, list[Change]] = {}
        self._pattern, self._impl, self._compare = pattern, impl, compare
        super().__init__(model, mechanisms, Edit(f"swap({pattern})", self._swap), select, threads=threads)

    def table(self) -> Table:
        """For each site: its calls, how they were computed, the share of pairs left, the change of its output.

        change: |pattern's output - dense output| / |dense output| on the same q, k, v, mean over calls; None where it
        was not measured.
        """
        rows = []
        for site, calls in self.changes.items():
            measured = [one.change for one in calls if one.change is not None]
            rows.append(
                (
                    site,
                    len(calls),
                    calls[-1].impl,
                    fmean(one.kept for one in calls),
                    fmean(measured) if measured else None,
                )
            )
        columns = ("site", "calls", "impl", "pairs left", "change of output")
        return Table(columns=columns, rows=tuple(rows), title=f"{self._pattern} in the place of dense attention")

    def _swap(self, call: Call) -> Call:
        if call.given is not None:
            return call
        pattern = (
            self._pattern if isinstance(self._pattern, Pattern) else self._pattern(call.operand("q"), call.operand("k"))
        )
        if (call.queries, call.keys) != (pattern.queries.tokens, pattern.keys.tokens):
            raise LayoutError(
                f"{call.site} has {call.queries} queries and {call.keys} keys, {pattern} is for "
                f"{pattern.queries.tokens} and {pattern.keys.tokens}",
                hint="a Grid with the model's own prefix: regard.sites(model, x) tells it",
            )
        return call.with_rule(Rule(self._rows(pattern), self._closed(pattern)))

    def _closed(self, pattern: Pattern) -> Callable[[Call, Callable[[Tensor], Tensor]], Tensor | None]:
        def closed(before: Call, product: Callable[[Tensor], Tensor]) -> Tensor | None:
            plain = not (before.rules or before.on_logits or before.dropout or before.causal)
            if before.weights is not None or not plain:
                return None
            q = before.operand("q")
            bias, mask = _padding(before.bias, before)
            made = attend(
                q, before.operand("k"), before.values.to(q.dtype), pattern=pattern, bias=bias, mask=mask,
                scale=before.scale, impl=self._impl,
            )  # fmt: skip
            self._note(before, pattern, made.impl, made.out, product)
            return made.out

        return closed

    def _rows(self, pattern: Pattern) -> Callable[[Tensor, int, Call], Tensor]:
        def rows(probs: Tensor, start: int, whole: Call) -> Tensor:
            if start == 0:
                self._note(whole, pattern, "rows", None, None)
            seen = probs * pattern.rows(start, start + probs.shape[2], probs.device)
            return seen / seen.sum(-1, keepdim=True).clamp_min(torch.finfo(probs.dtype).tiny)

        return rows

    def _note(
        self, call: Call, pattern: Pattern, impl: str, out: Tensor | None,
        product: Callable[[Tensor], Tensor] | None,
    ) -> None:  # fmt: skip
        change = None
        if self._compare and out is not None and product is not None:
            with torch.no_grad():
                full = product(call.values).float()
                change = float((out.float() - full).norm() / full.norm().clamp_min(1e-30))
        lead = torch.Size(pattern.lead).numel()
        kept = pattern.count() / (lead * pattern.queries.tokens * pattern.keys.tokens)
        self.changes.setdefault(call.site, []).append(Change(impl, kept, change))


def _padding(bias: Tensor | None, call: Call) -> tuple[Tensor | None, Tensor | None]:
    """A model's own mask of keys as `mask`; any other mask or bias as a bias of pairs."""
    if bias is None or bias.dtype != torch.bool:
        return bias, None
    four = bias.view(*(1,) * (4 - bias.ndim), *bias.shape)
    if four.shape[1] == four.shape[2] == 1:
        return None, four[:, 0, 0].expand(call.batch, call.keys)
    return torch.zeros(four.shape, dtype=call.operand("q").dtype, device=four.device).masked_fill_(
        ~four, float("-inf")
    ), None
