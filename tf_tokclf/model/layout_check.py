"""Compare names and shapes of a saved model with the PyTorch file from which its encoder was loaded.

The same rules name and turn weights in both directions. A mistake in them does not show when the saved file is read
again, but PyTorch cannot read the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tf_tokclf.encoding.weight_files import open_weights
from tf_tokclf.model.weights import HEAD, IRRELEVANT, current_name

Shape = tuple[int, ...]


def misfits(folder: Path, encoder: Path) -> list[str]:
    """The tensors of the model in `folder` whose names or shapes are not those in the weight file of `encoder`.

    Heads are not compared: `encoder` may have another one. The list is empty if its file is not in PyTorch's layout.
    """
    with open_weights(encoder) as files:
        if files.layout != "pytorch":
            return []
        original = {current_name(name): tuple(shape) for name, shape in files.shapes.items()}
    with open_weights(folder) as files:
        saved = {name: tuple(shape) for name, shape in files.shapes.items()}
    return _misfits(saved, original)


def _misfits(saved: Mapping[str, Shape], original: Mapping[str, Shape]) -> list[str]:
    """The names in `saved` that are not in `original`, with or without the encoder's name, or whose shapes differ."""
    shapes = {_without_first(name): shape for name, shape in original.items()} | dict(original)
    # All names of an encoder have the same first part, which the file of an encoder without head lacks.
    encoders = {name.partition(".")[0] for name in saved if name in original or _without_first(name) in original}
    return [
        name
        for name, shape in saved.items()
        if name.partition(".")[0] in encoders
        and not (HEAD.search(name) or IRRELEVANT.search(name))
        and shape not in (shapes.get(name), shapes.get(_without_first(name)))
    ]


def _without_first(name: str) -> str:
    return name.partition(".")[2]
