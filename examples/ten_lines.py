"""The ten lines of the README."""

import regard as rg

model = rg.model("dinov2-small")  # or any nn.Module of yours; it is never changed
x = rg.image("sample:coffee", like=model)  # a path works too: EXIF-turned, sized and scaled as the model wants

with rg.watch(model, "blocks.{6..11}.attn", keep=[rg.probes.entropy, rg.probes.distance]) as record:
    model(x)  # the output is bitwise what it would have been
print(record.table("entropy"))

heat = rg.explain(model, x, method="rollout")  # a Map: raw signed values, grid, settings
parts = rg.discover(model, x, "tokencut")  # Parts: the object the model finds
print(heat, parts)
