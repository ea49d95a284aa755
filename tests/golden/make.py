"""Write the golden numbers anew: python tests/golden/make.py. Look at the difference before committing it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

import regard as rg

HERE = Path(__file__).parent


def dinov2_on_coffee() -> dict[str, Any]:
    """Head tables and map statistics of the embedded model on one photo."""
    model = rg.model("dinov2-small")
    x = rg.image("sample:coffee", like=model)
    with torch.inference_mode(), rg.watch(model, keep=["entropy", "distance", "prefix_mass", "sink_mass"]) as record:
        model(x)
    numbers = {name: record.table(name).numbers().round(4).tolist() for name in record.units}
    rollout = rg.explain(model, x, method="rollout").values[0]
    parts = rg.discover(model, x, "tokencut")
    assert parts.mask is not None
    return {
        **numbers,
        "rollout_rows": rollout.sum(1).round(5).tolist(),
        "object_rows": parts.mask[0].sum(1).tolist(),
        "object_edges": round(parts.facts["edges"][0], 4),
    }


def efficientnet_on_coffee() -> dict[str, Any]:
    """Logits of five classes, Grad-CAM of the first."""
    model = rg.model("efficientnet-lite0")
    x = rg.image("sample:coffee", like=model)
    with torch.inference_mode():
        logits = model(x)[0]
    best = logits.argsort(descending=True)[:5].tolist()
    cam = rg.explain(model, x, method="gradcam").values[0]
    return {"classes": best, "logits": [round(float(logits[i]), 3) for i in best], "gradcam": cam.round(4).tolist()}


GOLDEN = {"dinov2_on_coffee": dinov2_on_coffee, "efficientnet_on_coffee": efficientnet_on_coffee}

if __name__ == "__main__":
    for name, make in GOLDEN.items():
        (HERE / f"{name}.json").write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
