"""A number for every head, by hand: means, spread, extremes in words, and what is refused."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import CallError, DegenerateError, MethodError, SiteError
from regard.looking.heads import Sites, about, enough_digits, number, short, summarise, survey
from regard.registry import find

from .vits import Recurrent, cnn, vit, with_registers, without_prefix


def pictures(count: int = 2, *, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def surveyed(model: nn.Module, x: Any, probe: Any = "entropy", site: str = "*") -> rg.Atlas:
    return survey(model, x, probe=probe, site=site, patches=576)


@pytest.mark.parametrize("probe", ["entropy", "distance", "prefix_mass", "sink_mass"])
@pytest.mark.parametrize("make", [vit, with_registers])
def test_means_and_spread_are_those_of_pictures_watched_one_by_one(probe: str, make: Any) -> None:
    model, x = make(), pictures(3)
    tables = []
    for one in x.split(1):
        with torch.no_grad(), rg.watch(model, keep=[probe]) as record:
            model(one)
        tables.append(record.table(probe).numbers())
    found = surveyed(model, x, probe)
    np.testing.assert_allclose(found.values, np.mean(tables, 0), rtol=1e-9)
    assert found.std is not None
    np.testing.assert_allclose(found.std, np.std(tables, 0, ddof=1), rtol=1e-7, atol=1e-12)
    assert found.addresses == ("blocks.0.attn", "blocks.1.attn", "blocks.2.attn")
    assert found.pictures == ("picture 0", "picture 1", "picture 2")
    assert found.values[found.lowest] == found.values.min()
    assert found.values[found.highest] == found.values.max()
    assert (found.probe, found.unit) == (probe, find("probes", probe).card.unit)


def test_entropy_against_the_formula() -> None:
    model, x = vit(), pictures(1)
    with torch.no_grad(), rg.watch(model, keep="probs") as record:
        model(x)
    p = torch.stack([r["probs"][0].double() for r in record])
    wanted = -(p * p.log2()).sum(-1).mean(-1)
    found = surveyed(model, x)
    np.testing.assert_allclose(found.values, wanted.numpy(), rtol=1e-5)
    assert found.std is None


def test_one_picture_of_a_list_is_read_and_prepared() -> None:
    found = surveyed(vit(), ["sample:coffee", "sample:rocket"])
    assert found.pictures == ("coffee", "rocket")
    assert found.forwards == 3


def test_options_of_a_probe_are_bound_and_kept() -> None:
    often, rare = (surveyed(vit(), pictures(), partial(rg.probes.sink_mass, times=t)) for t in (0.5, 20.0))
    assert often.settings == {"times": 0.5}
    assert often.values.mean() > rare.values.mean()


def test_sites_can_be_chosen_and_a_block_used_thrice_is_three_layers() -> None:
    assert surveyed(vit(), pictures(), site="blocks.{1..2}.attn").addresses == ("blocks.1.attn", "blocks.2.attn")
    assert surveyed(Recurrent().eval(), pictures()).addresses == ("block.attn", "block.attn[1]", "block.attn[2]")
    with pytest.raises(SiteError, match="no site matches 'block'"):
        surveyed(vit(), pictures(), site="block")


def test_layers_of_other_widths_leave_holes() -> None:
    model = vit()
    model.blocks[0].attn.num_heads, model.blocks[0].attn.head_dim, model.blocks[0].attn.scale = 4, 4, 0.5
    found = surveyed(model, pictures())
    assert found.values.shape == (3, 4)
    assert np.isnan(found.values[1:, 2:]).all()
    assert not np.isnan(found.values[0]).any()
    assert found.table().rows[1][3:] == (None, None)


def test_calls_off_the_grid_are_left_out_only_where_a_grid_is_needed() -> None:
    class Pooled(nn.Module):
        """Attention over the picture, then one query over all tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = vit(depth=1)
            self.pool = nn.MultiheadAttention(16, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.inner.forward_features(x)
            return self.pool(tokens[:, :1], tokens, tokens)[0]

    with torch.random.fork_rng(devices=[]):
        model = Pooled().eval()
    assert surveyed(model, pictures()).addresses == ("inner.blocks.0.attn", "pool")
    found = surveyed(model, pictures(), "distance")
    assert found.addresses == ("inner.blocks.0.attn",)
    assert found.left_out == ("pool (not on a grid of patches)",)


def test_what_cannot_be_surveyed_is_refused() -> None:
    with pytest.raises(MethodError, match="no probe named 'entropi'\n  try: 'entropy'"):
        surveyed(vit(), pictures(), "entropi")
    with pytest.raises(CallError, match=r"probe 'row' gives more than one number.*\n  try: one of .*entropy"):
        surveyed(vit(), pictures(), "row")
    with pytest.raises(CallError, match="made no attention call that can be read"):
        surveyed(cnn(), pictures())
    with torch.random.fork_rng(devices=[]):
        bare = nn.MultiheadAttention(4, 1, batch_first=True)

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = bare

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2)[..., :4]
            return self.attn(tokens, tokens, tokens)[0]

    with pytest.raises(CallError, match="probe 'distance' needs a grid of patches, and none of the 1 attention calls"):
        surveyed(Words().eval(), pictures(), "distance")


def test_a_model_is_left_as_it_was() -> None:
    model = vit()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    surveyed(model, pictures())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not model._forward_hooks


CARD = find("probes", "entropy").card
PLACES = Sites(("blocks.0.attn", "blocks.1.attn"), ("blocks.0.attn", "blocks.1.attn"), ())


def test_words_name_the_extremes_and_the_way_from_first_to_last() -> None:
    values = np.array([[[3.0, 1.0], [7.0, 5.0]], [[5.0, 1.5], [7.0, 9.0]]])
    found = summarise(values, PLACES, CARD, ("a", "b"), {}, 0.0)
    assert found.lowest == (0, 1)
    assert found.highest == (1, 0)
    assert found.words == (
        "blocks.0 head 1 looks at the fewest keys: 1.2 bits (± 0.35 between pictures).",
        "blocks.1 head 0 looks at the most keys: 7.0 bits (± 0 between pictures).",
        "The mean of heads is 2.6 bits in blocks.0 and 7.0 bits in blocks.1.",
        "The 2 pictures differ most at blocks.1 head 1: standard deviation 2.8 bits.",
    )


def test_words_of_equal_heads_and_of_none() -> None:
    equal = summarise(np.full((1, 2, 2), 3.0), PLACES, CARD, ("a",), {}, 0.0)
    assert equal.words == ("All heads have the same entropy: 3.0 bits.",)
    with pytest.raises(DegenerateError, match="probe 'entropy' gave no number for any head"):
        summarise(np.full((1, 2, 2), np.nan), PLACES, CARD, ("a",), {}, 0.0)


def test_words_of_a_probe_that_nobody_described() -> None:
    from dataclasses import replace

    words = about(np.array([[0.5, 0.125]]), None, ("a.attn",), replace(CARD, name="surprise", unit=""), 1)
    assert words == ("a head 1 has the lowest surprise: 0.12.", "a head 0 has the highest surprise: 0.50.")


@pytest.mark.parametrize(
    ("value", "unit", "digits", "text"),
    [
        (3.14, "bits", 2, "3.1 bits"), (0.783, "bits", 2, "0.78 bits"), (7.6194, "bits", 4, "7.619 bits"),
        (0.34, "share of attention", 2, "34 % of attention"), (0.012, "share of attention", 2, "1.2 % of attention"),
        (0.0, "share of attention", 2, "0 % of attention"), (1.0, "share of attention", 2, "100 % of attention"),
        (12345.0, "", 2, "12345"), (1.5e-9, "", 2, "1.5e-09"), (0.00015, "bits", 2, "0.00015 bits"),
        (-2.5, "logit", 2, "-2.5 logit"),
    ],
)  # fmt: skip
def test_numbers_with_their_units(value: float, unit: str, digits: int, text: str) -> None:
    assert number(value, unit, digits) == text


def test_extremes_are_told_with_as_many_digits_as_tell_them_apart() -> None:
    assert [enough_digits(7.6, high, "bits") for high in (8.0, 7.64, 7.601, 7.6001)] == [2, 3, 4, 5]
    words = about(np.array([[7.601, 7.604]]), None, ("a.attn",), CARD, 1)
    assert words == ("a head 0 looks at the fewest keys: 7.601 bits.", "a head 1 looks at the most keys: 7.604 bits.")


def test_short_names_stay_apart() -> None:
    assert short(("blocks.0.attn", "blocks.1.attn")) == ("blocks.0", "blocks.1")
    assert short(("block.attn", "block.attn[1]")) == ("block", "block[1]")
    assert short(("layer.self", "layer.cross")) == ("layer.self", "layer.cross")
    assert short(("pool",)) == ("pool",)


def test_a_model_without_prefix_has_no_mass_on_it() -> None:
    assert not surveyed(without_prefix(), pictures(), "prefix_mass").values.any()
