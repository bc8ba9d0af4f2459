"""The settings of a run, one frozen section per subject. Unknown keys are refused. null means off or "detected".

Derived numbers (steps, batch counts, the label list) are never stored: they are functions of these values and the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from tf_tokclf.counted import counted


class Task(str, Enum):
    """What is labelled. Only decides the name of the label column in tables, `{task}_tags`."""

    NER = "ner"
    POS = "pos"
    CHUNK = "chunk"
    SLOTS = "slots"


# Larger than any sensible value, and small enough not to overflow in later computations.
COUNT_LIMIT = 1_000_000
Count = Annotated[int, Field(gt=0, le=COUNT_LIMIT)]


class Section(BaseModel):
    """A part of the configuration: frozen, and closed to unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_enum_values=False, validate_default=True, allow_inf_nan=False
    )


class DataConfig(Section):
    """Where the labelled words are and how to read them."""

    train_file: str | None = Field(None, description="file, folder or package:NAME/PATH to train on")
    validation_file: str | None = Field(
        None, description="file, folder or package:NAME/PATH to choose the best epoch with"
    )
    test_file: str | None = Field(None, description="file, folder or package:NAME/PATH to score at the end")
    dataset_name: str | None = Field(None, description="Hugging Face data set: Hub id or save_to_disk folder")
    dataset_config_name: str | None = Field(None, description="configuration of that data set")
    dataset_revision: str | None = Field(None, description="branch, tag or commit of that data set")
    train_split: str = Field("train", description="name of its split to train on")
    validation_split: str | None = Field(
        None, description="name of its validation split; null: validation, dev or valid"
    )
    test_split: str | None = Field(None, description="name of its test split; null: test, if there is one")
    format: str = Field("auto", description="file format; auto: detected; an unknown name lists all, plug-ins too")
    text_column_name: str | int | None = Field(None, description="column of words, by name or number from 0")
    label_column_name: str | int | None = Field(None, description="column of labels, by name or number from 0")
    sentence_column_name: str | int | None = Field(
        None, description="column with the sentence of each word, in tables with one word per row"
    )
    label_names: tuple[str, ...] | None = Field(
        None, description="names of the label ids in order, if the data has ids without names"
    )
    word_splitting: Literal["words", "whitespace", "characters"] = Field(
        "words",
        description="how raw text is split into words; words: sequences of letters and digits, any other character "
        "alone; whitespace: at white space; characters: each character",
    )
    separator: str | None = Field(
        None, description="column separator; null: a tab if most lines of the file have one, else blanks"
    )
    encoding: str = Field("utf-8", description="character encoding of text files; a byte-order mark is dropped")
    comment_prefix: str | None = Field(
        None,
        description="what comment lines begin with, such as '# '; null: detected from the file; '': there are no "
        "comments",
    )
    header: bool | None = Field(
        None, description="whether the first line contains the names of the columns; null: detected"
    )
    offset_unit: Literal["codepoint", "utf16", "byte"] = Field(
        "codepoint", description="unit of the character offsets of spans"
    )
    offset_end: Literal["exclusive", "inclusive"] | None = Field(
        None,
        description="whether the end of a span is its last character (inclusive) or the one after it; null: as the "
        "format defines",
    )
    span_policy: Literal["fail", "expand", "contract", "drop"] = Field(
        "fail", description="what to do with character spans that cut words or overlap"
    )
    layer: str | int | None = Field(None, description="layer of nested labels to read, by name or number from 0")
    scheme: str = Field(
        "auto", description="label scheme: auto, IO, IOB1, IOB2, BIOES, BILOU, BMES, BMEOW or none; auto: detected"
    )
    repair: Literal["none", "conlleval", "discard"] = Field(
        "none", description="what to do with label sequences that the scheme forbids"
    )
    label_spelling: Literal["standard", "keep"] = Field(
        "standard",
        description="how to read labels in other spellings, such as PER-B, b_per or OTHER; standard: as B-PER and O, "
        "if all labels form spans; keep: unchanged",
    )
    unannotated: Literal["skip", "outside"] = Field(
        "skip",
        description="what to do with records that nobody has annotated; skip: leave them out; outside: read each word "
        "as O",
    )
    annotations: str | int = Field(
        "first",
        description="which of several annotations of a record to use; first, latest, agreed (only records on which all "
        "annotators agree) or an annotator's id",
    )
    on_error: Literal["stop", "skip"] = Field(
        "stop",
        description="what to do with a sentence that cannot be read; skip: leave it out (of character spans only the "
        "wrong ones)",
    )
    validation_fraction: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="share of the training sentences used for validation if there is no validation data; the seed "
        "chooses them",
    )
    max_train_samples: PositiveInt | None = Field(None, description="use only the first N training sentences")
    max_eval_samples: PositiveInt | None = Field(
        None, description="use only the first N validation and N test sentences"
    )
    use_cache: bool = Field(
        True, description="reuse data in the cache; false: read and tokenise it again, and replace it in the cache"
    )
    cache_size_gb: float | None = Field(
        5.0,
        ge=0,
        description="size limit in GB of the cache of read and tokenised data; the least recently used entries that "
        "are not in use are removed; null: no limit. The variable TF_TOKCLF_CACHE_SIZE changes the default",
    )

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        files = [f"{name}_file" for name in ("train", "validation", "test") if getattr(self, f"{name}_file")]
        if self.dataset_name and files:
            raise ValueError(f"give {files[0]} or dataset_name, not both")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> DataConfig:
        twice = [name for name in dict.fromkeys(self.label_names or ()) if (self.label_names or ()).count(name) > 1]
        if twice:
            raise ValueError(f"label_names has {', '.join(twice)} more than once")
        return self


class ModelConfig(Section):
    """The encoder to start from."""

    name_or_path: str | None = Field(None, description="Hub id, folder, or package:NAME/PATH of an installed package")
    revision: str | None = Field(None, description="branch, tag or commit on the Hub")
    trust_remote_code: bool = Field(False, description="run Python code that comes with the model")
    allow_incomplete_weights: bool = Field(
        False,
        description="train even if weights are missing from the encoder's file or do not match it; missing weights "
        "start at random",
    )


class AlignmentConfig(Section):
    """How labels of words become labels of subword tokens ("pieces" in the code), and long sentences windows."""

    strategy: Literal["first", "all", "all-same"] = Field(
        "first",
        description="subword tokens of a word that get its label; first: the first one; all: all, with I- after the "
        "first B-; all-same: all, with the same label",
    )
    max_length: PositiveInt | None = Field(
        None,
        description="subword tokens in a window, including special ones; null: the model's limit, at most 512",
    )
    overlap: int = Field(
        64, ge=0, description="smallest number of subword tokens that neighbouring windows of a long sentence share"
    )
    truncate: bool = Field(
        False, description="keep only the first window of a long sentence; the other words are not seen"
    )
    context_sentences: int = Field(
        0, ge=0, description="number of sentences before and after in the document that are read as context, not scored"
    )


class OptimizerConfig(Section):
    """AdamW with a linear warm-up and decay, as `transformers.create_optimizer` builds it."""

    learning_rate: PositiveFloat = Field(5e-5, description="highest learning rate, reached when the warm-up ends")
    weight_decay: float = Field(
        0.01, ge=0, description="decoupled weight decay per step, multiplied by the learning rate"
    )
    warmup_ratio: float = Field(0.0, ge=0, lt=1, description="share of all steps used for warm-up")
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="factor on the learning rate from each layer to the one below; the head has the full rate",
    )
    clip_norm: PositiveFloat | None = Field(1.0, description="clip gradients to this global norm; null: do not clip")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="decay of Adam's first moment")
    adam_beta2: float = Field(0.999, ge=0, lt=1, description="decay of Adam's second moment")
    adam_epsilon: PositiveFloat = Field(1e-8, description="number added to the root of Adam's second moment")


class TrainingConfig(Section):
    """Epochs, batches, precision, checkpoints and devices."""

    num_train_epochs: Count = Field(3, description="number of training epochs")
    per_device_train_batch_size: Count = Field(
        16,
        description="windows per batch; several devices divide each batch, so their number does not change the result",
    )
    max_pieces_per_batch: Count | None = Field(
        None,
        description="subword tokens per batch, including padding, as the limit instead of a number of windows; null: "
        "off",
    )
    gradient_accumulation_steps: Count = Field(1, description="batches whose gradients make one optimizer step")
    seed: int = Field(
        42, ge=0, le=2**32 - 1, description="random seed for the new head, dropout and the order of batches"
    )
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "auto",
        description="floating-point precision; auto: float16 on GPUs that are fast in it, bfloat16 on CPUs that "
        "support it, else float32",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of each target that is spread evenly over all labels"
    )
    span_weight: float = Field(
        1.0, gt=0, le=100, description="weight in the loss of words in spans; other words have weight 1"
    )
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="score and save an exponential moving average of the weights with this decay per step; null: off",
    )
    jit_compile: bool = Field(
        False, description="compile gradients with XLA, for a few shapes of batches; faster on GPUs, slower on CPUs"
    )
    freeze_embeddings: bool = Field(False, description="do not train the encoder's embeddings")
    patience: PositiveInt | None = Field(
        None, description="stop after this many epochs without a better validation F1; null: never"
    )
    logging_steps: PositiveInt = Field(50, description="steps between two log lines with the training loss")
    report_to: tuple[Literal["tensorboard", "csv", "wandb", "mlflow"], ...] = Field(
        ("tensorboard",),
        description="where to report epochs, in addition to history.jsonl; an empty list: nowhere else",
    )
    strategy: Literal["auto", "one", "mirrored", "multi-worker"] = Field(
        "auto",
        description="devices to train on; one: one device; mirrored: all devices of this host; multi-worker: the hosts "
        "in TF_CONFIG; auto: the hosts in TF_CONFIG if it is set, else all GPUs, else one device",
    )
    worker_timeout_s: PositiveFloat = Field(
        300, description="how long workers wait for each other at the start, in seconds"
    )
    checkpoints: bool = Field(
        True, description="write a checkpoint for --resume after each epoch; the last two are kept during the run"
    )
    keep_checkpoints: int = Field(
        0,
        ge=0,
        le=COUNT_LIMIT,
        description="number of checkpoints to keep when the run is finished; if above 2, also during the run",
    )
    checkpoint_steps: PositiveInt | None = Field(
        None, description="write a checkpoint within an epoch every N steps; null: off"
    )
    checkpoint_minutes: PositiveFloat | None = Field(
        10, description="write a checkpoint within an epoch every N minutes; null: off"
    )
    deterministic: bool = Field(
        False, description="compute exactly the same result in every run, at some cost in speed"
    )

    @property
    def batch_text(self) -> str:
        """What a batch holds, for people."""
        if self.max_pieces_per_batch is not None:
            return f"at most {counted(self.max_pieces_per_batch, 'piece')}"
        return counted(self.per_device_train_batch_size, "window")

    @model_validator(mode="after")
    def _trackers_differ(self) -> TrainingConfig:
        twice = [name for name in dict.fromkeys(self.report_to) if self.report_to.count(name) > 1]
        if twice:
            raise ValueError(f"report_to has {', '.join(twice)} more than once")
        return self


class EvaluationConfig(Section):
    """How to score."""

    per_device_eval_batch_size: Count = Field(32, description="windows per forward pass on each device")
    mode: Literal["conlleval", "strict"] = Field("conlleval", description="how invalid label sequences are read")
    decoding: Literal["argmax", "viterbi"] = Field(
        "argmax",
        description="argmax: the best label of each word; viterbi: the best sequence that the scheme allows",
    )


class CardConfig(Section):
    """Content of the model card that cannot be derived from the run."""

    license: str | None = Field(
        None, description="licence of the model, with its name on the Hub, such as mit or cc-by-4.0"
    )
    language: tuple[str, ...] = Field((), description="language codes, such as en or de")
    tags: tuple[str, ...] = Field((), description="additional tags for searching the Hub")
    dataset_license: str | None = Field(None, description="licence of the data; null: from the card of the data set")
    examples: tuple[str, ...] = Field((), description="example sentences for the widget on the model page")
    sections: dict[str, str] = Field({}, description="additional sections: heading and Markdown text")
    template: str | None = Field(None, description="Jinja file that replaces or extends model_card.md.jinja")


class HubConfig(Section):
    """Publishing to the Hugging Face Hub."""

    push: bool = Field(False, description="publish during and after training")
    model_id: str | None = Field(None, description="repository to publish to, as NAME or ORG/NAME")
    private: bool = Field(False, description="create the repository as private")
    strategy: Literal["end", "every_save", "checkpoint", "all_checkpoints", "best"] = Field(
        "every_save", description="what is pushed during training"
    )
    backend: Literal["http", "git"] = Field("http", description="how to push; git: transformers' own PushToHubCallback")
    revision: str | None = Field(None, description="branch to push to; it is created if it does not exist")
    tries: PositiveInt = Field(
        5, description="number of tries for the last push, with growing waits, before the command fails"
    )
    card: CardConfig = CardConfig()


# Settings by the name of a recipe, used for what is not set explicitly. best: learning rates that decrease from the
# head down (discriminative fine-tuning, Howard and Ruder 2018, arXiv:1801.06146), a higher weight of spans in the loss,
# and decoding of valid sequences only. docs/log.md has the experiments that it was chosen from.
RECIPES: Mapping[str, Mapping[str, Mapping[str, float | str]]] = {
    "best": {
        "optimizer": {"learning_rate": 1e-3, "layer_decay": 0.7},
        "training": {"span_weight": 2.0},
        "evaluation": {"decoding": "viterbi"},
    }
}


class Config(Section):
    """All settings of a run."""

    task: Task = Field(Task.NER, description="task; the label column of tables is {task}_tags")
    recipe: Literal["best"] | None = Field(
        None,
        description="best: learning rates, a loss and a decoding that suit small encoders; explicit settings override "
        "them",
    )
    output_dir: str | None = Field(None, description="folder of the run")
    overwrite: bool = Field(False, description="replace the run that is already in that folder")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    hub: HubConfig = HubConfig()
    sweep: dict[str, tuple[bool | int | float | str | None, ...]] = Field(
        {},
        description="values to try for each SECTION.KEY; each combination is trained, and the one with the best "
        "validation F1 is kept",
    )
    sweep_trials: PositiveInt | None = Field(
        None,
        description="number of combinations of a sweep to try, each chosen from the results so far; null: all",
    )

    @model_validator(mode="before")
    @classmethod
    def _follow_recipe(cls, values: Any) -> Any:
        """Replace a recipe by its settings, so that a saved configuration means the same in later versions."""
        recipe = values.get("recipe") if isinstance(values, dict) else None
        if not isinstance(recipe, str) or recipe not in RECIPES:
            return values
        followed = {name: value for name, value in values.items() if name != "recipe"}
        for name, settings in RECIPES[recipe].items():
            own = followed.get(name, {})
            if isinstance(own, Section):
                own = own.model_dump(exclude_unset=True)
            # If it is not a section, checking the section reports it.
            if isinstance(own, dict):
                followed[name] = {**settings, **own}
        return followed
