"""Find the layers that must stay in float32, so that an int8 or int4 export agrees with its model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from math import ceil

import numpy as np
import onnx

from tf_tokclf.counted import counted
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.publishing.export.agreement import Original
from tf_tokclf.publishing.export.quantization import layers_of, quantized
from tf_tokclf.publishing.export.runtimes import open_onnx
from tf_tokclf.publishing.export.smoothing import smoothing
from tf_tokclf.similar_names import similar_name

log = logging.getLogger(__name__)

# How many batches set the smoothing and the order of the layers. All sentences decide whether the export agrees.
_N_BATCHES = 16


class Quantizer:
    """Quantises an ONNX model to int8 or int4 and compares the result with the original, in this process.

    model: in float32. keep: names of layers, or of the beginnings of their names, that stay in float32.
    """

    def __init__(self, model: onnx.ModelProto, kind: str, original: Original, keep: Sequence[str] = ()) -> None:
        self._model, self._kind, self._original = model, kind, original
        self._layers = layers_of(model)
        self.keep = frozenset(layer for name in keep for layer in self._named(name))
        self._batches = original.batches[:: ceil(len(original.batches) / _N_BATCHES) or 1]

    def quantized(self, keep: frozenset[str]) -> onnx.ModelProto:
        """The model with all layers quantised, except those in `keep`."""
        return quantized(self._model, self._kind, keep=keep, smoothing=self._smoothing)

    def sufficient(self) -> frozenset[str]:
        """Layers that are enough to keep in float32. If any one of them were quantised as well, the export would fail.

        Layers are kept in the order of how much they change the logits, until the export agrees with the model. Each
        of them is then quantised again if the export still agrees without it. Raises JobError if the export would fail
        even with all layers in float32, because of its vocabulary.
        """
        if self._agrees(self.keep):
            return self.keep
        if self._original.has_own_vocabulary and not self._agrees(frozenset(self._layers)):
            raise JobError(
                "with the trimmed vocabulary, the export disagrees with the model even in float32 and was not kept. "
                "Pass a file with more texts to --trim-vocabulary, or leave it out."
            )
        order = self._by_sensitivity()
        few, many = 0, len(order)
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (few, middle) if self._agrees(self.keep | {*order[:middle]}) else (middle, many)
        kept = self.keep | {*order[:many]}
        for layer in reversed(order[:many]):
            if self._agrees(kept - {layer}):
                kept -= {layer}
        return kept

    def in_order(self, layers: frozenset[str]) -> tuple[str, ...]:
        """The layers in the order in which the model computes them."""
        return tuple(layer for layer in self._layers if layer in layers)

    def _named(self, name: str) -> list[str]:
        found = [layer for layer in self._layers if layer == name or layer.startswith(f"{name.rstrip('/')}/")]
        if not found:
            near = similar_name(name, self._layers)
            hint = f"Did you mean {near}?" if near else f"The layers are {', '.join(self._layers)}."
            raise UserError(f"the model has no layer {name} that can be quantised.", hint=hint)
        return found

    @cached_property
    def _smoothing(self) -> dict[str, np.ndarray]:
        return smoothing(self._model, self._batches) if self._kind == "int8" else {}

    def _agrees(self, keep: frozenset[str]) -> bool:
        run, _ = open_onnx(self.quantized(keep).SerializeToString())

        def forward(ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, float]:
            mask = np.arange(ids.shape[1]) < lengths[:, None]
            return run(ids, mask)[positions[:, 0], positions[:, 1]], 0.0

        found, _ = self._original.compared(forward)
        problems = self._original.limits(self._kind).exceeded_by(found)
        log.debug("%s in float32: %s", counted(len(keep), "layer"), " ".join(problems) or "agrees")
        return not problems

    def _by_sensitivity(self) -> list[str]:
        """The layers, from the one that changes the logits most if it is quantised alone."""
        candidates = [layer for layer in self._layers if layer not in self.keep]
        log.info(
            "some layers must stay in float32: quantising each of %s alone to find them",
            counted(len(candidates), "layer"),
        )
        expected = self._logits(self._model)
        changes = {
            layer: sum(
                float(np.square(one - two).sum())
                for one, two in zip(expected, self._logits(self.quantized(frozenset(self._layers) - {layer})))
            )
            for layer in candidates
        }
        return sorted(candidates, key=lambda layer: -changes[layer])

    def _logits(self, model: onnx.ModelProto) -> list[np.ndarray]:
        run, _ = open_onnx(model.SerializeToString())
        return [
            run(batch["input_ids"], batch["attention_mask"])[batch["attention_mask"] == 1] for batch in self._batches
        ]
