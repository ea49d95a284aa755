from __future__ import annotations

from scipy import ndimage

from regard.gaze.stimuli import conjunction


def test_each_feature_is_shared_with_half_of_the_others() -> None:
    made = conjunction(size=25, cells=5, seed=2)
    labels, count = ndimage.label(made.distractors.numpy())
    assert count == 24
    red = upright = 0
    for rows, columns in ndimage.find_objects(labels):
        is_upright = rows.stop - rows.start > columns.stop - columns.start
        middle = made.picture[:, (rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2]
        is_red = bool(middle[0] > middle[1])
        assert is_red != is_upright
        red, upright = red + is_red, upright + is_upright
    assert red == upright == 12
    target = made.picture[:, made.target].mean(1)
    assert target[0] > target[1]
    assert made.target.any(1).sum() > made.target.any(0).sum()
