from __future__ import annotations

import numpy as np
import pytest

from regard.errors import LayoutError
from regard.gaze.object_correlation import object_correlation


def test_is_numpys_correlation_averaged_by_class() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.random((6, 8)) for _ in range(3)]
    masks = [{"a": rng.random((6, 8)) > 0.5} for _ in range(3)]
    masks[1]["b"] = rng.random((6, 8)) > 0.7
    table = object_correlation(maps, masks)
    each = [np.corrcoef(m.ravel(), s["a"].ravel())[0, 1] for m, s in zip(maps, masks, strict=True)]
    b = np.corrcoef(maps[1].ravel(), masks[1]["b"].ravel())[0, 1]
    assert table.column("class") == ["a", "b", "mean"]
    assert table.column("pictures") == [3, 1, 3]
    assert table.column("correlation") == pytest.approx([np.mean(each), b, (np.mean(each) + b) / 2])
    with pytest.raises(LayoutError, match="2 maps and masks of 3 pictures"):
        object_correlation(maps[:2], masks)
