"""`write`: a look to a folder - report.html, arrays.npz, pictures, summary.json - each whole or absent."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from regard import files
from regard.looking.look import Look, environment
from regard.report import pictures
from regard.report.html import render
from regard.results import _plain
from regard.viz import figures as viz


def write(look: Look, folder: Path, fingerprint: str = "") -> Path:
    """Write everything; summary.json comes last, so that its presence means the folder is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").unlink(missing_ok=True)
    drawn = pictures.Drawn(look)
    figures = sheets(drawn)
    for name in {"overview", "heads", "atlas", "curves"} - set(figures):  # of another model, looked at before
        (folder / f"{name}.png").unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # a name in a script without a font
        for name, figure in figures.items():
            with files.whole(folder / f"{name}.png") as draft:
                figure.savefig(draft, format="png", dpi=110)
    with files.whole(folder / "photo.png") as draft:
        Image.fromarray(look.seen).save(draft, format="PNG")
    with files.whole(folder / "arrays.npz") as draft, draft.open("wb") as out:
        np.savez(out, **arrays(look))
    with files.whole(folder / "thumb.jpg") as draft:
        Image.fromarray(drawn.thumbnail).save(draft, format="JPEG", quality=84)
    report = files.write_text(folder / "report.html", render(drawn))
    files.write_text(folder / "summary.json", json.dumps(summary(look) | {"fingerprint": fingerprint}, indent=1))
    return report


def sheets(drawn: pictures.Drawn) -> dict[str, Any]:
    """Figures by file name."""
    look = drawn.look
    found = {"overview": viz.sheet(list(drawn.panels.values()), columns=4, title=look.name)}
    if drawn.heads and look.attention is not None:
        found["heads"] = viz.sheet(drawn.heads, columns=min(6, look.attention.heads))
        found["atlas"] = viz.atlas(list(look.attention.tables.values()))
    if look.verdict is not None and look.verdict.scores:
        found["curves"] = viz.scores(list(look.verdict.scores.values()))
    return found


def arrays(look: Look) -> dict[str, Any]:
    """Raw arrays by name; the pooled matrix is halved to float16, all else is as computed."""
    found: dict[str, Any] = {"photo": look.seen, "box": np.array(look.prepared.box)}
    seen = look.attention
    if seen is not None:
        found |= {"rows": seen.rows, "pooled": seen.pooled.astype(np.float16)}
        found |= {name: table.numbers() for name, table in seen.tables.items()}
    found |= {name: one.values[0] for name, one in look.maps.items()}
    for name, part in look.parts.items():
        found[name] = part.values[0]
        if part.mask is not None:
            found[f"{name}_mask"] = part.mask[0]
    if look.verdict is not None:
        for name, score in look.verdict.scores.items():
            found |= {f"{name}_curve": score.curve, f"{name}_null_curves": score.null_curves}
    return found


def summary(look: Look) -> dict[str, Any]:
    """What was found, as JSON-safe data."""
    facts: dict[str, Any] = {
        "name": look.name,
        "model": look.facts.name,
        "weights": look.facts.weights,
        "settings": look.settings.__dict__,
        "picture": [look.picture.width, look.picture.height],
        "seen": [look.seen.shape[1], look.seen.shape[0]],
        "lead": look.lead,
        "words": list(look.words),
        "trust": [line.__dict__ for line in look.trust],
        "refused": dict(look.refusals),
        "seconds": {stage: round(s, 3) for stage, s in look.seconds.items()},
        "environment": environment(),
    }
    if look.attention is not None:
        seen = look.attention
        facts["attention"] = {
            "sites": list(seen.sites), "heads": seen.heads, "grid": [seen.grid.h, seen.grid.w],
            "prefix": seen.grid.prefix, "not_covered": dict(seen.not_covered),
        }  # fmt: skip
    if look.verdict is not None:
        facts["classes"] = [list(row) for row in look.verdict.classes.rows]
        facts["scores"] = {
            name: {"value": s.value, "p": s.p, "chance": s.interval, "convention": s.convention}
            for name, s in look.verdict.scores.items()
        }
    plain: dict[str, Any] = _plain(facts)
    return plain
