"""Records on disk: one safetensors file, whole or absent, with the facts of each call in its header."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from regard.core.record import Reading, Record
from regard.errors import DataError
from regard.files import whole
from regard.layout import Grid, Windows

FORMAT = 1
TENSORS = ("values", "bias", "error")  # of a reading; everything else of it is a fact


def save(record: Record, path: str | os.PathLike[str]) -> Path:
    """Write all that a record kept; an interruption leaves no file, or the one that was there."""
    tensors: dict[str, torch.Tensor] = {}
    facts = []
    for at, reading in enumerate(record):
        kept = dict(reading.values, **{"/error": reading.error})
        if reading.bias is not None:
            kept["/bias"] = reading.bias
        tensors |= {f"{at}/{name}": value.detach().cpu().contiguous().clone() for name, value in kept.items()}
        facts.append({f.name: _plain(getattr(reading, f.name)) for f in fields(reading) if f.name not in TENSORS})
    header = {
        "format": FORMAT, "readings": facts, "units": record.units, "not_covered": dict(record.not_covered),
        "patch_site": record.patch_site, "seen": record.seen,
    }  # fmt: skip
    with whole(path) as draft:
        save_file(tensors, draft, metadata={"regard": json.dumps(header)})
    return Path(path)


def load(path: str | os.PathLike[str]) -> Record:
    """Read what `save` wrote, onto the CPU."""
    target = Path(path)
    if not target.exists():
        raise DataError(f"no file '{target}'", hint="record.save(path) writes one")
    try:
        with safe_open(target, framework="pt") as file:
            header = json.loads((file.metadata() or {})["regard"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(f"'{target}' is not a saved record ({error})", hint="load what record.save wrote") from error
    if header["format"] > FORMAT:
        raise DataError(
            f"'{target}' is of format {header['format']}, newer than {FORMAT}", hint="pip install -U regard"
        )
    readings = [_reading(at, facts, tensors) for at, facts in enumerate(header["readings"])]
    return Record(
        readings, header["units"], Counter(header["not_covered"]), patch_site=header["patch_site"], seen=header["seen"]
    )


def _reading(at: int, facts: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Reading:
    mine = {name.partition("/")[2]: value for name, value in tensors.items() if name.partition("/")[0] == str(at)}
    error, bias = mine.pop("/error"), mine.pop("/bias", None)
    grid = None if facts["grid"] is None else Grid(*facts["grid"])
    patches = None if facts["patches"] is None else tuple(facts["patches"])
    cut = facts["windows"]
    windows = None if cut is None else Windows(Grid(*cut[0]), (cut[1][0], cut[1][1]), (cut[2][0], cut[2][1]))
    facts |= {"grid": grid, "patches": patches, "windows": windows}
    facts |= {name: tuple(facts[name]) for name in ("gives", "in_backward")}
    return Reading(**facts, values=mine, bias=bias, error=error)


def _plain(value: Any) -> Any:
    if isinstance(value, Windows):
        return [_plain(value.grid), value.size, value.shift]
    return [value.h, value.w, value.prefix] if isinstance(value, Grid) else value
