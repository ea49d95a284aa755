"""The room's names are all there, and no other."""

from __future__ import annotations

import pytest

import regard as rg


def test_every_name_is_there_and_no_other() -> None:
    assert dir(rg.gaze) == sorted(rg.gaze.__all__)
    for name in rg.gaze.__all__:
        assert getattr(rg.gaze, name) is not None
    with pytest.raises(AttributeError, match=r"'regard\.gaze' has no attribute 'wink'"):
        _ = rg.gaze.wink
