"""Sites without computing: the same facts as a real forward, and the model as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.core.watch import Watch
from regard.mechanisms import ALL
from regard.mechanisms.survey import audit, forward, survey

NAMES = (
    "vit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "xcit_nano_12_p16_224",
    "pvt_v2_b0",
    "beit_base_patch16_224",
    "coat_tiny",
)


@pytest.mark.parametrize("name", NAMES)
def test_fake_tensors_tell_what_a_real_forward_tells(name: str) -> None:
    model = rg.model(f"random:{name}")
    x = rg.image("sample:coffee", like=model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found, real = survey(model, x, ALL)
    assert not real
    with torch.no_grad(), Watch(model, ALL, "*", ()) as record:
        model(x)
    covered = [site for site in found if site.path != "not covered"]
    assert [s.address for s in covered] == list(dict.fromkeys(r.site for r in record))
    assert sum(s.calls for s in covered) == len(record)
    for site, reading in zip(covered, record, strict=True):
        assert (site.heads, site.queries, site.keys) == (reading.heads, reading.queries, reading.keys)
        assert site.bytes == 4 * reading.batch * reading.heads * reading.queries * reading.keys
    assert {s.address for s in found if s.path == "not covered"} == set(record.not_covered)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_model_that_looks_at_numbers_is_run_once_and_that_is_told() -> None:
    class Looks(nn.Module):
        runs = 0

        def forward(self, x: Tensor) -> Tensor:
            if float(x.sum()) > 0:
                type(self).runs += 1
            return F.scaled_dot_product_attention(x, x, x)

    found, real = survey(Looks(), torch.ones(1, 2, 3, 4), ALL)
    assert (real, Looks.runs, len(found)) == (True, 1, 1)


def test_the_models_own_error_comes_through() -> None:
    class Breaks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ZeroDivisionError("the model's own")

    with pytest.raises(ZeroDivisionError, match="the model's own"):
        survey(Breaks(), torch.ones(1), ALL)


def test_calls_of_one_site_are_counted_and_their_maps_summed() -> None:
    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            for _ in range(2):
                x = F.scaled_dot_product_attention(x, x, x)
            return x

    ((site,), _) = survey(Twice(), torch.ones(2, 3, 5, 4), ALL)
    assert (site.calls, site.bytes) == (2, 2 * 4 * 2 * 3 * 25)
    assert audit(Twice(), torch.ones(2, 3, 5, 4), ALL).gap == 0


def test_forward_takes_what_models_take() -> None:
    def add(a: Tensor, b: Tensor) -> Tensor:
        return a + b

    class Add(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return add(a, b)

    one = torch.ones(1)
    for given in ([one, one], (one, one), {"a": one, "b": one}, lambda: add(one, one)):
        assert float(forward(Add(), given)) == 2.0
