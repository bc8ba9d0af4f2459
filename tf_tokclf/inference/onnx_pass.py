"""The forward pass of an ONNX file, computed by ONNX Runtime on the CPU."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from tf_tokclf.counted import counted
from tf_tokclf.cpu import N_CORES
from tf_tokclf.encoding.model_config import model_config
from tf_tokclf.encoding.model_types import facts_of
from tf_tokclf.encoding.onnx_record import EXPORT_AGAIN, FOLDER, OnnxFile
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.files import check_links, sha256_of
from tf_tokclf.forward_pass import PassFacts

ENGINE = f"onnxruntime {onnxruntime.__version__}"
# Passes run in parallel ("lanes"), each on one thread, because threads that share a pass mostly wait for each other.
# MiniLM-L6, 429 tweets on two cores: 1.9 s of processor time in two lanes, 3.4 s in one lane with two threads.
_MOST_LANES = 4
_LANES = min(N_CORES, _MOST_LANES)
# Windows per pass, for few windows and for many. On 2,000 tweets, 16 are 2 % faster than 8, but windows of 512 tokens
# would take twice the memory. 4 are 10 % slower (int8: 8 %). With fewer than 32 windows, each lane still gets a pass.
_ROWS = 8, 8
_INPUTS = {"input_ids", "attention_mask"}
_NUMBERS = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
_COPY_AGAIN = "Copy the folder again, or export the model again."


class OnnxPass:
    """The forward pass of an ONNX file. Several threads may call it; they share one session."""

    def __init__(self, session: onnxruntime.InferenceSession, facts: PassFacts) -> None:
        self._session = session
        self._numbers = _NUMBERS[session.get_inputs()[0].type]
        self.facts = facts

    @classmethod
    def load(cls, folder: Path, file: OnnxFile, *, n_labels: int) -> OnnxPass:
        """Load one of the ONNX files of a model folder.

        Raises UserError if the file is missing, does not match the record, cannot be loaded by the installed
        onnxruntime, or does not have `n_labels` labels.
        """
        path = folder / FOLDER / file.file
        _check_file(folder, path)
        # Loading and hashing take about equally long, and both release Python's global lock.
        with ThreadPoolExecutor(1) as pool:
            session = _opened(path, pool.submit(sha256_of, path), file)
        _check_signature(session, path, n_labels)
        config = model_config(folder)
        vocabulary = config.get("vocab_size")
        facts = PassFacts(
            engine=ENGINE,
            precision=file.precision,
            model_type=str(config.get("model_type", "model")),
            vocabulary_size=vocabulary if isinstance(vocabulary, int) else None,
            needs_equal_lengths=facts_of(config.get("model_type")).reads_padding,
            width_multiple=1,
            rows_a_pass=_ROWS,
            lanes=_LANES,
            most_lanes=_MOST_LANES,
            file_sha256=file.sha256,
        )
        return cls(session, facts)

    def __call__(self, input_ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """As `ForwardPass`."""
        mask = np.arange(input_ids.shape[1]) < lengths[:, None]
        inputs = {"input_ids": input_ids.astype(self._numbers), "attention_mask": mask.astype(self._numbers)}
        try:
            (logits,) = self._session.run(["logits"], inputs)
        except Exception as error:  # onnxruntime's exceptions have no public names
            if "alloc" in str(error):
                raise MemoryError from error
            raise
        chosen = logits[positions[:, 0], positions[:, 1]]
        chosen = chosen - chosen.max(axis=1, keepdims=True)
        return chosen - np.log(np.exp(chosen).sum(axis=1, keepdims=True))


def _check_file(folder: Path, path: Path) -> None:
    if not path.is_file():
        raise UserError("is missing, but onnx/record.json lists it.", path=path, hint=_COPY_AGAIN)
    check_links(folder, [path], hint="Copy the file into the folder.")


def _opened(path: Path, checksum: Future[str], file: OnnxFile) -> onnxruntime.InferenceSession:
    failure: Exception | None = None
    try:
        session = onnxruntime.InferenceSession(str(path), _options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no public names
        failure = error
    if checksum.result() != file.sha256:
        raise UserError("does not match onnx/record.json.", path=path, hint=_COPY_AGAIN)
    if failure is not None:
        problem = f"{ENGINE} cannot load it (opset {file.opset}): {first_line(failure)}."
        hint = "Upgrade with python -m pip install -U onnxruntime, or use the model that was exported."
        raise UserError(problem, path=path, hint=hint) from failure
    return session


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = N_CORES // _LANES
    options.inter_op_num_threads = 1
    # Threads that wait actively would take the cores from those that read, split and write.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A memory plan is kept for each shape of a batch, and most shapes occur only once.
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    return options


def _check_signature(session: onnxruntime.InferenceSession, path: Path, n_labels: int) -> None:
    inputs = {given.name: given.type for given in session.get_inputs()}
    outputs = {given.name: given.shape for given in session.get_outputs()}
    if set(inputs) != _INPUTS or not set(inputs.values()) <= _NUMBERS.keys() or "logits" not in outputs:
        names = f"{', '.join(sorted(inputs))} and the outputs {', '.join(sorted(outputs))}"[:200]
        expected = "input_ids and attention_mask, and the output logits"
        raise UserError(f"has the inputs {names} instead of {expected}.", path=path, hint=EXPORT_AGAIN)
    width = (outputs["logits"] or [None])[-1]
    if isinstance(width, int) and width != n_labels:
        problem = f"returns {counted(width, 'logit')} for {counted(n_labels, 'label')} in config.json."
        raise UserError(problem, path=path, hint=EXPORT_AGAIN)
