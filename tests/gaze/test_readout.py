"""The readout gives densities; its blur is scipy's, with a gradient; sizes do not change what it says."""

import math

import torch
from scipy import ndimage

from regard.gaze.readout import FINE, REACH, Readout, blur, laid_out


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(channels: int = 12, slices: int = 2) -> Readout:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Readout(channels, slices, drawn(slices, 5, 7, seed=3)).double()


def test_blur_is_a_gaussian_of_each_channels_own_width() -> None:
    x, sigma = drawn(2, 2, 31, 40), torch.tensor([1.3, 3.0], dtype=torch.float64)
    got = blur(x, sigma)
    for channel, width in enumerate(sigma.tolist()):
        told = ndimage.gaussian_filter(x[0, channel].numpy(), width, mode="nearest", truncate=REACH * FINE / width)
        torch.testing.assert_close(got[0, channel], torch.from_numpy(told), rtol=1e-9, atol=1e-9)


def test_blur_has_a_gradient_for_its_width_and_fits_small_pictures() -> None:
    x, sigma = drawn(1, 1, 6, 5), torch.tensor([1.1], dtype=torch.float64)
    assert torch.autograd.gradcheck(blur, (x.requires_grad_(), sigma.requires_grad_()))


def test_densities_sum_to_one_whatever_the_size_and_the_prior_is_added() -> None:
    readout, features = made(), drawn(2, 4, 6, 12, seed=1)
    for size in ((16, 24), (37, 53)):
        log = readout(features, size)
        assert log.shape == (2, 2, *size)
        torch.testing.assert_close(log.flatten(2).exp().sum(-1), torch.ones(2, 2, dtype=torch.float64))
    flat = laid_out(torch.zeros(1, 2, 4, 4).double(), torch.tensor([1.0, 0.0]).double(), readout.log_centre, (5, 7))
    torch.testing.assert_close(flat[0, 0], readout.log_centre[0].flatten().log_softmax(0).view(5, 7))
    torch.testing.assert_close(flat[0, 1], torch.full((5, 7), -math.log(35)).double())


def test_a_readout_by_hand() -> None:
    """Linear layers with softplus on normalised features, patch by patch; no blur where sigma is next to nothing."""
    readout, features = made(slices=1), drawn(1, 3, 4, 12, seed=2)
    with torch.no_grad():
        readout.log_sigma.fill_(-9.0)
    told = torch.zeros(1, 1, 3, 4, dtype=torch.float64)
    for row in range(3):
        for column in range(4):
            f = features[0, row, column]
            f = (f - f.mean()) / (f.var(correction=0) + 1e-5).sqrt() * readout.norm.weight + readout.norm.bias
            for layer in (readout.first, readout.second):
                f = (1 + (layer.weight @ f + layer.bias).exp()).log()
            told[0, 0, row, column] = readout.third.weight[0] @ f
    fine = torch.nn.functional.interpolate(told, scale_factor=FINE, mode="bilinear", align_corners=False)
    torch.testing.assert_close(readout.logits(features), fine, rtol=1e-9, atol=1e-9)
