"""The page of `regard heads`, and its folder: report.html, the results as .npz, pictures, summary.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regard import files
from regard.atlas import Atlas, HeadGroups
from regard.errors import DataError
from regard.looking.album import listed
from regard.looking.heads import short
from regard.looking.headview import HeadSettings, HeadView, seen_pixels
from regard.looking.look import environment, printable, seen_part
from regard.report import batch, pictures
from regard.report.html import environment_of_templates, palette, table_rows
from regard.report.payload import Payload, encode, encode_exact, encode_joints
from regard.results import _plain
from regard.viz.colour import overlay
from regard.viz.heads import colour_of

POOLED_LIMIT = 3_900_000  # characters: all heads at a glance; the exact ones come beside them
SMALL = 260


def render(view: HeadView) -> str:
    """The page, from the template beside this file."""
    seen = view.attention
    stage = pictures.data_address(_scaled(view, pictures.LARGE), quality=90) if seen else ""
    payload, exact, joint = payloads(view)
    levels = [line.level for line in view.trust]
    return (
        environment_of_templates()
        .get_template("heads.html")
        .render(
            view=view,
            name=printable(view.first.name),
            stage=stage,
            links=True,
            payload=payload,
            header=payload.header | {"palette": palette(), "start": start(view)} if payload else None,
            exact=exact,
            joint=joint,
            tables=[atlas_rows(view.atlas)] + ([spread_rows(view.atlas)] if view.atlas.std is not None else []),
            groups=group_cards(view),
            labels=group_rows(view.groups) if view.groups is not None else [],
            thumbs=[pictures.data_address(one) for one in view.thumbs],
            again=again(view),
            counts={level: levels.count(level) for level in ("good", "note", "warn")},
            environment=environment(),
            seconds=sum(view.seconds.values()),
        )
    )


def payloads(view: HeadView) -> tuple[Payload | None, Payload | None, Payload | None]:
    """All heads pooled; a few exactly; their planes. None of what the model does not have."""
    return (
        encode(view.attention, POOLED_LIMIT) if view.attention is not None else None,
        encode_exact(view.exacts) if view.exacts else None,
        encode_joints(view.joints, patch_colours(view)) if view.joints else None,
    )


def start(view: HeadView) -> dict[str, Any]:
    """The page opens on the chosen head, with the patch in the middle."""
    assert view.attention is not None
    assert view.chosen is not None
    grid = view.attention.grid
    layer, head = view.chosen
    return {"layer": layer, "head": head, "y": grid.h // 2, "x": grid.w // 2, "cls": False, "pinned": True}


def patch_colours(view: HeadView) -> NDArray[np.uint8]:
    """The mean colour of the patch behind each query of a plane `[P / 2, 3]`; grey for prefix tokens."""
    first = view.joints[0]
    half = len(first.points) // 2
    colours = np.full((half, 3), 128, np.uint8)
    for at, (thumb, grid) in enumerate(zip(view.thumbs, first.grids, strict=True)):
        small = np.asarray(Image.fromarray(thumb).resize((grid.w, grid.h), Image.Resampling.BOX)).reshape(-1, 3)
        patch = first.token[:half] - grid.prefix
        ours = (first.picture[:half] == at) & (patch >= 0)
        colours[ours] = small[patch[ours]]
    return colours


def atlas_rows(atlas: Atlas) -> dict[str, Any]:
    """The table of means: coloured, the two extremes outlined."""
    rows = table_rows(atlas.values, short(atlas.addresses), {atlas.lowest, atlas.highest})
    several = f", mean of {len(atlas.pictures)} photos" if len(atlas.pictures) > 1 else ""
    title = atlas.probe.replace("_", " ").capitalize()
    return {"title": title, "unit": f"{atlas.unit}{several}", "rows": rows, "heads": atlas.values.shape[1]}


def spread_rows(atlas: Atlas) -> dict[str, Any]:
    """The table of standard deviations between pictures."""
    assert atlas.std is not None
    rows = table_rows(atlas.std, short(atlas.addresses), ())
    return {"title": "Spread between photos", "unit": f"standard deviation, {atlas.unit}", "rows": rows,
            "heads": atlas.std.shape[1]}  # fmt: skip


def group_cards(view: HeadView) -> list[dict[str, Any]]:
    """One card a group: its name, colour, members, and how its most typical head looks."""
    if view.groups is None:
        return []
    base = _scaled(view, SMALL)
    cards = []
    for group, name in enumerate(view.groups.names):
        shown = view.patterns[group]
        layer, head = view.groups.medoids[group]
        cards.append(
            {
                "number": group,
                "name": name,
                "colour": colour_of(group),
                "members": [f"{a}.{b}" for a, b in view.groups.members(group)],
                "typical": f"{layer}.{head}",
                "offsets": pictures.data_address(pictures.plain(shown.offsets, (170, 170))),
                "received": pictures.data_address(overlay(base, shown.received)),
            }
        )
    return cards


def group_rows(groups: HeadGroups) -> list[list[dict[str, Any]]]:
    """Layers x heads: the number and colour of each head's group."""
    return [[{"number": int(g), "colour": colour_of(int(g))} for g in row] for row in groups.labels]


def again(view: HeadView) -> str:
    """Python that makes the numbers of this page again."""
    s, own = view.settings, view.facts.weights == "given by the caller"
    named = [n for n in view.sources if n]
    shown = ", ".join(json.dumps(n, ensure_ascii=False) for n in named[:3])
    more = ", ..." if len(named) > 3 else ""
    patches = f", patches={s.patches}" if view.facts.fit == "free" and s.patches != 576 else ""
    seed = f", seed={s.seed}" if s.model.startswith("random:") and s.seed else ""
    site = f", site={json.dumps(s.site)}" if s.site != "*" else ""
    lines = [
        "import regard as rg",
        f"# model: your own {s.model}" if own else f"model = rg.model({json.dumps(s.model, ensure_ascii=False)}{seed})",
        f"photos = [{shown}{more}]  # paths, a folder, sample:NAME" if named else "# photos: the ones you gave",
        f'atlas = rg.heads(model, photos, probe="{s.probe}"{site}{patches})',
        "print(atlas.table(), *atlas.words, sep='\\n')",
    ]
    if view.chosen is not None:
        layer, head = view.chosen
        lines += [
            f"rg.query_key(model, photos, layer={layer}, head={head}{patches}).plot()",
            f"rg.head_groups(model, photos, groups={s.groups}{patches}).plot()",
        ]
    return "\n".join(lines)


def fingerprint(sources: Sequence[str], settings: HeadSettings) -> str:
    """What decides a report: the bytes of all pictures, the settings, the version."""
    one_by_one = [batch.fingerprint(str(source), settings) for source in listed(list(sources))]
    return hashlib.sha256(" ".join(one_by_one).encode()).hexdigest()


def kept(folder: Path, wanted: str) -> dict[str, Any] | None:
    """The summary of a folder that was finished with the same pictures, all of them read, and settings.

    Raises DataError for the report of another run, which would be written over.
    """
    if found := batch.finished(folder, wanted, ("report.html", "atlas.npz")):
        return None if found["unread"] else found
    try:
        other = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if other.get("fingerprint") != wanted:
        raise DataError(
            f"'{folder}' holds a report of other photos or settings", hint="--fresh writes over it, or --out FOLDER"
        )
    return None


def write(view: HeadView, folder: Path, fingerprint: str = "") -> Path:
    """Write everything; summary.json comes last, so that its presence means the folder is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").unlink(missing_ok=True)
    for old in (*folder.glob("plane-*.npz"), folder / "groups.npz", folder / "groups.png"):  # of an earlier run
        old.unlink(missing_ok=True)
    view.atlas.save(folder / "atlas.npz")
    _figure(view.atlas.plot(), folder / "atlas.png")
    for joint in view.joints:
        assert view.attention is not None
        joint.save(folder / f"plane-{view.attention.sites.index(joint.address)}.{joint.head}.npz")
    if view.groups is not None:
        view.groups.save(folder / "groups.npz")
        _figure(view.groups.plot(), folder / "groups.png")
    report = files.write_text(folder / "report.html", render(view))
    files.write_text(folder / "summary.json", json.dumps(summary(view) | {"fingerprint": fingerprint}, indent=1))
    return report


def summary(view: HeadView) -> dict[str, Any]:
    """What was found, as JSON-safe data."""
    facts: dict[str, Any] = {
        "model": view.facts.name,
        "weights": view.facts.weights,
        "settings": view.settings.__dict__,
        "atlas": view.atlas.to_dict(),
        "words": [*view.atlas.words, *told(view)],
        "trust": [line.__dict__ for line in view.trust],
        "refused": dict(view.refusals),
        "unread": dict(view.unread),
        "seconds": {stage: round(s, 3) for stage, s in view.seconds.items()},
        "environment": environment(),
    }
    if view.chosen is not None:
        facts["chosen"] = list(view.chosen)
        facts["exact"] = [{"layer": e.layer, "head": e.head, "error": e.error, "bytes": e.bytes} for e in view.exacts]
    if view.groups is not None:
        facts["groups"] = [
            {"name": name, "typical": list(view.groups.medoids[g]), "heads": view.groups.members(g)}
            for g, name in enumerate(view.groups.names)
        ]
    facts["planes"] = [
        {"site": j.address, "head": j.head, "scale": j.scale, "explained": j.explained, "correlation": j.correlation}
        for j in view.joints
    ]
    plain: dict[str, Any] = _plain(facts)
    return plain


def told(view: HeadView) -> list[str]:
    """The sentences on single heads for the terminal."""
    lines = [
        f"Queries and keys of {short([j.address])[0]} head {j.head}: distance mirrors the dot product to "
        f"r = {j.correlation['scaled too']:.2f} ({j.correlation['as they are']:.2f} as they are)."
        for j in view.joints[:1]
    ]
    if view.groups is not None:
        counts = [f"{len(view.groups.members(g))} {name}" for g, name in enumerate(view.groups.names)]
        lines.append(f"Groups of heads: {'; '.join(counts)}.")
    return lines


def _scaled(view: HeadView, side: int) -> NDArray[np.uint8]:
    """The first picture as the model saw it (the photo's own pixels where there is one), at most so long."""
    if view.first.picture is not None and view.first.prepared is not None:
        return pictures.fitted(seen_part(view.first.picture, view.first.prepared).to_pil(), side)
    return pictures.fitted(Image.fromarray(seen_pixels(view.first)), side)


def _figure(ax: Any, path: Path) -> None:
    with files.whole(path) as draft:
        ax.figure.savefig(draft, format="png", dpi=130)
