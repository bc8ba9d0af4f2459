"""Compare an exported model with the original on real sentences. The export runs in its own runtime and process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.errors import JobError
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence, of_labelled_words
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.publishing.export import runtimes
from tf_tokclf.publishing.export.folder import OTHER_FORMATS, QUANTIZATIONS
from tf_tokclf.publishing.export.vocabulary import VocabularyChange
from tf_tokclf.scoring.scores import Scorer


@dataclass(frozen=True)
class Limits:
    """How much an export may differ from the model. logit_difference: None if it is not checked."""

    label_agreement: float
    logit_difference: float | None
    f1_difference: float

    def exceeded_by(self, found: Difference) -> list[str]:
        """Differences beyond the limits, as sentences."""
        problems = []
        if found.label_agreement < self.label_agreement:
            problems.append(
                f"{found.n_labels:,} of {counted(found.n_words, 'word')} have a different label; "
                f"{100 * self.label_agreement:g} % must agree."
            )
        if found.largest_logit_difference is None:
            pass
        elif not np.isfinite(found.largest_logit_difference):
            problems.append("Some logits are NaN.")
        elif self.logit_difference is not None and found.largest_logit_difference > self.logit_difference:
            largest = f"{found.largest_logit_difference:.3g}"
            problems.append(f"Logits differ by up to {largest}; the limit is {self.logit_difference:g}.")
        if found.lost_f1 is not None and found.lost_f1 > self.f1_difference:
            problems.append(
                f"F1 is lower by {100 * found.lost_f1:.2f} points; the limit is {100 * self.f1_difference:g}."
            )
        return problems


@dataclass(frozen=True)
class Difference:
    """How an export differs from its model.

    n_labels: words with another label. largest_logit_difference: None if the export has another vocabulary, so that
    words may have other subword tokens. lost_f1: None without gold labels.
    """

    n_words: int
    n_labels: int
    largest_logit_difference: float | None
    lost_f1: float | None

    @property
    def label_agreement(self) -> float:
        """Share of words with the same label."""
        return 1 - self.n_labels / self.n_words if self.n_words else 1.0


# In float32, an export computes the same in a different order. float16 weights change logits by thousandths, which
# changes a label only if two are almost equally likely. int8 and int4 change logits by tenths.
LIMITS = {
    None: Limits(label_agreement=1.0, logit_difference=1e-3, f1_difference=0.0),
    "float16": Limits(label_agreement=0.999, logit_difference=0.1, f1_difference=0.005),
    "int8": Limits(label_agreement=0.995, logit_difference=None, f1_difference=0.003),
    "int4": Limits(label_agreement=0.99, logit_difference=None, f1_difference=0.005),
}

# With fewer tokens, some words are split into other subword tokens, which may change their labels.
TRIMMED = LIMITS["int8"]

# If fewer words are compared, a few whose two best labels are almost equally likely can exceed a limit.
FEW_WORDS = 1000


@dataclass(frozen=True)
class Agreement:
    """The result of comparing an export with its model.

    sentences_from: the file or split of the sentences. The words per second are those of forward passes only, without
    the first batch. in_float32: the layers of an int8 or int4 export that were left in float32. columns_in_float32:
    the number of columns of the inputs of each other layer that were at least left in float32. enough_in_float32,
    enough_columns_in_float32: if the export disagrees, the layers and columns with which it was found to agree, if they
    were searched.
    """

    format: str
    quantize: str | None
    runtime: str
    sentences_from: str
    n_sentences: int
    n_words: int
    n_different_labels: int
    largest_logit_difference: float | None
    model_f1: float | None
    export_f1: float | None
    model_bytes: int
    export_bytes: int
    model_words_per_second: float
    export_words_per_second: float
    limits: Limits
    in_float32: tuple[str, ...] = ()
    columns_in_float32: int = 0
    enough_in_float32: tuple[str, ...] = ()
    enough_columns_in_float32: int = 0
    vocabulary: VocabularyChange | None = None

    @property
    def difference(self) -> Difference:
        """The numbers that have limits."""
        lost = None if self.model_f1 is None or self.export_f1 is None else self.model_f1 - self.export_f1
        return Difference(self.n_words, self.n_different_labels, self.largest_logit_difference, lost)

    @property
    def label_agreement(self) -> float:
        """Share of words with the same label."""
        return self.difference.label_agreement

    @property
    def problems(self) -> list[str]:
        """Differences beyond the limits, as sentences."""
        return self.limits.exceeded_by(self.difference)

    @property
    def failure(self) -> str:
        """The message if there are problems."""
        found = " ".join([*self.problems, self.advice]).strip()
        return f"the export disagrees with the model and was not kept. {found}"

    @property
    def advice(self) -> str:
        """What to try if there are problems."""
        is_found = bool(self.enough_in_float32 or self.enough_columns_in_float32)
        if self.vocabulary is not None and not is_found:
            return "Pass a file with more texts or more scripts to --trim-vocabulary, or leave it out."
        if self.quantize is None:
            return "" if self.format == "savedmodel" else OTHER_FORMATS
        has_float16 = self.quantize != "float16" and "float16" in QUANTIZATIONS[self.format]
        other = f"Export {'with --quantize float16, or ' if has_float16 else ''}without --quantize."
        if is_found:
            if self.quantize == "int8":
                kept = f"{counted(self.enough_columns_in_float32, 'column')} of each layer's inputs in float32"
                if self.enough_in_float32:
                    kept = f"these layers in float32: {', '.join(self.enough_in_float32)}"
                return f"Export with --quantize auto, which leaves {kept}. Or e{other[1:]}"
            layers = " ".join(f"--keep-float32 {name}" for name in self.enough_in_float32)
            other = f"It agrees if these layers stay in float32: {layers}. {other}"
        if self.n_words >= FEW_WORDS:
            return other
        return f"Only {counted(self.n_words, 'word')} were compared: pass a file of more sentences with --file. {other}"

    def to_json(self) -> dict[str, Any]:
        """The contents of agreement.json."""
        return {**asdict(self), "label_agreement": self.label_agreement, "passed": not self.problems}

    def rows(self) -> list[tuple[str, str]]:
        """The names and values of the printed table."""
        same, n_words = self.n_words - self.n_different_labels, counted(self.n_words, "word")
        rows = [
            ("export", f"{self.format} {self.quantize or 'float32'}, run with {self.runtime}"),
            ("compared on", f"{counted(self.n_sentences, 'sentence')}, {n_words} of {self.sentences_from}"),
            ("size", f"{self.export_bytes / 1e6:.1f} MB (model {self.model_bytes / 1e6:.1f} MB)"),
            (
                "words per second",
                f"{self.export_words_per_second:,.0f} (model {self.model_words_per_second:,.0f})",
            ),
            ("same labels", f"{same:,} of {n_words} ({100 * self.label_agreement:.2f} %)"),
        ]
        if self.largest_logit_difference is not None:
            rows.insert(-1, ("largest logit difference", f"{self.largest_logit_difference:.2e}"))
        if self.export_f1 is not None and self.model_f1 is not None:
            rows.append(("F1", f"{100 * self.export_f1:.2f} (model {100 * self.model_f1:.2f})"))
        if self.vocabulary is not None:
            rows += self.vocabulary.rows()
        if self.in_float32:
            rows.append(("layers in float32", ", ".join(self.in_float32)))
        if self.columns_in_float32:
            rows.append(("columns in float32", f"the {self.columns_in_float32} largest of each layer's inputs"))
        return [*rows, ("result", "the export agrees with the model" if not self.problems else " ".join(self.problems))]


class RuntimeProcess:
    """An exported model that runs in a new process. It is called like a forward pass."""

    def __init__(self, format: str, path: Path) -> None:
        self._format = format
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [sys.executable, runtimes.__file__, format, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        try:
            self.version = str(self._read())
        except JobError:
            self.close()
            raise

    def __call__(self, input_ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, float]:
        """The logits (subword tokens, labels) at the positions, and the time in seconds."""
        assert self._process.stdin is not None
        mask = (np.arange(input_ids.shape[1]) < lengths[:, None]).astype(np.int32)
        try:
            for array in (input_ids, mask, positions):
                runtimes.write(self._process.stdin, array)
        except BrokenPipeError as error:
            raise self._failure() from error
        return self._read(), float(self._read())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # If the process died, some input was not written.
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)
        self._errors.close()

    def _read(self) -> np.ndarray:
        assert self._process.stdout is not None
        array = runtimes.read(self._process.stdout)
        if array is None:
            raise self._failure()
        return array

    def _failure(self) -> JobError:
        self._process.wait(timeout=60)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        reason = lines[-1][:300].rstrip(".") if lines else "its process ended"
        hint = "" if self._format == "savedmodel" else f" {OTHER_FORMATS}"
        return JobError(f"the export cannot be run: {reason}.{hint}")


Forward = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, float]]


class _Recorded:
    """A forward pass that returns log-probabilities and records logits and times."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self.logits: list[np.ndarray] = []
        self.seconds: list[float] = []

    def __call__(self, input_ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> np.ndarray:
        logits, seconds = self._forward(input_ids, lengths, positions)
        self.logits.append(logits)
        self.seconds.append(seconds)
        top = logits.max(axis=1, keepdims=True, initial=-np.inf)
        return logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))

    def words_per_second(self) -> float:
        """The speed of the forward passes, without the first one, which is slower."""
        first = 1 if len(self.seconds) > 1 else 0
        n_words = sum(map(len, self.logits[first:]))
        return n_words / max(sum(self.seconds[first:]), 1e-9)


class Original:
    """What a model computes for the sentences of the comparison.

    export_tagger: reads the sentences for the export, if that has another vocabulary. batches: what it calls the export
    with.
    """

    def __init__(
        self,
        tagger: Tagger,
        sentences: Sequence[Sentence],
        scheme: Scheme,
        place: str,
        *,
        export_tagger: Tagger | None = None,
    ) -> None:
        self.sentences, self.scheme, self.place = sentences, scheme, place
        self.export_tagger = export_tagger or tagger
        self.has_own_vocabulary = export_tagger is not None
        self.batches = batches_of(self.export_tagger, sentences)
        self.recorded = _Recorded(_in_this_process(tagger.model))
        self.labels = _labels(tagger, self.recorded, sentences)
        self.f1 = _f1(sentences, self.labels, scheme)

    @property
    def n_words(self) -> int:
        """Words of the sentences."""
        return sum(map(len, self.sentences))

    def limits(self, quantize: str | None) -> Limits:
        """How much an export of this model may differ."""
        return TRIMMED if self.has_own_vocabulary and quantize in (None, "float16") else LIMITS[quantize]

    def compared(self, forward: Forward) -> tuple[Difference, _Recorded]:
        """How `forward` differs from the model in the same batches, and what it computed."""
        export = _Recorded(forward)
        labels = _labels(self.export_tagger, export, self.sentences)
        f1 = _f1(self.sentences, labels, self.scheme)
        found = Difference(
            n_words=self.n_words,
            n_labels=sum(x != y for one, two in zip(self.labels, labels) for x, y in zip(one, two)),
            largest_logit_difference=None if self.has_own_vocabulary else _largest(self.recorded, export),
            lost_f1=None if self.f1 is None or f1 is None else self.f1 - f1,
        )
        return found, export


def compare(original: Original, *, format: str, quantize: str | None, path: Path, model_bytes: int) -> Agreement:
    """Label the sentences with the export at `path`, in its own process."""
    process = RuntimeProcess(format, path)
    try:
        found, export = original.compared(process)
    finally:
        process.close()
    return Agreement(
        format=format,
        quantize=quantize,
        runtime=process.version,
        sentences_from=original.place,
        n_sentences=len(original.sentences),
        n_words=found.n_words,
        n_different_labels=found.n_labels,
        largest_logit_difference=found.largest_logit_difference,
        model_f1=original.f1,
        export_f1=None if original.f1 is None or found.lost_f1 is None else original.f1 - found.lost_f1,
        model_bytes=model_bytes,
        export_bytes=size_of(path),
        model_words_per_second=original.recorded.words_per_second(),
        export_words_per_second=export.words_per_second(),
        limits=original.limits(quantize),
    )


def batches_of(tagger: Tagger, sentences: Iterable[Sentence]) -> list[dict[str, np.ndarray]]:
    """The inputs, int64, with which `tagger` calls a model for these sentences."""
    batches = []

    def forward(ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> np.ndarray:
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        batches.append({"input_ids": ids.astype(np.int64), "attention_mask": mask.astype(np.int64)})
        return np.zeros((len(positions), len(tagger.labels.names)), np.float32)

    for _ in tagger.with_forward(forward).tag(sentences):
        pass
    return batches


def _largest(one: _Recorded, two: _Recorded) -> float:
    return float(max((np.abs(a - b).max(initial=0.0) for a, b in zip(one.logits, two.logits)), default=0.0))


def size_of(path: Path) -> int:
    """Size of a file, or of all files in a folder, in bytes."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def _in_this_process(model: keras.Model) -> Forward:
    import time

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None), tf.int32)])
    def logits_of(input_ids: tf.Tensor, attention_mask: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(input_ids=input_ids, attention_mask=attention_mask, training=False).logits, tf.float32)

    def forward(input_ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, float]:
        mask = (np.arange(input_ids.shape[1]) < lengths[:, None]).astype(np.int32)
        begun = time.perf_counter()
        logits = logits_of(tf.constant(input_ids), tf.constant(mask)).numpy()
        return logits[positions[:, 0], positions[:, 1]], time.perf_counter() - begun

    return forward


def _labels(tagger: Tagger, forward: _Recorded, sentences: Iterable[Sentence]) -> list[tuple[str, ...]]:
    return [tagged.labels for tagged in tagger.with_forward(forward).tag(sentences)]


def _f1(sentences: Sequence[Sentence], labels: Sequence[tuple[str, ...]], scheme: Scheme) -> float | None:
    if any(sentence.labels is None for sentence in sentences):
        return None
    scorer = Scorer(scheme)
    for sentence, predicted in zip(sentences, labels):
        gold, ours = (of_labelled_words(sentence, one) for one in (sentence.labels or (), predicted))
        scorer.add(gold, ours)
    return scorer.scores().overall.f1
