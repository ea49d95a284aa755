from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from scipy.linalg import eig, eigh
from scipy.sparse.linalg import ArpackNoConvergence

import regard as rg
from regard.errors import DegenerateError
from regard.objects.tokencut import SMALL, WEAK, second_eigenvector

module = sys.modules["regard.objects.tokencut"]  # the attribute of that name is the function
GRID = rg.Grid(6, 7)


def two_blocks(seed: int = 0, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """An object of 3 x 3 patches inside a 6 x 7 picture, each side with its own feature."""
    g = torch.Generator().manual_seed(seed)
    mask = torch.zeros(6, 7, dtype=torch.bool)
    mask[2:5, 2:5] = True
    sides = torch.nn.functional.one_hot(mask.flatten().long(), 8).double()
    return (sides + noise * torch.randn(42, 8, generator=g, dtype=torch.float64))[None], mask


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rule", ["border", "largest"])
def test_two_planted_blocks_are_recovered_exactly(seed: int, rule: str) -> None:
    features, mask = two_blocks(seed)
    got = rg.objects.tokencut(features, GRID, rule=rule)
    assert got.mask is not None
    assert torch.equal(got.mask[0], mask)
    assert got.values[0, 0][mask].min() > got.values[0, 0][~mask].max()


def test_the_eigenvector_solves_the_generalised_problem() -> None:
    w = np.where(np.random.default_rng(0).random((15, 15)) > 0.5, 1.0, WEAK)
    w = np.maximum(w, w.T)
    y, facts = second_eigenvector(w)
    d = np.diag(w.sum(1))
    values, vectors = eig(d - w, d)
    at = np.argsort(values.real)[1]
    assert facts["eigenvalue"] == pytest.approx(values[at].real, abs=1e-9)
    assert facts["residual"] < 1e-9
    slow = vectors[:, at].real
    assert abs(np.corrcoef(y, slow)[0, 1]) == pytest.approx(1.0)


def graph(kind: str, n: int) -> np.ndarray:
    """Random edges; six blocks that hardly hang together, so that six eigenvalues lie near 0; two with a bridge."""
    rng = np.random.default_rng(n)
    block = np.arange(n) * (6 if kind == "six" else 2) // n
    share = {"random": 0.5, "six": np.where(block[:, None] == block, 0.7, 0.0), "two": 0.0}[kind]
    w = np.where(rng.random((n, n)) < share, 1.0, WEAK)
    if kind == "two":
        w = np.where(np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 3, 1.0, WEAK)  # a chain: small gaps
    return np.maximum(w, w.T)


@pytest.mark.parametrize("kind", ["random", "six", "two"])
def test_large_graphs_give_what_the_whole_spectrum_gives(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    w = graph(kind, SMALL + 45)
    monkeypatch.setattr(module, "eigh", None)
    y, facts = second_eigenvector(w)
    root = np.sqrt(w.sum(1))
    values, vectors = eigh(np.eye(len(w)) - w / np.outer(root, root))
    assert facts["eigenvalue"] == pytest.approx(values[1], rel=1e-9, abs=1e-12)
    assert facts["residual"] < 1e-9
    cosine = abs(y * root @ vectors[:, 1]) / np.linalg.norm(y * root)
    assert cosine == pytest.approx(1.0, abs=1e-9)


def test_where_lanczos_finds_no_end_the_whole_spectrum_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise ArpackNoConvergence("no", np.empty(0), np.empty((0, 0)))

    w = graph("two", SMALL + 1)
    wanted = second_eigenvector(w)
    monkeypatch.setattr(module, "eigsh", lost)
    y, facts = second_eigenvector(w)
    assert facts["eigenvalue"] == pytest.approx(wanted[1]["eigenvalue"], rel=1e-9)
    assert abs(np.corrcoef(y, wanted[0])[0, 1]) == pytest.approx(1.0)


def test_a_shared_bias_hides_the_object_and_centring_brings_it_back() -> None:
    """What raw DINOv2 keys do: one vector that all patches share makes every pair alike."""
    features, mask = two_blocks()
    biased = features + 20 * torch.ones(8, dtype=torch.float64)
    with pytest.raises(DegenerateError, match=r"100\.0 % of the patch pairs") as caught:
        rg.objects.tokencut(biased, GRID, centre=False)
    assert "centre=True" in caught.value.hint
    got = rg.objects.tokencut(biased, GRID)
    assert torch.equal(got.mask[0], mask)


def test_the_component_of_the_peak_is_kept() -> None:
    features, mask = two_blocks(noise=0.02)
    features[0, 40] = features[0, 16]  # an island at the lower border, alike to the object
    whole = rg.objects.tokencut(features, GRID, component=False).mask[0]
    island = mask.clone()
    island.view(-1)[40] = True
    assert torch.equal(whole, island)
    kept = rg.objects.tokencut(features, GRID).mask[0]
    assert int(kept.sum()) in (1, 9)  # one of the two, never both


def test_facts_and_batches() -> None:
    a, b = two_blocks(1)[0], two_blocks(2)[0]
    both = rg.objects.tokencut(torch.cat([a, b]), GRID)
    one = rg.objects.tokencut(b, GRID)
    assert torch.equal(both.values[1], one.values[0])
    assert both.facts["edges"][1] == one.facts["edges"][0]
    assert 0 < both.facts["edges"][0] < 1


def test_nothing_in_the_picture_is_refused() -> None:
    with pytest.raises(DegenerateError, match="constant or broken"):
        rg.objects.tokencut(torch.ones(1, 42, 3), GRID)
    with pytest.raises(DegenerateError, match=r"0\.0 % of the patch pairs"):
        rg.objects.tokencut(torch.eye(42)[None], GRID, tau=0.9)
