"""Count the floating-point operations of a model from the shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

# Endings of the names of weights by which tokens are not multiplied: tables, and weights that are added.
NO_FACTOR = re.compile(r"(embeddings?|embed|emb|weight|cls_token|bias|gamma|beta)$")
# ALBERT applies the same layers several times.
SHARED = "albert_layer_groups"


def forward_flop(model: Any, lengths: Iterable[int]) -> float:
    """The operations of a forward pass over windows of these lengths, without padding: two per multiply-add.

    Each real token is multiplied by each matrix, and in each layer by all tokens of its window twice: for the
    attention scores and for the mean of the values. Products with relative positions are not counted, and neither is
    what a model saves by local attention or by pooling tokens. A training step takes three times as many operations.
    """
    config = model.config
    repeats = config.num_hidden_layers / getattr(config, "num_hidden_groups", config.num_hidden_layers)
    per_token = 0.0
    for weight in model.weights:
        name = weight.name.partition(":")[0]
        if len(weight.shape) >= 2 and not NO_FACTOR.search(name):
            per_token += 2 * float(np.prod(weight.shape)) * (repeats if SHARED in name else 1)
    # Every configuration of transformers has attributes of these names, even if its file uses others.
    per_pair = 4 * config.num_hidden_layers * config.hidden_size
    return sum(per_token * n + per_pair * n * n for n in lengths)
