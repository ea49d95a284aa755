from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import EditError
from regard.mechanisms.opaque import opaque


@torch.library.custom_op("flash_attn::regard_test_forward", mutates_args=())
def hidden(q: Tensor) -> Tensor:
    return q * 2


class Net(nn.Module):
    def forward(self, q: Tensor) -> Tensor:
        return hidden(q)


def test_a_kernel_of_another_package_is_told_of_and_not_edited() -> None:
    net, told = Net(), "(root): the fused kernel flash_attn::regard_test_forward"
    with rg.watch(net) as record:
        net(torch.ones(2))
    assert dict(record.not_covered) == {told: 1}
    with (
        pytest.raises(EditError, match="cannot be edited: the fused kernel flash_attn"),
        rg.edit(net, rg.edits.ablate()),
    ):
        net(torch.ones(2))


def test_other_functions_are_not() -> None:
    assert opaque(torch.softmax) is None
    assert opaque(torch.ops.aten.softmax.int) is None
    assert opaque(torch.ops.aten.softmax) is None
    assert opaque(torch.ops.flash_attn.regard_test_forward) == "flash_attn::regard_test_forward"
