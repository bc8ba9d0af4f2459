"""The recipe auto: training settings that are chosen from the encoder and the amount of data.

Settings that are set explicitly are kept. The result is a configuration without a recipe, so that a saved run has the
same meaning in later versions. docs/how-to/recipes.md explains the rule, and says which of its numbers were measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tf_tokclf.config.loading import with_settings
from tf_tokclf.config.schema import Config
from tf_tokclf.counted import counted
from tf_tokclf.encoding.model_types import MODEL_TYPES
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Size:
    """The rates for encoders up to a hidden size.

    width: the largest hidden size. about: the reason for the rates, in words. learning_rate: that of the head.
    layer_decay: its factor from each layer to the one below. one_rate: the learning rate if all layers have the same
    one. warmup_ratio: share of all steps.
    """

    width: float
    about: str
    learning_rate: float
    layer_decay: float
    one_rate: float
    warmup_ratio: float


# All numbers of the rule.
SIZES = (
    Size(512, "small encoders need higher rates", 1e-3, layer_decay=0.7, one_rate=2e-4, warmup_ratio=0.0),
    Size(1023, "larger encoders need lower rates", 3e-4, layer_decay=0.8, one_rate=5e-5, warmup_ratio=0.1),
    Size(math.inf, "large encoders need low rates", 5e-5, layer_decay=0.9, one_rate=2e-5, warmup_ratio=0.1),
)
# For encoders that learn slowly: rates that fall from layer to layer leave the lowest of many layers hardly trained.
# At 2e-4, multilingual-e5-small learned nothing on NCBI disease with one of two seeds.
SLOW = Size(384, "many small layers need the same low rate", 1e-4, layer_decay=1.0, one_rate=1e-4, warmup_ratio=0.1)
# A learning rate that the user sets is meant for all layers if it is below this share of the rule's rate for the head.
LOW_RATE = 1 / 3
BATCH_SIZE, SMALL_BATCH_SIZE, FEW_SENTENCES = 16, 8, 500
N_STEPS = 1_000
FEWEST_EPOCHS, MOST_EPOCHS = 3, 20
SLOW_FACTOR = 2
SPAN_WEIGHT = 2.0

# Encoders that learn slowly have at most this hidden size, and at least this many layers.
_SLOW_LAYERS = 12
# Names in config.json for the hidden size and for the number of layers.
_WIDTHS = ("hidden_size", "dim", "emb_dim", "d_model")
_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
# ALBERT repeats one layer.
_WITHOUT_NUMBERS = frozenset(["albert"])


@dataclass(frozen=True)
class Encoder:
    """What the rule needs to know about an encoder.

    width: hidden size, 0 if unknown. n_layers: 0 if unknown. is_unigram: whether its tokenizer is a SentencePiece
    Unigram model. can_decay: whether its layers are numbered, so that each can have its own learning rate.
    """

    width: int
    n_layers: int
    is_unigram: bool
    can_decay: bool

    @classmethod
    def of(cls, config: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast) -> Encoder:
        """From the content of config.json and the tokenizer."""
        model_type = config.get("model_type")
        return cls(
            width=_first_number(config, _WIDTHS),
            n_layers=_first_number(config, _LAYERS),
            is_unigram=type(tokenizer.backend_tokenizer.model).__name__ == "Unigram",
            can_decay=model_type in MODEL_TYPES and model_type not in _WITHOUT_NUMBERS,
        )

    @property
    def is_slow(self) -> bool:
        """Whether the encoder probably learns slowly: many small layers and a large multilingual vocabulary.

        This is a heuristic for distilled multilingual encoders such as multilingual-e5-small and
        multilingual-MiniLM-L12-H384.
        """
        return self.is_unigram and 0 < self.width <= SLOW.width and self.n_layers >= _SLOW_LAYERS

    @property
    def size(self) -> Size:
        """The row of the rule. An encoder of unknown size counts as one of BERT's size."""
        if self.is_slow:
            return SLOW
        width = self.width or 768
        return next(size for size in SIZES if width <= size.width)


@dataclass(frozen=True)
class TrainingData:
    """What the rule needs to know about the training data.

    n_pieces: the subword tokens of all windows. has_outside: whether the labels include O. has_scheme: whether they
    form spans.
    """

    n_sentences: int
    n_windows: int
    n_pieces: int
    has_outside: bool
    has_scheme: bool

    @classmethod
    def of(cls, labels: LabelSet, *, n_sentences: int, n_windows: int, n_pieces: int) -> TrainingData:
        """From the labels and the numbers of sentences, windows and subword tokens."""
        has_scheme = labels.scheme is not Scheme.NONE
        return cls(n_sentences, n_windows, n_pieces, labels.outside is not None, has_scheme)

    def steps_per_epoch(self, config: Config, batch_size: int) -> float:
        """Optimizer steps in an epoch, without the rounding of incomplete batches."""
        training = config.training
        n_windows = float(batch_size)
        if training.max_pieces_per_batch is not None:
            n_windows = max(training.max_pieces_per_batch * self.n_windows / max(self.n_pieces, 1), 1.0)
        return max(self.n_windows / n_windows / training.gradient_accumulation_steps, 1.0)


@dataclass(frozen=True)
class Choice:
    """Settings that the rule chose (dotted name -> value), and what and why in words."""

    values: Mapping[str, Any]
    text: str


def follow(config: Config, encoder: Encoder, data: TrainingData) -> tuple[Config, tuple[Choice, ...]]:
    """The configuration with the settings that the rule chooses, and the choices.

    The result has the recipe none. A configuration that already has this recipe is returned unchanged.
    """
    if config.recipe == "none":
        return config, ()
    choices = tuple(_choices(config, encoder, data))
    values = {name: value for choice in choices for name, value in choice.values.items()}
    return with_settings(config, {**values, "recipe": "none"}), choices


def wanted_epochs(config: Config, encoder: Encoder, data: TrainingData) -> int:
    """The number of epochs that the rule gives this encoder on this data."""
    n_epochs = min(max(_unlimited_epochs(config, data), FEWEST_EPOCHS), MOST_EPOCHS)
    return n_epochs * SLOW_FACTOR if encoder.is_slow else n_epochs


def _unlimited_epochs(config: Config, data: TrainingData) -> int:
    """The number of epochs with about N_STEPS steps, at least 1."""
    return max(round(N_STEPS / data.steps_per_epoch(config, config.training.per_device_train_batch_size)), 1)


def slow_note(config: Config, encoder: Encoder, data: TrainingData) -> str | None:
    """A note about an encoder that learns slowly. None for other encoders. config: contains all chosen settings."""
    if not encoder.is_slow:
        return None
    training = config.training
    kind = (
        f"encoders with {counted(encoder.n_layers, 'layer')}, a hidden size of {encoder.width} and a SentencePiece "
        "Unigram vocabulary usually learn slowly"
    )
    wanted = wanted_epochs(config, encoder, data)
    if training.max_steps is not None or training.num_train_epochs >= wanted:
        return f"{kind} and need more epochs than others"
    return f"{kind}: use more epochs, such as --num-train-epochs {wanted}"


def _choices(config: Config, encoder: Encoder, data: TrainingData) -> Iterator[Choice]:
    left = set(config.left_to_recipe)
    if (rates := _rates(config, left, encoder)) is not None:
        yield rates
    if (batch := "training.per_device_train_batch_size") in left:
        few = data.n_sentences < FEW_SENTENCES
        size = SMALL_BATCH_SIZE if few else BATCH_SIZE
        why = f"with {FEW_SENTENCES} training sentences or more, smaller batches would only cost time"
        if few:
            why = (
                f"with fewer than {FEW_SENTENCES} training sentences, small batches give the model more steps to learn"
            )
        config = with_settings(config, {batch: size})
        # A limit of subword tokens replaces the number of windows.
        text = f"{counted(size, 'window')} per batch: {why}" if config.training.max_pieces_per_batch is None else ""
        yield Choice({batch: size}, text)
    if (epochs := "training.num_train_epochs") in left and config.training.max_steps is None:
        yield Choice({epochs: wanted_epochs(config, encoder, data)}, _epochs_text(config, encoder, data))
    if (weight := "training.span_weight") in left:
        value, why = 1.0, "no label is O"
        if config.model.head == "crf":
            why = "a CRF is trained on whole label sequences"
        elif data.has_outside:
            value, why = SPAN_WEIGHT, "most words are O, so words in spans count more"
        yield Choice({weight: value}, f"span weight {value:g}: {why}")
    if (decoding := "evaluation.decoding") in left:
        method = "viterbi" if data.has_scheme or config.model.head == "crf" else "argmax"
        why = f"the labels have {'a' if data.has_scheme else 'no'} scheme"
        if config.model.head == "crf":
            why = "it uses the transitions that the CRF learns"
        yield Choice({decoding: method}, f"decoding {method}: {why}")


def _rates(config: Config, left: set[str], encoder: Encoder) -> Choice | None:
    """The learning rate, its factor from layer to layer, and the warm-up, which depend on each other."""
    size, optimizer = encoder.size, config.optimizer
    values: dict[str, Any] = {}
    words = []
    why = "the hidden size is unknown"
    if encoder.width:
        why = f"the hidden size is {encoder.width:,}, and {size.about}"
    decay = optimizer.layer_decay
    if (name := "optimizer.layer_decay") in left:
        is_low = "optimizer.learning_rate" not in left and optimizer.learning_rate < size.learning_rate * LOW_RATE
        decay = size.layer_decay if encoder.can_decay and not is_low else 1.0
        values[name] = decay
        words.append(f"layer decay {decay:g}")
        if not encoder.can_decay:
            why += ", and its layers are not numbered"
        elif is_low:
            why = "such a low learning rate is used for all layers"
    if (name := "optimizer.learning_rate") in left:
        values[name] = size.one_rate if decay == 1 else size.learning_rate
        words.insert(0, f"learning rate {values[name]:g}")
    if (name := "optimizer.warmup_ratio") in left and _leaves_warmup(config):
        values[name] = size.warmup_ratio
        words.append(f"warm-up {size.warmup_ratio:g}" if size.warmup_ratio else "no warm-up")
    return Choice(values, f"{', '.join(words)}: {why}") if values else None


def _leaves_warmup(config: Config) -> bool:
    """Whether the schedule has a warm-up whose number of steps is not set."""
    optimizer = config.optimizer
    return optimizer.lr_scheduler_type != "constant" and "warmup_steps" not in optimizer.model_fields_set


def _epochs_text(config: Config, encoder: Encoder, data: TrainingData) -> str:
    n_epochs = wanted_epochs(config, encoder, data)
    epochs = counted(n_epochs, "epoch")
    if encoder.is_slow:
        return f"{epochs}: twice the usual {n_epochs // SLOW_FACTOR}, because this encoder probably learns slowly"
    needed = _unlimited_epochs(config, data)
    if needed == n_epochs:
        return f"{epochs}: about {N_STEPS:,} steps"
    bound = "most" if needed > n_epochs else "fewest"
    return f"{epochs}: the {bound} that the rule uses ({N_STEPS:,} steps would need {needed:,})"


def _first_number(config: Mapping[str, Any], names: tuple[str, ...]) -> int:
    found = (config.get(name) for name in names)
    return next((number for number in found if isinstance(number, int) and not isinstance(number, bool)), 0)
