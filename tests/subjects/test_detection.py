from __future__ import annotations

import pytest
import torch
from torchvision.ops import box_iou

from regard.errors import LayoutError
from regard.subjects.detection import Detection, overlap, vectors


def boxes(n: int, seed: int = 0) -> torch.Tensor:
    corner = 20 * torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    size = 1 + 20 * torch.rand(n, 2, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    return torch.cat([corner, corner + size], 1)


def test_overlap_equals_torchvision() -> None:
    some = boxes(30)
    for one in boxes(5, seed=3):
        torch.testing.assert_close(overlap(one, some), box_iou(one[None], some)[0])
    assert float(overlap(some[0], some[0][None] + 100)) == 0


def test_the_best_of_iou_times_cosine_times_objectness() -> None:
    some, draws = boxes(9), torch.Generator().manual_seed(5)
    p = torch.rand(9, 4, generator=draws, dtype=torch.float64)
    sure = torch.rand(9, generator=draws, dtype=torch.float64)
    found = [{"boxes": some, "probabilities": p, "objectness": sure}]
    one = Detection.of(found, 2)
    wanted = max(
        float(box_iou(some[2:3], some[i : i + 1])) * float(p[2] @ p[i] / p[2].norm() / p[i].norm()) * float(sure[i])
        for i in range(9)
    )
    assert float(one(found)) == pytest.approx(wanted)
    alone = [{key: value[2:3] for key, value in found[0].items()}]
    assert float(one(alone)) == pytest.approx(float(sure[2]))  # with itself: its objectness


def test_labels_alone_agree_or_do_not_and_nothing_found_is_zero() -> None:
    some = boxes(3)
    found = [{"boxes": some, "labels": torch.tensor([2, 1, 7]), "scores": torch.tensor([0.9, 0.8, 0.7])}]
    one = Detection.of(found, 1, classes=5)
    assert vectors(found[0], 5).count_nonzero() == 2  # class 7 is none of five
    assert float(one(found)) == pytest.approx(1.0)
    other = [{**found[0], "labels": torch.tensor([2, 3, 7])}]
    assert float(one(other)) == 0
    none = {"boxes": some[:0], "labels": torch.zeros(0, dtype=torch.long), "scores": torch.zeros(0)}
    assert one([none, found[0]]).tolist() == pytest.approx([0.0, 1.0])
    assert one.__name__.startswith("class 1 in ")


def test_what_is_no_detection_is_refused() -> None:
    with pytest.raises(LayoutError, match=r"(?s)a detector that gives list.*labels and scores"):
        Detection(torch.tensor([0.0, 0, 1, 1]), torch.ones(2))([{"boxes": torch.zeros(1, 4)}])
    with pytest.raises(LayoutError, match="pixels of some area"):
        Detection(torch.tensor([3.0, 0, 1, 1]), torch.ones(2))
    with pytest.raises(LayoutError, match="detection 4 of 3"):
        Detection.of([{"boxes": boxes(3), "probabilities": torch.ones(3, 2)}], 4)
