from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import CallError, SiteError
from regard.testing.planted import PlantedViT, planted_pictures

from .models import Linear, draw, explained, values
from .test__streams import Two, explicit, normalised


@pytest.mark.parametrize("query", [0, 3])
def test_is_the_row_of_the_rules_written_out(query: int) -> None:
    model, x = Two("together"), draw(2, 9, 6)
    wanted = [explicit(model, one[None]) for one in x]
    for own, pair in ((False, (0, 1)), (True, (0, 0))):
        got = explained(model, x, "bimodal_attribution", query=query, own=own)
        torch.testing.assert_close(values(got)[:, 0], torch.stack([one[pair][query] for one in wanted]))
    assert got.site == "turns.0.0 .. turns.1.2"  # what the second stream did last does not reach the score


def test_of_one_stream_it_is_transformer_attribution() -> None:
    model, x = PlantedViT(seed=2).double(), planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)
    both = [values(explained(model, x, name)) for name in ("bimodal_attribution", "transformer_attribution")]
    torch.testing.assert_close(*both)


class Seq2Seq(nn.Module):
    """torch's own Transformer between the columns of a picture and five learnt queries."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.queries = nn.Parameter(torch.randn(1, 5, 6))
            self.body = nn.Transformer(6, 2, 2, 2, 8, dropout=0.0, batch_first=True)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x, self.queries.expand(len(x), -1, -1))[:, 2]


def encoder_decoder(encoder: list[Tensor], decoder: list[Tensor], cross: list[Tensor]) -> tuple[Tensor, Tensor]:
    """R_qi and R_qq of one picture, from mean_h (A dy/dA)+ of each call."""
    ii, qq = (torch.eye(one[0].shape[-1]).double() for one in (encoder, decoder))
    for passed in encoder:
        ii = ii + passed @ ii
    qi = ii.new_zeros(len(qq), len(ii))
    for own, across in zip(decoder, cross, strict=True):
        qq, qi = qq + own @ qq, qi + own @ qi
        qi = qi + normalised(qq).T @ across @ normalised(ii)
    return qi, qq


KEEP = {"it": partial(rg.probes.gradient_row, queries=(0, 1, 2, 3, 4))}  # A dy/dA


def passed(record: rg.Record, site: str, row: int) -> Tensor:
    """mean_h (A dy/dA)+ of a call of five queries and keys; one that the score does not rest on passes nothing."""
    return record[site].values.get("it", torch.zeros(2, 1, 5, 5).double()).clamp_min(0).mean(1)[row].detach()


def test_torchs_transformer() -> None:
    model, x = Seq2Seq(), draw(2, 5, 6)
    got = explained(model, x, "bimodal_attribution", query=2)
    with rg.watch(model, keep=KEEP) as record:
        record.backward(model(x)[:, 1])
    for row in range(2):
        sides = [
            [passed(record, f"body.{part}.layers.{layer}.{name}", row) for layer in range(2)]
            for part, name in (("encoder", "self_attn"), ("decoder", "self_attn"), ("decoder", "multihead_attn"))
        ]
        torch.testing.assert_close(values(got)[row, 0], encoder_decoder(*sides)[0][2])


def detr(**more: Any) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", out_features=["stage2"]
    )
    config = transformers.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone, d_model=8,
        encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=8,
        decoder_ffn_dim=8, num_queries=6, num_labels=4, **more,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.DetrForObjectDetection(config).double().eval()


@pytest.mark.slow
def test_detr_of_transformers() -> None:
    """The matrices and their gradients are those that the model itself returns when it computes attention by hand."""
    model, x = detr(attn_implementation="eager"), draw(2, 3, 32, 40)
    out = model(x, output_attentions=True)
    sides = (out.encoder_attentions, out.decoder_attentions, out.cross_attentions)
    slopes = iter(torch.autograd.grad(out.logits[:, 3, 1].sum(), [a for side in sides for a in side]))
    explicit = [[(a * next(slopes)).clamp_min(0).mean(1).detach() for a in side] for side in sides]
    for one in (model, detr()):
        got = explained(one, x, "bimodal_attribution", target=lambda output: output.logits[:, 3, 1], query=3)
        assert got.grid == rg.Grid(4, 5)
        for row in range(2):
            wanted = encoder_decoder(*([a[row] for a in side] for side in explicit))[0][3]
            torch.testing.assert_close(values(got)[row].flatten(), wanted)


class Lxmert(nn.Module):
    """LXMERT of random weights, its words and boxes given; x are the features of 5 regions."""

    def __init__(self) -> None:
        super().__init__()
        transformers = pytest.importorskip("transformers")
        config = transformers.LxmertConfig(
            vocab_size=20, hidden_size=8, num_attention_heads=2, intermediate_size=8, l_layers=2, x_layers=2,
            r_layers=1, visual_feat_dim=6, max_position_embeddings=8,
        )  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body = transformers.LxmertModel(config)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        words, boxes = torch.tensor([[1, 7, 3, 9, 2]] * len(x)), draw(1, 5, 4, seed=4).sigmoid().expand(len(x), -1, -1)
        return self.body(words, x, boxes).pooled_output


@pytest.mark.slow
def test_lxmert_of_transformers() -> None:
    """As many words as regions, and one module for both directions of a cross layer."""
    model, x = Lxmert(), draw(2, 5, 6)
    got = explained(model, x, "bimodal_attribution")
    with rg.watch(model, keep=KEEP) as record:
        record.backward(model(x)[:, 1])
    calls = iter([(reading.site, passed(record, reading.address, 0)) for reading in record])
    tt, ii = torch.eye(5).double(), torch.eye(5).double()
    ti = it = torch.zeros(5, 5).double()
    for kind in ("layer.0", "layer.1"):
        site, a = next(calls)
        assert kind in site
        tt = tt + a @ tt
    ii = ii + next(calls)[1] @ ii
    for _ in range(2):
        (_, t_to_i), (_, i_to_t), (_, own_t), (_, own_i) = (next(calls) for _ in range(4))
        more = (
            normalised(tt).T @ t_to_i @ normalised(ii), t_to_i @ it, normalised(ii).T @ i_to_t @ normalised(tt),
            i_to_t @ ti,
        )  # fmt: skip
        ti, tt, it, ii = ti + more[0], tt + more[1], it + more[2], ii + more[3]
        tt, ti, ii, it = tt + own_t @ tt, ti + own_t @ ti, ii + own_i @ ii, it + own_i @ it
    torch.testing.assert_close(values(got)[0, 0], ti[0])


def test_refusals() -> None:
    with pytest.raises(CallError, match="no query 4: the answer has 4"):
        explained(Two("together"), draw(2, 9, 6), "bimodal_attribution", query=4)
    with pytest.raises(SiteError, match="no attention call"):
        explained(Linear((3, 2, 2)), draw(1, 3, 2, 2), "bimodal_attribution")
