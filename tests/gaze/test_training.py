"""Fixations become slices and counts by hand; a planted feature is learnt; what is saved is read again."""

from pathlib import Path

import numpy as np
import pytest
import torch

import regard as rg
from regard.errors import DataError, DegenerateError
from regard.gaze.training import (
    CELLS,
    Fitted,
    Schedule,
    centres,
    counts,
    fit,
    gain,
    likelihood,
    load,
    onsets,
    save,
    slices,
)


def eyes() -> rg.gaze.Fixations:
    return rg.gaze.Fixations(
        [[10, 10], [50, 30], [70, 10], [5, 5], [90, 70]], duration=[0.6, 0.5, 0.4, 2.5, 0.2],
        observer=["a", "a", "a", "b", "b"], image="one.jpg", size=(72, 96),
    )  # fmt: skip


def test_onsets_are_the_durations_before() -> None:
    np.testing.assert_allclose(onsets(eyes()), [0.0, 0.4, 1.1 / 1.5, 0.0, 2.5 / 2.7])
    assert [len(part) for part in slices(eyes())] == [5, 2, 1, 2]
    with pytest.raises(DataError, match="without durations"):
        onsets(rg.gaze.Fixations([[1, 1]], size=(4, 4)))


def test_counts_lie_where_people_looked() -> None:
    made = counts(slices(eyes()), ["one.jpg", "other.jpg"])
    assert made.shape == (2, 4, *CELLS)
    assert made[1].sum() == 0
    assert made[0].flatten(1).sum(1).tolist() == [5, 2, 1, 2]
    assert made[0, 0, 10, 10] == made[0, 0, 30, 50] == 1  # 96 x 72 cells on 96 x 72 pixels


def test_likelihood_by_hand() -> None:
    log = torch.log(torch.tensor([[[[0.5, 0.25], [0.125, 0.125]]]]))
    seen = torch.tensor([[[[1.0, 0.0], [3.0, 0.0]]]])
    assert likelihood(log, seen).item() == pytest.approx((np.log(0.5) + 3 * np.log(0.125)) / 4)
    assert likelihood(log, torch.zeros_like(seen)).item() == 0


def planted(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features whose channel 3 marks a patch of 6 x 8, and twenty fixations in that patch, in both slices."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, 6, 8, 16, generator=generator)
    seen = torch.zeros(n, 2, *CELLS)
    for at in range(n):
        y, x = (int(torch.randint(high, (), generator=generator)) for high in (6, 8))
        features[at, y, x, 3] = 8.0
        seen[at, :, 12 * y : 12 * y + 12, 12 * x : 12 * x + 12] = 20 / 144
    return features, seen


def test_a_planted_channel_is_learnt_and_nothing_global_moves() -> None:
    before = torch.get_rng_state()
    (features, seen), others = planted(40, 0), planted(12, 1)
    made = fit(features, seen, torch.zeros(2, 6, 8), schedule=Schedule(epochs=8, rate=3e-2), held=others)
    assert torch.equal(before, torch.get_rng_state())
    assert len(made.bits) == 8
    assert made.bits[-1] > 3  # a patch of 48 knows at most log2 48 = 5.6 bits, less the blur
    shuffled = fit(features, seen.roll(1, 0), torch.zeros(2, 6, 8), schedule=Schedule(epochs=4, rate=3e-2))
    assert gain(shuffled.readout, *others) < 0.5


def test_the_same_seed_gives_the_same_weights() -> None:
    features, seen = planted(6, 0)
    one, other = (fit(features, seen, torch.zeros(2, 6, 8), schedule=Schedule(epochs=1, seed=3)) for _ in range(2))
    assert torch.equal(one.readout.first.weight, other.readout.first.weight)


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    features, seen = planted(6, 0)
    made = fit(features, seen, seen[0, :, ::12, ::12], schedule=Schedule(epochs=1))
    assert isinstance(made, Fitted)
    save(made.readout, tmp_path / "w.safetensors", {"epochs": "1"})
    again = load(tmp_path / "w.safetensors")
    assert torch.equal(again(features, (9, 9)), made.readout(features, (9, 9)))
    (tmp_path / "other.safetensors").write_bytes(b"no")
    with pytest.raises(DataError, match="no readout"):
        load(tmp_path / "other.safetensors")


def test_pictures_that_nobody_saw_and_priors() -> None:
    features, seen = planted(2, 0)
    with pytest.raises(DegenerateError, match="without any fixation"):
        fit(features, seen * 0, torch.zeros(2, 6, 8))
    two = rg.gaze.Fixations(
        np.random.default_rng(0).normal([40, 30], 5, (80, 2)),
        duration=np.full(80, 0.1),
        image=["a", "b"] * 40,
        size=(72, 96),
    )
    log = centres([two], ["a", "b"])
    assert log.exp().sum().item() == pytest.approx(1, abs=1e-4)
    assert divmod(int(log[0].argmax()), 48) == (14, 19) or abs(divmod(int(log[0].argmax()), 48)[1] - 20) <= 2
