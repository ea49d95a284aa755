"""`Prompted`: a frozen vision transformer with a learnt token for each class; what becomes of it is its logit."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import CallError, LayoutError
from regard.progress import track
from regard.subjects.bank import BATCH
from regard.subjects.tap import find_module

HINT = "a vision transformer whose blocks take and give tokens [B, N, C]; at='blocks.11', norm='norm'"


class Prompted(nn.Module):
    """`Prompted(backbone, classes, at="blocks.11")` is a classifier `[B, classes]`; only prompts and head are learnt.

    At the input of the block `at`, the last one, C prompts join in front of the tokens; logit c is w . norm(p_c'), p_c'
    what the block makes of prompt c, w shared by the classes. The backbone is the module itself, not a copy: it stays
    in eval mode, nothing asks its parameters for gradients, and it has no hook outside of a forward.
    norm: the address of what follows the last block, "" for nothing.
    """

    def __init__(self, backbone: nn.Module, classes: int, *, at: str, norm: str = "norm", seed: int = 0) -> None:
        super().__init__()
        if classes < 2:
            raise LayoutError(f"prompts for {classes} class", hint="at least two")
        self.backbone, self.at, self.norm = backbone, at, norm
        find_module(backbone, at)
        generator = torch.Generator().manual_seed(seed)
        like = next(find_module(backbone, at).parameters())
        width = like.shape[-1]
        self.prompts = nn.Parameter(0.02 * torch.randn(classes, width, generator=generator).to(like))
        self.head = nn.Parameter(torch.randn(width, generator=generator).to(like) / width**0.5)
        self.eval()

    def train(self, mode: bool = True) -> Prompted:
        """The backbone stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        made: list[Tensor] = []
        count = len(self.prompts)

        def join(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
            return (self._joined(_tokens(given[0])), *given[1:])

        def part(_: nn.Module, __: Any, out: Any) -> Any:
            tokens = _tokens(out)
            made.append(tokens[:, :count])
            return (tokens[:, count:], *out[1:]) if isinstance(out, tuple) else tokens[:, count:]

        block = find_module(self.backbone, self.at)
        hooks = block.register_forward_pre_hook(join), block.register_forward_hook(part)
        try:
            self.backbone(x)
        finally:
            for hook in hooks:
                hook.remove()
        return self._logits(made[0])

    def tokens(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n width"]:
        """What enters the block: it does not depend on the prompts, so that learning needs it only once."""
        caught: list[Tensor] = []
        hook = find_module(self.backbone, self.at).register_forward_pre_hook(lambda _, given: caught.append(given[0]))
        try:
            with torch.no_grad():
                for some in track(x.split(BATCH), "pictures"):
                    self.backbone(some)
        finally:
            hook.remove()
        return torch.cat(caught)

    def _joined(self, tokens: Tensor) -> Tensor:
        return torch.cat([self.prompts.expand(len(tokens), -1, -1), tokens], 1)

    def _logits(self, prompts: Tensor) -> Tensor:
        last = find_module(self.backbone, self.norm)(prompts) if self.norm else prompts
        logits: Tensor = last @ self.head
        return logits

    def learn(
        self, x: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"], *, steps: int = 100, rate: float = 2e-2,
        batch: int = 16, seed: int = 0,
    ) -> list[float]:  # fmt: skip
        """Learn prompts and head by Adam on the cross-entropy of random batches; gives the losses.

        Prompts start at the mean token as it enters the block, with a little noise of their own. (From noise alone 60
        steps learn nothing; from the mean of CLS the classes are told apart, but prompts all go on looking where CLS
        does.)
        """
        if len(x) != len(labels) or int(labels.min()) < 0 or int(labels.max()) >= len(self.prompts):
            raise LayoutError(
                f"{len(x)} pictures, {len(labels)} labels up to {int(labels.max())}, {len(self.prompts)} prompts",
                hint="a label 0 .. classes - 1 for each picture",
            )
        tokens, block = self.tokens(x), find_module(self.backbone, self.at)
        own, generator = [self.prompts, self.head], torch.Generator().manual_seed(seed)
        with torch.no_grad():
            noise = 0.02 * torch.randn(self.prompts.shape, generator=generator)
            self.prompts.copy_(tokens.mean((0, 1)) + noise.to(tokens))
        optimizer = torch.optim.Adam(own, lr=rate)
        losses = []
        for _ in track(range(steps), "steps"):
            some = torch.randint(len(x), (batch,), generator=generator).to(x.device)
            logits = self._logits(_tokens(block(self._joined(tokens[some])))[:, : len(self.prompts)])
            loss = F.cross_entropy(logits, labels[some])
            for one, slope in zip(own, torch.autograd.grad(loss, own), strict=True):
                one.grad = slope
            optimizer.step()
            losses.append(float(loss.detach()))
        optimizer.zero_grad()
        return losses


def _tokens(given: Any) -> Tensor:
    tokens = given[0] if isinstance(given, tuple) else given
    if not isinstance(tokens, Tensor) or tokens.ndim != 3:
        came = list(tokens.shape) if isinstance(tokens, Tensor) else type(tokens).__name__
        raise CallError(f"the block works on {came}, not on tokens", hint=HINT)
    return tokens


def prompted(model: nn.Module) -> Prompted:
    """The model as one with prompts; refused if it has none."""
    if not isinstance(model, Prompted):
        raise CallError(
            f"a {type(model).__name__} has no class prompts",
            hint="regard.subjects.prompted.Prompted(backbone, classes, at='blocks.11').learn(x, labels)",
        )
    return model
