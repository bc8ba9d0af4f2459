"""`tf_tokclf.json` in a model folder: how it reads sentences, what its labels mean, and its head."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tf_tokclf.config.schema import AlignmentConfig, Task
from tf_tokclf.encoding.crf_file import read_crf, write_crf
from tf_tokclf.encoding.folder_files import is_there
from tf_tokclf.encoding.hints import AGAIN
from tf_tokclf.encoding.model_config import LONGEST_TEXT
from tf_tokclf.encoding.tokenizers import window_limit
from tf_tokclf.encoding.windows import WindowSettings
from tf_tokclf.errors import UserError
from tf_tokclf.files import write_json
from tf_tokclf.json_text import read_json
from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.decoding import DECODINGS
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.validation import scheme_of_names
from tf_tokclf.labels.word_splitting import DEFAULT_RULE, RULES

if TYPE_CHECKING:
    from tf_tokclf.encoding.word_tokenizer import WordTokenizer

FILE_NAME = "tf_tokclf.json"
# Version 2 names the head. Earlier versions of this program would ignore a CRF, so models without one stay at 1.
FORMAT_VERSION = 2
HEADS = ("linear", "crf")


@dataclass(frozen=True)
class ModelInfo:
    """How a classifier reads sentences and what its labels mean.

    word_splitting: how raw text is split into words (a value of `data.word_splitting`). base_model: the reference of
    the encoder from which it was trained. temperature: the divisor of the logits before the softmax. decoding: the
    default decoding, which is the one that training used for scoring. crf: the transitions of a model with a CRF.
    """

    reading: WindowSettings
    labels: LabelSet
    word_splitting: str = DEFAULT_RULE
    task: str | None = None
    base_model: str | None = None
    temperature: float = 1.0
    decoding: str = "argmax"
    crf: Chain | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `tf_tokclf.json`. The label names are in config.json."""
        head = {"format_version": 1} if self.crf is None else {"format_version": FORMAT_VERSION, "head": "crf"}
        return {
            **head,
            "reading": asdict(self.reading),
            "scheme": self.labels.scheme.value,
            "fallback_label": self.labels.fallback,
            "word_splitting": self.word_splitting,
            "task": self.task,
            "base_model": self.base_model,
            "temperature": self.temperature,
            "decoding": self.decoding,
        }

    def with_temperature(self, temperature: float) -> ModelInfo:
        """A copy with another temperature."""
        return replace(self, temperature=temperature)


def write_model_info(folder: Path, info: ModelInfo) -> None:
    """Write `tf_tokclf.json` to a model folder, and `crf.json` if there is a CRF, each completely or not at all."""
    if info.crf is not None:
        write_crf(folder, info.labels.names, info.crf)
    write_json(folder / FILE_NAME, info.to_json())


def read_model_info(folder: Path, names: list[str], tokenizer: WordTokenizer) -> ModelInfo:
    """Read `tf_tokclf.json`. For a classifier from elsewhere, use the defaults and the scheme of its label names."""
    path = folder / FILE_NAME
    if not is_there(path):
        return ModelInfo(
            WindowSettings.of(AlignmentConfig(), folder, tokenizer), LabelSet(tuple(names), scheme_of_names(names))
        )
    values = read_json(path, hint=AGAIN)
    try:
        if values["format_version"] > FORMAT_VERSION:
            hint = "Upgrade with pip install -U tf-tokclf."
            raise UserError("was written by a newer version of tf-tokclf.", path=path, hint=hint)
        labels = LabelSet(tuple(names), Scheme(values["scheme"]), _one_of(names, values["fallback_label"]))
        has_crf = _one_of(HEADS, values.get("head", "linear")) == "crf"
        return ModelInfo(
            reading=_checked_reading(WindowSettings(**values["reading"]), folder, tokenizer),
            labels=labels,
            word_splitting=_one_of(RULES, values["word_splitting"]),
            task=None if values["task"] is None else Task(values["task"]).value,
            base_model=_reference(values["base_model"]),
            temperature=_temperature(values["temperature"]),
            decoding=_one_of(DECODINGS, values.get("decoding", "argmax")),
            crf=read_crf(folder, labels) if has_crf else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"cannot be read: {repr(error)[:200]}.", path=path, hint=AGAIN) from error


def _one_of(known: Collection[str], value: Any) -> str:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{value!r} is not one of {', '.join(known)}")
    return value


def _reference(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and len(value) <= LONGEST_TEXT):
        raise ValueError(f"base_model must be a text of up to {LONGEST_TEXT:,} characters, or null")
    return value


def _temperature(value: Any) -> float:
    number = float(value)
    # Fitted temperatures are between 0.05 and 20. Scores overflow with much smaller ones.
    if not 0.001 <= number <= 1000:
        raise ValueError(f"temperature must be between 0.001 and 1000, not {number}")
    return number


def _checked_reading(reading: WindowSettings, folder: Path, tokenizer: WordTokenizer) -> WindowSettings:
    """Check that the window settings are possible for the model."""
    numbers = (reading.max_length, reading.overlap, reading.context_sentences)
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError(f"lengths must be whole numbers of at least 0, not {numbers}")
    _one_of(get_args(AlignmentConfig.model_fields["strategy"].annotation), reading.strategy)
    if reading.max_length > (limit := window_limit(folder, tokenizer)):
        raise ValueError(f"max_length is {reading.max_length:,}, but the model reads at most {limit:,} subword tokens")
    return reading
