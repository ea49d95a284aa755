from __future__ import annotations

import pytest

from regard.errors import MethodError
from regard.gaze.stimuli import singleton


@pytest.mark.parametrize("feature", ["colour", "orientation", "size", "luminance", "closure"])
def test_the_odd_one_differs_in_its_feature_only(feature: str) -> None:
    made = singleton(feature, seed=5)
    one, rest = (made.picture[:, mask].double() for mask in (made.target, made.distractors))
    area = made.distractors.sum() / 48
    tall, wide = (int(made.target.any(d).sum()) for d in (1, 0))
    assert ((one.mean(1) - rest.mean(1)).abs().max() > 0.15) == (feature in ("colour", "luminance"))
    assert ((one.shape[1] / area - 1).abs() > 0.1) == (feature in ("size", "closure"))
    assert (wide > tall) == (feature == "orientation")
    assert (one.mean(1).amax() - one.mean(1).amin() > 0.1) == (feature != "luminance")


def test_an_unknown_feature_is_told_the_nearest() -> None:
    with pytest.raises(MethodError, match=r"(?s)no singleton named 'color'.*'colour'"):
        singleton("color")
