"""Attention while a model writes: what regard keeps of the fused calls is what the model itself tells, made by hand.

Transformers' fused path packs the one query of each head into its group of keys while it decodes with a mask
(padding, beams, a cache of fixed size), so that the calls do not look like the model's heads.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.core.record import Record

from .hf_talkers import GROUPED, LLAVA, QWEN2, hf, prompt, qwen_prompt, text
from .variant import Variant, quietly

STEPS, HEADS = 4, 4
MODELS: dict[str, Any] = {
    "llama": partial(hf, "LlamaForCausalLM", 2, GROUPED, text),
    "llama, one head of keys": partial(hf, "LlamaForCausalLM", 2, {**GROUPED, "num_key_value_heads": 1}, text),
    "llava": partial(hf, "LlavaForConditionalGeneration", 2, LLAVA, lambda: prompt(16)),
    "qwen2 vl": partial(hf, "Qwen2VLForConditionalGeneration", 2, QWEN2, qwen_prompt),
}
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beams": {"num_beams": 3},
    "static cache": {"cache_implementation": "static"},
    "no cache": {"use_cache": False},
}


def inputs_of(name: str) -> dict[str, Any]:
    """The second text is padded at the start, as for writing it has to be."""
    given: dict[str, Any] = MODELS[name].args[3]()
    given["attention_mask"][1] = 1
    given["attention_mask"][1, :2] = 0
    return given


def write(model: nn.Module, inputs: dict[str, Any], **options: Any) -> Any:
    pieces = list(range(50, 60))  # tokens that stand for a picture are not words
    options = {
        "suppress_tokens": pieces,
        "max_new_tokens": STEPS,
        "min_new_tokens": STEPS,
        "do_sample": False,
        **options,
    }
    return quietly(partial(model.generate, **inputs, return_dict_in_generate=True, **options))  # type: ignore[operator]


def of_language(record: Record) -> list[Any]:
    """Readings of the language model, without those of the picture."""
    return [r for r in record if "visual" not in r.site and "vision" not in r.site]


def at_valid_queries(told: Tensor, kept: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Padded queries may look anywhere or nowhere: the two ways differ there, and nobody reads it."""
    beams = told.shape[0] // mask.shape[0]
    rows = mask.bool().repeat_interleave(beams, dim=0)
    rows = torch.cat([rows, rows.new_ones(rows.shape[0], STEPS)], 1)
    queries = told.shape[2]
    rows = rows[:, :queries] if queries > 1 else rows.new_ones(rows.shape[0], 1)
    return told.transpose(1, 2)[rows], kept.transpose(1, 2)[rows]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_kept_attention_is_what_the_model_tells(name: str, way: str) -> None:
    build: Any = MODELS[name]
    fused, _ = build(how="sdpa")()
    spelled, _ = build(how="eager")()
    inputs = inputs_of(name)
    told = write(spelled, inputs, output_attentions=True, **WAYS[way])
    with rg.watch(fused, keep="probs") as record:
        written = write(fused, inputs, **WAYS[way])
    with rg.watch(spelled, keep="probs") as by_hand:
        write(spelled, inputs, **WAYS[way])
    assert torch.equal(written.sequences, told.sequences)
    assert record.error < 1e-4
    steps = [layer for step in told.attentions for layer in step]
    for readings in (of_language(record), of_language(by_hand)):
        assert len(readings) == len(steps) == STEPS * 2
        for reading, probs in zip(readings, steps, strict=True):
            assert reading.heads == HEADS
            assert reading["probs"].shape == probs.shape
            a, b = at_valid_queries(probs, reading["probs"], inputs["attention_mask"])
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_watching_does_not_change_what_is_written() -> None:
    variant: Variant = MODELS["llava"](how="sdpa")
    model, _ = variant()
    inputs = inputs_of("llava")
    plain = write(model, inputs, output_logits=True)
    with rg.watch(model, keep=["entropy", "received"]):
        watched = write(model, inputs, output_logits=True)
    assert torch.equal(plain.sequences, watched.sequences)
    assert all(torch.equal(a, b) for a, b in zip(plain.logits, watched.logits, strict=True))
