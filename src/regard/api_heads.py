"""The verbs about all heads of a model: resolve, run, wrap, as in `api`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from regard.atlas import Atlas, HeadGroups, Joint
    from regard.looking.album import Pictures


def heads(
    model: nn.Module,
    pictures: Pictures,
    *,
    probe: str | Callable[..., Any] = "entropy",
    site: str = "*",
    patches: int = 576,
) -> Atlas:
    """One number for every head of a model: the mean over pictures, with their spread and the extremes in words.

    pictures: paths, a folder, PIL images, arrays, or prepared tensors `[B, 3, H, W]`; one, or a list of them.
    probe: any probe that gives one number a head or a query (`regard list probes`)
    site: which attention calls to read: blocks.{6..11}.attn, say
    patches: about how many patches a model of free size gets

    Raises CallError where the model makes no such call or the probe needs a grid that there is not,
    MethodError for an unknown probe, DataError for an empty folder.

    >>> import regard as rg
    >>> rg.heads(rg.model("random:vit_tiny_patch16_224"), ["sample:coffee", "sample:rocket"]).values.shape
    (12, 3)
    """
    from regard.looking.heads import survey

    return survey(model, pictures, probe=probe, site=site, patches=patches)


def query_key(
    model: nn.Module,
    pictures: Pictures,
    *,
    layer: int = -1,
    head: int = 0,
    patches: int = 576,
    tokens: int = 1500,
    most: int = 12,
    seed: int = 0,
) -> Joint:
    """Queries and keys of one head, over pictures, as points of a plane where near means a large dot product.

    layer, head: counted from 0 among the calls on the grid of patches, or from the end; tokens: drawn by `seed`
    over all pictures; most: of so many pictures, evenly spaced. Raises CallError where there is no such head or
    its attention comes from no queries and keys, DegenerateError where all its dot products are the same.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> rg.query_key(m, "sample:coffee", layer=3, head=1).table().columns
    ('picture', 'kind', 'token', 'row', 'column', 'x', 'y')
    """
    from regard.looking.plane import query_key as run

    return run(model, pictures, layer=layer, head=head, patches=patches, tokens=tokens, most=most, seed=seed)


def head_groups(
    model: nn.Module, pictures: Pictures, *, groups: int = 6, patches: int = 576, most: int = 12
) -> HeadGroups:
    """Heads grouped by where they look: how far, which way, at the same patches or at others.

    most: of so many pictures, evenly spaced. Raises CallError where no attention lies on a grid of patches,
    LayoutError for more groups than heads.

    >>> import regard as rg
    >>> len(rg.head_groups(rg.model("random:vit_tiny_patch16_224"), "sample:coffee", groups=3).names)
    3
    """
    from regard.looking.gather import head_groups as run

    return run(model, pictures, groups=groups, patches=patches, most=most)
