"""Winner take all with inhibition of return: a map's peaks, one after the other, as a scanpath."""

from __future__ import annotations

import numpy as np

from regard.errors import DegenerateError, LayoutError
from regard.gaze.data import Scanpath


def winners(
    values: np.ndarray, size: tuple[int, int], *, fixations: int = 8, radius: float = 1 / 6, return_after: int = 0
) -> Scanpath:
    """The order in which a map `[h, w]` would be looked at: its highest place, then the highest that is not shut.

    A disc of `radius` (of the shorter side: 1/6 as the focus of attention of Itti, Koch and Niebur 1998) about each
    fixation is shut; return_after: after how many fixations it opens again, 0 for never. The path ends early where all
    is shut. Positions are pixels of a picture of `size` (height, width), at the middle of a cell; durations NaN.

    Raises DegenerateError for a map that is constant or not finite.

    >>> winners(np.eye(4), (40, 40), fixations=2, radius=0.3).xy.tolist()
    [[5.0, 5.0], [15.0, 15.0]]
    """
    if values.ndim != 2 or fixations < 1 or not 0 < radius < 1 or return_after < 0:
        raise LayoutError(
            f"a map {list(values.shape)}, {fixations} fixations, radius {radius}, return after {return_after}",
            hint="a map [h, w], 1 fixation or more, a radius in 0..1, return_after=0 or more",
        )
    if not np.isfinite(values).all() or values.max() == values.min():
        raise DegenerateError("a constant or broken map has no first place", hint="a map with something in it")
    h, w = values.shape
    y, x = (np.arange(h) + 0.5) * size[0] / h, (np.arange(w) + 0.5) * size[1] / w
    reach = radius * min(size)
    path: list[tuple[float, float]] = []
    for _ in range(fixations):
        shut = path[-return_after:] if return_after else path
        closed = np.zeros((h, w), dtype=bool)
        for px, py in shut:
            closed |= (y[:, None] - py) ** 2 + (x - px) ** 2 <= reach**2
        if closed.all():
            break
        row, column = divmod(int(np.where(closed, -np.inf, values).argmax()), w)
        path.append((float(x[column]), float(y[row])))
    return Scanpath(path, np.full(len(path), np.nan), observer="winner take all", size=size)
