"""`Kept`: scores of masked pictures in a folder, so that a run that was stopped goes on and comes to the same bits.

One file holds the scores of one batch and is named after its pictures, so whatever is asked again is found, in any
order; files are whole or absent. `run.json` tells whose they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard import files
from regard.errors import DataError

FACTS = "run.json"


def digest(tensors: Iterable[Tensor], *told: object) -> str:
    """Hex digest of tensors, bit by bit, and of plain data."""
    made = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    for tensor in tensors:
        plain = tensor.detach().cpu().contiguous()
        made.update(f"{plain.dtype}{list(plain.shape)}".encode())
        made.update(plain.flatten().view(torch.uint8).numpy().tobytes())
    return made.hexdigest()


class Kept:
    """Scores by what was scored. used: batches that came from the folder; new: those that were added to it."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.folder = folder
        self.used = self.new = 0
        self._check(dict(facts))

    def __call__(self, given: Sequence[Tensor], run: Callable[[Tensor], Tensor]) -> Tensor:
        """What `run(given[0])` gives, or gave before; the other tensors decide it too."""
        path = self.folder / f"{digest(given)[:32]}.npy"
        try:
            scores = torch.from_numpy(np.load(path, allow_pickle=False)).to(given[0].device)
        except FileNotFoundError:
            scores = run(given[0])
            with files.whole(path) as draft, draft.open("wb") as file:
                np.save(file, scores.detach().cpu().numpy(), allow_pickle=False)
            self.new += 1
            return scores
        except (OSError, ValueError) as error:
            raise DataError(f"'{path}' holds no scores ({error})", hint="delete that file") from error
        self.used += 1
        return scores

    def _check(self, facts: dict[str, Any]) -> None:
        """Refuse a folder of another run."""
        path = self.folder / FACTS
        text = json.dumps(facts, sort_keys=True, indent=1, default=str)
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise DataError(
                    f"'{self.folder}' holds files and no {FACTS}", hint="an empty folder, or a new one"
                ) from None
            files.write_text(path, text)
            return
        except (OSError, ValueError) as error:
            raise DataError(f"'{path}' cannot be read ({error})", hint="another folder") from error
        now = json.loads(text)
        other = [name for name in now if before.get(name) != now[name]]
        if other:
            raise DataError(
                f"'{self.folder}' holds a run of another {' and another '.join(other)}",
                hint="the same call as before, or another folder",
            )
