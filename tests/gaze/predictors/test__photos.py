from regard.gaze.predictors._photos import photos


def test_photos_are_what_scikit_image_carries() -> None:
    assert [tuple(one.shape) for one in photos()] == [
        (1, 3, 512, 512), (1, 3, 300, 451), (1, 3, 400, 600), (1, 3, 427, 640)
    ]  # fmt: skip
    assert all(0 <= float(one.min()) < float(one.max()) <= 1 for one in photos())
