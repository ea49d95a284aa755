from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import CallError, LayoutError, MethodError
from regard.subjects.target import choose

from ..told import refused

LOGITS = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("at", [-1, 0, 2])
def test_is_one_entry_or_its_log_probability(at: int) -> None:
    for output in (LOGITS, (LOGITS,), {"logits": LOGITS}):
        plain, log = (choose(rg.Token(3, at=at, measure=m), output, ()) for m in ("logit", "logprob"))
        torch.testing.assert_close(plain.of(output), LOGITS[:, at, 3])
        torch.testing.assert_close(log.of(output), LOGITS[:, at, 3] - LOGITS[:, at].exp().sum(1).log())
        assert plain.index == ()


def test_the_first_choice_is_settled_once_for_each_input() -> None:
    target = choose(rg.Token(), LOGITS, ())
    best = LOGITS[:, -1].argmax(1)
    other = LOGITS.flip(2).repeat(2, 1, 1)  # of changed inputs, whose own first choice is another
    torch.testing.assert_close(target.of(other), other[torch.arange(4), -1, best.repeat(2)])
    assert target.label == "the first choice next"


def test_refusals() -> None:
    for goal, told in ((rg.Token(5), "no token 5: the output tells of 5"), (rg.Token(1, at=4), "no position 4")):
        with pytest.raises(MethodError, match=told):
            choose(goal, LOGITS, ())
    with pytest.raises(MethodError, match="no measure named 'odds'"):
        rg.Token(1, measure="odds")
    with pytest.raises(LayoutError, match=r"returns \[2, 5\], not scores of tokens"):
        choose(rg.Token(1), LOGITS[:, 0], ())
    with pytest.raises(LayoutError, match="not class scores") as caught:
        choose(None, LOGITS, ())
    assert "regard.Token" in str(caught.value)


def gpt(**more: Any) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = transformers.GPT2Config(vocab_size=30, n_positions=12, n_embd=12, n_layer=2, n_head=2, **more)
        model = transformers.GPT2LMHeadModel(config)
        for p in model.parameters():
            nn.init.normal_(p, std=0.4) if p.ndim > 1 else None
    return model.double().eval()


WORDS = torch.tensor([[4, 8, 15, 16, 23], [2, 7, 1, 8, 28]])


@pytest.mark.slow
@pytest.mark.parametrize("at", [-1, 2])
def test_attention_of_a_language_model_is_explained_by_its_own_matrices(at: int) -> None:
    model = gpt(attn_implementation="eager")
    out = model(WORDS, output_attentions=True)
    a = out.attentions[1]
    (g,) = torch.autograd.grad(out.logits[:, at, 7].sum(), a)
    method = partial(rg.explainers.attention_x_gradient, query=at)
    for one in (model, gpt()):
        made = rg.explain(one, WORDS, method=method, target=rg.Token(7, at=at))
        assert (made.grid, made.target) == (rg.Grid(1, 5), rg.Token(7, at=at).label)
        np.testing.assert_allclose(made.values[:, 0], (a * g)[:, :, at].abs().mean(1).detach().numpy(), atol=1e-12)
    own = partial(rg.explainers.attention_x_gradient, query=at + 1 if at >= 0 else at)
    told = rg.Token(7, at=at if at >= 0 else at - 1)
    assert not rg.explain(model, WORDS, method=own, target=told).values.any()  # the told token's own row, as released
    flow = rg.explain(model, WORDS, method=partial(rg.explainers.transformer_attribution, query=at), target=rg.Token())
    assert flow.values.shape == (2, 1, 5)


class Llava(nn.Module):
    """A tiny LLaVA: four patches stand for the picture among the words."""

    def __init__(self) -> None:
        super().__init__()
        t = pytest.importorskip("transformers")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            see = t.CLIPVisionConfig(
                hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2, image_size=16,
                patch_size=8, projection_dim=8,
            )  # fmt: skip
            tell = t.LlamaConfig(
                vocab_size=40, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2,
                num_key_value_heads=2, max_position_embeddings=32,
            )  # fmt: skip
            config = t.LlavaConfig(vision_config=see, text_config=tell, image_token_index=39, image_token_id=39)
            self.body = t.LlavaForConditionalGeneration(config)
        self.double().eval()

    def forward(self, pixel_values: Tensor, input_ids: Tensor) -> Any:
        return self.body(input_ids=input_ids, pixel_values=pixel_values)


@pytest.mark.slow
def test_a_vlm_is_explained_on_its_pixels() -> None:
    """Equal to autograd by hand; and, of the logit of a word before the picture, zero and refused."""
    model = Llava()
    words = torch.tensor([[1, 39, 39, 39, 39, 5, 6]])
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)).double()
    asked = rg.Given(model, "pixel_values", {"input_ids": words})
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf, words).logits[0, -1].log_softmax(0)[11], leaf)
    made = rg.explain(asked, x, method="input_x_gradient", target=rg.Token(11, measure="logprob"))
    np.testing.assert_allclose(made.values[0], (x * slope).sum(1)[0].numpy(), atol=1e-12)
    masked = rg.explain(asked, x, method="occlusion", target=rg.Token())
    assert masked.values.any()
    with pytest.raises(rg.errors.DegenerateError, match="gradient of token 11 behind position 0 is zero"):
        rg.explain(asked, x, method="gradient", target=rg.Token(11, at=0))


@pytest.mark.slow
def test_numbers_of_tokens_have_no_gradient() -> None:
    with pytest.raises(CallError, match=r"an input of torch.int64 has no gradient"):
        rg.explain(gpt(), WORDS, method="gradient", target=rg.Token(7))


@pytest.mark.parametrize("bad", [1.5, "cat", -3, True])
def test_what_is_no_id_is_refused_when_the_token_is_made(bad: Any) -> None:
    with refused(MethodError, f"a token's id is no {bad!r}", "a whole number, 0 or more"):
        rg.Token(bad)


@pytest.mark.parametrize("bad", ["x", 1.0, True, None])
def test_what_is_no_position_is_refused_when_the_token_is_made(bad: Any) -> None:
    with refused(MethodError, f"a position is no {bad!r}", "at=-1, the last"):
        rg.Token(3, at=bad)


def test_numpys_whole_numbers_are_ids() -> None:
    assert rg.Token(np.int64(3), at=np.int32(-1)).label == "token 3 next"  # type: ignore[arg-type]
