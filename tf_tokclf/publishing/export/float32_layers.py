"""Find what must stay in float32, so that an int8 or int4 export agrees with its model: columns, and whole layers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np
import onnx

from tf_tokclf.counted import counted
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.publishing.export.agreement import Original
from tf_tokclf.publishing.export.calibration import Calibration, calibrated
from tf_tokclf.publishing.export.quantization import layers_of, quantized
from tf_tokclf.publishing.export.runtimes import open_onnx
from tf_tokclf.similar_names import similar_name

log = logging.getLogger(__name__)

# How many batches set the smoothing and the order of the layers. All sentences decide whether the export agrees.
_N_BATCHES = 16
# Columns that are tried before whole layers. With 16, products of MiniLM-L6 take a fifth longer, and a layer in float32
# takes three times as long.
_N_COLUMNS = (4, 16)


@dataclass(frozen=True)
class InFloat32:
    """What stays in float32: layers, and at least the `n_columns` largest columns of the inputs of the others."""

    layers: frozenset[str]
    n_columns: int = 0


class Quantizer:
    """Quantises an ONNX model to int8 or int4 and compares the result with the original, in this process.

    model: in float32. keep: names of layers, or of the beginnings of their names, that stay in float32.
    """

    def __init__(self, model: onnx.ModelProto, kind: str, original: Original, keep: Sequence[str] = ()) -> None:
        self._model, self._kind, self._original = model, kind, original
        self._layers = layers_of(model)
        self.keep = frozenset(layer for name in keep for layer in self._named(name))
        self._batches = original.batches[:: ceil(len(original.batches) / _N_BATCHES) or 1]

    def quantized(self, kept: InFloat32) -> onnx.ModelProto:
        """The model with everything quantised but `kept`."""
        if self._kind != "int8":
            return quantized(self._model, self._kind, keep=kept.layers)
        columns = self._calibration.large_columns(kept.n_columns)
        return quantized(
            self._model, self._kind, keep=kept.layers, smoothing=self._calibration.divisors, columns=columns
        )

    def sufficient(self) -> InFloat32:
        """What is enough to keep in float32. If any one of the layers were quantised as well, the export would fail.

        More columns are kept first. If that is not enough, layers are kept in the order of how much they change the
        logits, until the export agrees with the model. Each of them is then quantised again if the export still agrees
        without it. Raises JobError if the export would fail even with all layers in float32, because of its vocabulary.
        """
        kept = InFloat32(self.keep)
        if self._agrees(kept):
            return kept
        if self._original.has_own_vocabulary and not self._agrees(InFloat32(frozenset(self._layers))):
            raise JobError(
                "with the trimmed vocabulary, the export disagrees with the model even in float32 and was not kept. "
                "Pass a file with more texts or more scripts to --trim-vocabulary, or leave it out."
            )
        for n_columns in _N_COLUMNS if self._kind == "int8" else ():
            kept = InFloat32(self.keep, n_columns)
            if self._agrees(kept):
                return kept
        order = self._by_sensitivity()
        few, many = 0, len(order)
        while many - few > 1:
            middle = (few + many) // 2
            agrees = self._agrees(replace(kept, layers=self.keep | {*order[:middle]}))
            few, many = (few, middle) if agrees else (middle, many)
        kept = replace(kept, layers=self.keep | {*order[:many]})
        for layer in [None, *reversed(order[:many])]:
            less = InFloat32(kept.layers) if layer is None else replace(kept, layers=kept.layers - {layer})
            if self._agrees(less):
                kept = less
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
    def _calibration(self) -> Calibration:
        return calibrated(self._model, self._batches)

    def _agrees(self, kept: InFloat32) -> bool:
        run, _ = open_onnx(self.quantized(kept).SerializeToString())

        def forward(ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, float]:
            mask = np.arange(ids.shape[1]) < lengths[:, None]
            return run(ids, mask)[positions[:, 0], positions[:, 1]], 0.0

        found, _ = self._original.compared(forward)
        problems = self._original.limits(self._kind).exceeded_by(found)
        layers, columns = counted(len(kept.layers), "layer"), counted(kept.n_columns, "column")
        log.debug("%s and %s in float32: %s", layers, columns, " ".join(problems) or "agrees")
        return not problems

    def _by_sensitivity(self) -> list[str]:
        """The layers, from the one that changes the logits most if it is quantised alone."""
        candidates = [layer for layer in self._layers if layer not in self.keep]
        log.info(
            "some layers must stay in float32: quantising each of %s alone to find them",
            counted(len(candidates), "layer"),
        )

        def alone(layer: str) -> InFloat32:
            return InFloat32(frozenset(self._layers) - {layer})

        expected = self._logits(self._model)
        changes = {
            layer: sum(
                float(np.square(one - two).sum())
                for one, two in zip(expected, self._logits(self.quantized(alone(layer))))
            )
            for layer in candidates
        }
        return sorted(candidates, key=lambda layer: -changes[layer])

    def _logits(self, model: onnx.ModelProto) -> list[np.ndarray]:
        run, _ = open_onnx(model.SerializeToString())
        return [
            run(batch["input_ids"], batch["attention_mask"])[batch["attention_mask"] == 1] for batch in self._batches
        ]
