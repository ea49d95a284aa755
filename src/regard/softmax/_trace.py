"""`attend` inside torch.compile: dynamo takes it as one call and looks no further; what it does is traced as ops.

Patterns are constants of the graph (they say so where they are made): another pattern compiles again. Imported only
where something is compiled, for the import of torch's compiler takes longer than that of regard.
"""

from __future__ import annotations

import functools

import torch
import torch._dynamo
from torch.utils import _pytree as pytree

from regard.softmax._problem import LowRank, RelativeTable
from regard.softmax.attend import Attended, computed

pytree.register_pytree_node(Attended, lambda x: ([x.out, x._lse], (x.impl, x.why)), lambda x, c: Attended(*x, *c))
pytree.register_pytree_node(RelativeTable, lambda x: ([x.values], None), lambda x, _: RelativeTable(*x))
pytree.register_pytree_node(LowRank, lambda x: ([x.u, x.w], None), lambda x, _: LowRank(*x))

traced = torch._dynamo.nonstrict_trace(functools.partial(computed, as_op=True))
