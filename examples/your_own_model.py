"""Any module with attention can be watched; what regard cannot see, it lists."""

import torch
from torch import nn

import regard as rg

layer = nn.TransformerEncoderLayer(64, 4, batch_first=True)
encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
tokens = torch.randn(2, 50, 64)

print(rg.sites(encoder, tokens))
with torch.no_grad(), rg.watch(encoder, "layers.*", keep={"bits": rg.probes.entropy, "p": "probs"}) as record:
    encoder(tokens)
print(record.table("bits").rows[0], record["layers.2.self_attn"]["p"].shape)
