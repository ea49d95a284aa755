from __future__ import annotations

import pytest

from regard.core.select import expand, matcher, no_match


@pytest.mark.parametrize(
    ("pattern", "spelled"),
    [
        ("blocks.7.attn", ["blocks.7.attn"]),
        ("blocks.{9..11}.attn", ["blocks.9.attn", "blocks.10.attn", "blocks.11.attn"]),
        ("{a,b}.{0..1}", ["a.0", "a.1", "b.0", "b.1"]),
        ("blocks.{3..1}.attn", []),
    ],
)
def test_expand(pattern: str, spelled: list[str]) -> None:
    assert sorted(expand(pattern)) == sorted(spelled)


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        ("*", {"blocks.1.attn", "blocks.10.attn", "pool"}),
        ("blocks.1.attn", {"blocks.1.attn"}),  # a dot is a dot, and 1 is not 10
        ("blocks.{1,10}.attn", {"blocks.1.attn", "blocks.10.attn"}),
        (["pool", "blocks.10.*"], {"pool", "blocks.10.attn"}),
        (lambda address: address.endswith("l"), {"pool"}),
        ("blocks?1?attn", {"blocks.1.attn"}),
    ],
)
def test_matcher(selection: object, chosen: set[str]) -> None:
    match = matcher(selection)  # type: ignore[arg-type]
    assert {a for a in ("blocks.1.attn", "blocks.10.attn", "pool") if match(a)} == chosen


def test_refusal_names_the_closest() -> None:
    error = no_match("block.7.attn", ["blocks.7.attn", "blocks.8.attn", "head"])
    assert "3" in error.message
    assert "'blocks.7.attn'" in error.hint
    assert "no attention call" in no_match("x", []).message
