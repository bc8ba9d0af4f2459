"""The interface between prediction and the library that computes the forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class PassFacts:
    """The facts about a forward pass.

    engine: the library that computes it, with its version, such as "tensorflow 2.21.0". precision: the numbers that it
    computes with, such as "float32". model_type: that of config.json. vocabulary_size: the number of token embeddings,
    if it is known.

    needs_equal_lengths: only rows of the same length, without padding, get the same scores together as alone.
    width_multiple: rows are padded to a multiple of this number of tokens. rows_a_pass: the fastest number of
    windows per pass, for few windows and for many. lanes: the fastest number of parallel calls on this machine.
    most_lanes: the maximum of `lanes` on any machine. The size of a pass depends on it and not on `lanes`, so that
    scores do not depend on the number of cores.

    file_sha256: the SHA-256 of the ONNX file. None if the weights in the model's folder are used.
    """

    engine: str
    precision: str
    model_type: str
    vocabulary_size: int | None
    needs_equal_lengths: bool
    width_multiple: int
    rows_a_pass: tuple[int, int]
    lanes: int
    most_lanes: int
    file_sha256: str | None = None


class ForwardPass(Protocol):
    """A function from windows of subword tokens to the scores of their labels."""

    @property
    def facts(self) -> PassFacts:
        """What the caller needs to know."""
        ...

    def __call__(self, input_ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> Any:
        """The log-probabilities (tokens, labels) float32 of the tokens at `positions`.

        input_ids: (rows, width) int32, with padding behind each row. lengths: (rows,) int32. positions: (tokens, 2)
        int32, the row and the column of each token. Raises MemoryError if memory runs out. Several threads may call it
        at once.
        """
        ...


@runtime_checkable
class HiddenStates(Protocol):
    """A forward pass that also returns what the encoder computes below the head. An ONNX file returns only logits."""

    def hidden_states(self, input_ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """The last hidden states of the encoder at the same positions, (tokens, width) float32. The arguments are those
        of `ForwardPass`. Only one thread at a time may call it.
        """
        ...


@dataclass(frozen=True)
class Replaced:
    """A function with the facts of a forward pass, in place of that pass. Only one thread at a time may call it."""

    facts: PassFacts
    function: Any

    def __call__(self, input_ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> Any:
        """Call the function."""
        return self.function(input_ids, lengths, positions)
