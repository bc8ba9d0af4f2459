"""Where in an encoder a weight is, by its name: embeddings, which layer, or above the layers."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Numbered layers. XLM and FlauBERT number the parts of layers, Funnel blocks and the layers in them.
_LAYER = re.compile(r"/(?:blocks|layers?|attentions|ffns|layer_norm[12])(?:_\._|\.)(\d+)(?:_\._(\d+))?/")
# Tables that are read by subword token, position or type, and their norm. All are directly below the encoder.
_EMBEDDINGS = re.compile(
    r"^[^/]+/[^/]+/(?:embeddings|word_embedding|position_embeddings|lang_embeddings|layer_norm_emb)/"
)
# Projections beside the embeddings.
_PROJECTION = re.compile(r"/(?:embedding_transformation|embed_proj)/")
# DeBERTa's embedding of distances and its norm are in the encoder, since all layers use them.
_DISTANCES = re.compile(r"/encoder/(?:rel_embeddings\.|LayerNorm/)")
# The norm of the last layer's output, in encoders that normalise before each layer.
_LAST_NORM = re.compile(r"/(?:emb_layer_norm_after|final_norm)/|^[^/]+/roberta_prelayernorm/LayerNorm/")
# The classifier, its CRF, and layers between it and the encoder.
_HEAD = re.compile(r"^[^/]+/(?:classifier|head|crf)/")


def is_embedding(name: str) -> bool:
    """Whether a weight belongs to the input embeddings: a table, or the norm behind the tables.

    >>> is_embedding("model/bert/embeddings/word_embeddings/weight:0")
    True
    >>> is_embedding("model/electra/embeddings_project/kernel:0")
    False
    """
    return bool(_EMBEDDINGS.search(name)) and not _PROJECTION.search(name)


def depths(names: Sequence[str]) -> list[int] | None:
    """How many steps each weight is below the head: 0 for the head, 1 for the last of n layers, n for the first.

    Input embeddings, and DeBERTa's of distances, are one step below the first layer. Other weights outside the layers
    are at the first. Returns None if layers are not numbered, as in ALBERT, which repeats one layer.
    """
    places = [_layer(name) for name in names]
    numbers = {place: i for i, place in enumerate(sorted({place for place in places if place}))}
    if not numbers:
        return None
    return [_depth(name, numbers[place] if place else None, len(numbers)) for name, place in zip(names, places)]


def _layer(name: str) -> tuple[bool, int, int] | None:
    """A key that sorts layers from the bottom to the top."""
    found = _LAYER.search(name)
    return ("/decoder/" in name, int(found.group(1)), int(found.group(2) or 0)) if found else None


def _depth(name: str, number: int | None, n_layers: int) -> int:
    if number is not None:
        return n_layers - number
    if _HEAD.search(name):
        return 0
    if _LAST_NORM.search(name):
        return 1
    return n_layers + (is_embedding(name) or bool(_DISTANCES.search(name)))
