"""`view_heads`: everything that `regard heads` shows - atlas, exact heads, planes of queries and keys, groups."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from regard.atlas import Atlas, HeadGroups, Joint
from regard.core.record import Reading
from regard.core.watch import Watch
from regard.errors import CallError, DegenerateError, LayoutError
from regard.looking.album import Shot, listed, opened, sample
from regard.looking.attention import Attention, see
from regard.looking.exact import Exact, exact
from regard.looking.gather import Frame, Head, gather, group_frames
from regard.looking.groups import offset_map
from regard.looking.heads import survey
from regard.looking.look import Clock, printable
from regard.looking.plane import plane
from regard.looking.words import Line, extremes
from regard.mechanisms import ALL
from regard.models.facts import Facts, facts_of
from regard.models.resolve import resolve
from regard.subjects.forward import untouched

MOST_EXACT = 6  # heads in full precision
MOST_BYTES = 2_600_000  # of them together, the chosen one apart
MOST_CHOSEN = 24_000_000
MOST_PHOTOS = 12  # in the plane of queries and keys, and for the groups
TOKENS = 1500  # drawn for a plane
ALIKE = 0.03  # of every trait, the standard deviation between heads under which all of them look alike


@dataclass(frozen=True)
class HeadSettings:
    """Everything that decides the numbers of `regard heads`, besides the pictures."""

    model: str = "dinov2-small"
    probe: str = "entropy"
    site: str = "*"
    patches: int = 576
    head: str | None = None
    groups: int = 6
    seed: int = 0


@dataclass(frozen=True)
class Pattern:
    """How a head looks at one picture: by offset from the query `[2r + 1, 2r + 1]`, and what each patch receives."""

    offsets: NDArray[np.float64]
    received: NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class HeadView:
    """One model over pictures; attention, exact heads, planes and groups only of models with a grid.

    sources: what was read, where it has a name; unread: what could not be, and why;
    first: the picture that the interactive views show; patterns: of each group's most typical head in it;
    thumbs: the pictures of the planes, as the model saw them.
    """

    settings: HeadSettings
    facts: Facts
    atlas: Atlas
    first: Shot
    sources: tuple[str, ...]
    unread: Mapping[str, str]
    trust: tuple[Line, ...]
    refusals: Mapping[str, str]
    seconds: Mapping[str, float]
    attention: Attention | None = None
    chosen: Head | None = None
    exacts: tuple[Exact, ...] = ()
    joints: tuple[Joint, ...] = ()
    groups: HeadGroups | None = None
    patterns: tuple[Pattern, ...] = ()
    thumbs: tuple[NDArray[np.uint8], ...] = ()

    def __repr__(self) -> str:
        return f"HeadView({self.facts.name}: {self.atlas!r}, {len(self.exacts)} exact heads)"


def view_heads(sources: Sequence[Any], settings: HeadSettings, *, given: nn.Module | None = None) -> HeadView:
    """The atlas over all pictures; all else of the first ones."""
    wanted = parse_head(settings.head)
    pictures = listed(list(sources))
    clock, refusals = Clock(), dict[str, str]()
    with clock("model"):
        model = given if given is not None else resolve(settings.model, seed=settings.seed)
    skipped: dict[int, str] = {}
    with clock("atlas"):
        atlas = survey(
            model, pictures, probe=settings.probe, site=settings.site, patches=settings.patches, skipped=skipped
        )
    unread = {printable(str(pictures[at])): why for at, why in skipped.items()}
    pictures = [one for at, one in enumerate(pictures) if at not in skipped]
    names = tuple(printable(str(p)) if isinstance(p, (str, os.PathLike)) else "" for p in pictures)
    first = next(opened(model, pictures[:1], settings.patches))
    with clock("attention"), untouched(model):
        seen, _ = see(model, first.x)
    facts = facts_of(model)
    if seen is None:
        _refuse(wanted, refusals)
        lines = _trust(atlas, None, (), None, refusals, unread)
        return HeadView(settings, facts, atlas, first, names, unread, lines, refusals, clock.seconds)
    at = choose(seen, wanted)
    with clock("groups"):
        chosen = sample(pictures, MOST_PHOTOS)
        pooled = [_frame(seen, first), *gather(model, chosen[1:], patches=settings.patches, pooled=True)]
        groups = group_frames(pooled, min(settings.groups, len(seen.sites) * seen.heads))
    with clock("exact heads"):
        exacts = exact_heads(model, first, seen, order(at, seen, atlas, groups), refusals)
    with clock("planes"):
        joints = planes(model, chosen[1:], _frame(seen, first, exacts), settings, refusals)
    return HeadView(
        settings, facts, atlas, first, names, unread, _trust(atlas, seen, exacts, groups, refusals, unread), refusals,
        clock.seconds, attention=seen, chosen=at, exacts=exacts, joints=joints, groups=groups,
        patterns=tuple(pattern(seen, medoid) for medoid in groups.medoids),
        thumbs=thumbnails(model, chosen, settings.patches) if joints else (),
    )  # fmt: skip


def parse_head(text: str | None) -> Head | None:
    """`11.3` is layer 11 head 3, counted from 0; negative numbers count from the end."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(-?\d+)\s*[.,:/]\s*(-?\d+)\s*", text)
    if not found:
        raise LayoutError(f"no head is called '{text}'", hint="LAYER.HEAD, counted from 0: 11.3, or -1.3")
    return int(found[1]), int(found[2])


def choose(seen: Attention, wanted: Head | None) -> Head:
    """The head asked for, else the sharpest one in the last third of the layers."""
    layers, heads = len(seen.sites), seen.heads
    if wanted is None:
        late = layers - max(1, layers // 3)
        flat = int(np.nanargmin(seen.tables["entropy"].numbers()[late:]))
        return late + flat // heads, flat % heads
    if not (-layers <= wanted[0] < layers and -heads <= wanted[1] < heads):
        raise CallError(
            f"no layer {wanted[0]} head {wanted[1]}: {layers} layers of {heads} heads lie on a grid",
            hint=f"--head LAYER.HEAD with layer 0 .. {layers - 1}, head 0 .. {heads - 1}",
        )
    return wanted[0] % layers, wanted[1] % heads


def order(at: Head, seen: Attention, atlas: Atlas, groups: HeadGroups) -> list[Head]:
    """Which heads are worth full precision: the chosen one, the atlas's extremes, the look's, the typical ones."""
    row = {address: i for i, address in enumerate(seen.sites)}
    told = [(row.get(atlas.addresses[layer], -1), head) for layer, head in (atlas.lowest, atlas.highest)]
    named = extremes(seen)
    found = [at, *told, *(named[k] for k in ("local", "global", "sharp", "sink")), *groups.medoids]
    return [h for h in dict.fromkeys(found) if h[0] >= 0 and h[1] < seen.heads]


def pattern(seen: Attention, at: Head) -> Pattern:
    """What a group's most typical head does on the picture that was looked at."""
    pooled = seen.pooled[at]
    return Pattern(offset_map(pooled, seen.grid, seen.cell), pooled.mean(0).reshape(seen.grid.h, seen.grid.w))


def exact_heads(
    model: nn.Module, first: Shot, seen: Attention, wanted: Sequence[Head], refusals: dict[str, str]
) -> tuple[Exact, ...]:
    """In order of worth, until there are enough; the chosen one also if it is large."""
    found: list[Exact] = []
    for layer, head in wanted:
        one = exact(_with_operands(model, first, seen.record[seen.sites[layer]]), layer, head)
        limit = MOST_BYTES - sum(e.bytes for e in found) if found else MOST_CHOSEN
        if one.bytes <= limit:
            found.append(one)
        elif not found:
            refusals["exact head"] = f"{one.bytes / 1e6:.0f} MB for one head are too many for a page: fewer patches"
            break
        if len(found) == MOST_EXACT:
            break
    return tuple(found)


def _with_operands(model: nn.Module, first: Shot, reading: Reading) -> Reading:
    """The look kept q and k, or of attention made by hand the weights: then q and k are fetched, if it has them."""
    if "q" not in reading.gives or {"q", "k"} <= set(reading.values):
        return reading
    keep = ["attention", "q", "k"]
    with untouched(model), torch.inference_mode(), Watch(model, ALL, reading.site, keep) as record:
        model(first.x)
    return record[reading.address]


def _frame(seen: Attention, first: Shot, exacts: Sequence[Exact] = ()) -> Frame:
    """The first picture, as it was looked at already."""
    held = {
        (e.layer, e.head): (torch.from_numpy(e.q).double(), torch.from_numpy(e.k).double())
        for e in exacts
        if e.q is not None and e.k is not None
    }
    return Frame(first.name, seen.grid, seen.cell, seen.sites, seen.heads, seen.pooled, held)


def planes(
    model: nn.Module, others: Sequence[Any], first: Frame, settings: HeadSettings, refusals: dict[str, str]
) -> tuple[Joint, ...]:
    """A plane for each exact head over all chosen pictures, each watched once."""
    heads = list(first.operands)
    if not heads:
        refusals["queries and keys"] = "this model makes its attention by hand, and not from queries and keys alone"
        return ()
    frames = [first, *gather(model, others, patches=settings.patches, wanted=heads)]
    found = []
    for at in heads:
        try:
            found.append(plane(frames, at, tokens=TOKENS, seed=settings.seed))
        except DegenerateError as error:
            refusals[f"plane of layer {at[0]} head {at[1]}"] = error.message
    return tuple(found)


def thumbnails(model: nn.Module, chosen: Sequence[Any], patches: int) -> tuple[NDArray[np.uint8], ...]:
    """Each picture as the model saw it, small."""
    found = []
    for shot in opened(model, chosen, patches):
        image = Image.fromarray(seen_pixels(shot))
        image.thumbnail((320, 320))
        found.append(np.asarray(image))
    return tuple(found)


def seen_pixels(shot: Shot) -> NDArray[np.uint8]:
    """What the model saw `[H, W, 3]`; of a tensor that came prepared, its values stretched to 0..255."""
    if shot.prepared is not None:
        return shot.prepared.seen
    x = shot.x[0, :3].float().cpu().permute(1, 2, 0).numpy()
    low, high = float(x.min()), float(x.max())
    pixels = ((x - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _refuse(wanted: Head | None, refusals: dict[str, str]) -> None:
    if wanted is not None:
        raise CallError(
            "no head can be shown: no attention of this model lies on a grid of patches", hint="leave --head out"
        )
    refusals["views of single heads"] = "no attention of this model lies on a grid of patches"


def _trust(
    atlas: Atlas,
    seen: Attention | None,
    exacts: Sequence[Exact],
    groups: HeadGroups | None,
    refusals: Mapping[str, str],
    unread: Mapping[str, str],
) -> tuple[Line, ...]:
    lines = [
        Line(
            "good" if not atlas.left_out else "note", "read",
            f"{len(atlas.addresses)} attention calls of {len(atlas.pictures)} picture"
            f"{'' if len(atlas.pictures) == 1 else 's'}.",
        )
    ]  # fmt: skip
    if atlas.left_out:
        some = "; ".join(atlas.left_out[:3]) + ("; ..." if len(atlas.left_out) > 3 else "")
        lines.append(Line("warn", "left out", f"{len(atlas.left_out)}: {some}."))
    lines += [Line("warn", "unread", f"{name}: {printable(why)}.") for name, why in unread.items()]
    if seen is not None:
        level = "good" if seen.record.error < 1e-4 else "warn"
        text = f"Attention times v gives the model's own output to within {seen.record.error:.0e} of its size."
        lines.append(Line(level, "exactness", text))  # type: ignore[arg-type]
    if groups is not None and float(groups.features.std((0, 1)).max()) < ALIKE:
        lines.append(Line("note", "groups", "The heads of this model hardly differ, and so their groups mean little."))
    if exacts:
        worst = max(e.error for e in exacts)
        lines.append(
            Line(
                "good" if worst <= 1e-6 else "warn", "exact heads",
                f"{len(exacts)} heads are in this page in float32 ({sum(e.bytes for e in exacts) / 1e6:.1f} MB); their "
                f"attention computed here differs from the watched one by at most {worst:.0e}.",
            )
        )  # fmt: skip
    lines += [Line("note", "refused", f"{name}: {reason}.") for name, reason in refusals.items()]
    return tuple(lines)
