"""Criss-cross: tokens see their row and their column."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import or_

from regard.patterns._pattern import Pattern
from regard.patterns._space import Place, as_space
from regard.patterns.axial import axial
from regard.registry import method


@method(
    "patterns",
    paper="ccnet",
    claim="equals the merge of rows and columns with the token itself counted once; twice reaches every token",
    source="section 3.2",
    needs=(),
    differs="none",
    unit="pairs",
)
def criss_cross(queries: Place) -> Pattern:
    """A token sees the tokens that differ from it on at most one axis, itself once: h + w - 1 keys on a picture.

    It is `axial(0) | axial(1) | ...`. Source: Huang et al. 2019, "CCNet".

    >>> import regard as rg
    >>> rg.patterns.criss_cross((4, 6)).count() // 24
    9
    """
    space = as_space(queries)
    crossed = reduce(or_, (axial(space, at) for at in range(len(space.axes))))
    return replace(crossed, name=f"criss_cross({space})")
