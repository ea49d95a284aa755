"""`Given`: a model of several inputs as one of the input that is explained, the others held."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from regard.errors import LayoutError
from regard.subjects.forward import check_model


class Given(nn.Module):
    """`Given(model, "pixel_values", {"input_ids": ids})(x)` is `model(pixel_values=x, input_ids=ids)`.

    others: what else the model is called with, by name; a tensor with as many rows as there are explained inputs is
    repeated for batches that are a multiple of them. The model is the module itself, not a copy.

    >>> import regard as rg, torch
    >>> class Sum(torch.nn.Module):
    ...     def forward(self, x, by):
    ...         return x + by
    >>> rg.Given(Sum(), "x", {"by": torch.ones(1, 2)})(torch.zeros(3, 2)).sum().item()
    6.0
    """

    def __init__(self, model: nn.Module, into: str, others: Mapping[str, Any]) -> None:
        super().__init__()
        self.model, self.into, self.others = check_model(model), into, dict(others)
        if into in self.others:
            raise LayoutError(f"'{into}' is what is explained, and is given too", hint=f"others without '{into}'")
        self.training = model.training  # of this module alone: parts of the model may be in another mode

    def forward(self, x: Tensor) -> Any:
        """What the model returns for these inputs."""
        return self.model(**{self.into: x}, **{name: self._for(name, one, len(x)) for name, one in self.others.items()})

    def _for(self, name: str, one: Any, count: int) -> Any:
        if not isinstance(one, Tensor) or one.ndim == 0 or len(one) == count:
            return one
        if count % len(one):
            raise LayoutError(
                f"{count} inputs of '{self.into}' beside {len(one)} of '{name}'", hint="as many, or one of the others"
            )
        return one.repeat(count // len(one), *(1,) * (one.ndim - 1))
