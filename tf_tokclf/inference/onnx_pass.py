"""The forward pass of an ONNX file, computed by ONNX Runtime on the CPU."""

from __future__ import annotations

import platform
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from tf_tokclf.counted import counted
from tf_tokclf.cpu import N_CORES, cpu_flags
from tf_tokclf.encoding.model_config import model_config
from tf_tokclf.encoding.model_types import facts_of
from tf_tokclf.encoding.onnx_record import EXPORT_AGAIN, FOLDER, OnnxFile
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.files import check_links, sha256_of
from tf_tokclf.forward_pass import PassFacts

ENGINE = f"onnxruntime {onnxruntime.__version__}"
# Passes run side by side, each on a thread of its own, because threads that share a pass mostly wait for each other.
# MiniLM-L6, 429 tweets on two cores: 1.9 s of processor time in two lanes, 3.4 s in one with two threads.
_MOST_LANES = 4
_LANES = min(N_CORES, _MOST_LANES)
# Windows per pass, for few windows and for many. Rows of similar lengths need no padding; 8 and 16 are as fast, 32 take
# a quarter longer.
_ROWS = 4, 8
_INPUTS = {"input_ids", "attention_mask"}
_NUMBERS = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
_MODEL_IS_DAMAGED = "Copy the folder again, or export the model again."


class OnnxPass:
    """The forward pass of an ONNX file. Threads share its session."""

    def __init__(self, session: onnxruntime.InferenceSession, facts: PassFacts) -> None:
        self._session = session
        self._numbers = _NUMBERS[session.get_inputs()[0].type]
        self.facts = facts

    @classmethod
    def load(cls, folder: Path, file: OnnxFile, *, n_labels: int) -> OnnxPass:
        """Load one of the ONNX files of a model folder.

        Raises UserError if the file is missing, is another than the record describes, or cannot be used on this
        machine, and if it has not `n_labels` labels.
        """
        path = folder / FOLDER / file.file
        _check_file(folder, path)
        _check_cpu(file, path)
        # Both take about as long, and leave Python's global lock to the other.
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
        raise UserError("is missing, but the record of the folder names it.", path=path, hint=_MODEL_IS_DAMAGED)
    check_links(folder, [path], hint="Copy the file into the folder.")


def _check_cpu(file: OnnxFile, path: Path) -> None:
    """Raise UserError for a file that this CPU would compute with other results.

    Without VNNI, sums of two products of 8-bit numbers are cut off at 16 bits.
    """
    flags = cpu_flags()
    if file.needs and platform.machine() in ("x86_64", "AMD64") and flags and not flags & set(file.needs):
        problem = f"its scores would be wrong on this CPU, which has none of {', '.join(file.needs)}."
        hint = "Use --precision float32 or --engine tensorflow, or another machine."
        raise UserError(problem, path=path, hint=hint)


def _opened(path: Path, checksum: Future[str], file: OnnxFile) -> onnxruntime.InferenceSession:
    failure: Exception | None = None
    try:
        session = onnxruntime.InferenceSession(str(path), _options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no public names
        failure = error
    if checksum.result() != file.sha256:
        raise UserError("is not the file that the record of its folder describes.", path=path, hint=_MODEL_IS_DAMAGED)
    if failure is not None:
        problem = f"{ENGINE} cannot load it (opset {file.opset}): {first_line(failure)}."
        hint = "Upgrade it: python -m pip install -U onnxruntime. Or pass --engine tensorflow."
        raise UserError(problem, path=path, hint=hint) from failure
    return session


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = N_CORES // _LANES
    options.inter_op_num_threads = 1
    # Waiting threads would take the cores from those that read, split and write.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Plans of memory are kept for each shape of a batch, and most shapes occur once.
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    return options


def _check_signature(session: onnxruntime.InferenceSession, path: Path, n_labels: int) -> None:
    inputs = {given.name: given.type for given in session.get_inputs()}
    outputs = {given.name: given.shape for given in session.get_outputs()}
    if set(inputs) != _INPUTS or not set(inputs.values()) <= _NUMBERS.keys() or "logits" not in outputs:
        names = f"{', '.join(sorted(inputs))} and the outputs {', '.join(sorted(outputs))}"
        raise UserError(f"it has the inputs {names[:200]}.", path=path, hint=EXPORT_AGAIN)
    width = (outputs["logits"] or [None])[-1]
    if isinstance(width, int) and width != n_labels:
        problem = f"it returns {counted(width, 'logit')} for {counted(n_labels, 'label')} in config.json."
        raise UserError(problem, path=path, hint=EXPORT_AGAIN)
