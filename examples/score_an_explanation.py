"""Is an explanation better than a random map? Ask, with a p-value."""

import regard as rg

model = rg.model("efficientnet-lite0")
x = rg.image("sample:coffee", like=model)

heat = rg.explain(model, x, method="gradcam", target="espresso")
null = rg.bank(model, x, heat, target="espresso", orders=19, steps=8)  # random maps, shared by both scores
for metric in ("deletion", "insertion"):
    print(rg.score(heat, model, x, metric=metric, target="espresso", bank=null))
