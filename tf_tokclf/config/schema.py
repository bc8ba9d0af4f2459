"""What a run is. One frozen section per subject; unknown keys are refused; null means off or "found out".

Derived numbers (steps, batch counts, the label list) are never stored: they are functions of these values and the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator


class Task(str, Enum):
    """What is labelled; names the column `{task}_tags` in tables and decides nothing else."""

    NER = "ner"
    POS = "pos"
    CHUNK = "chunk"
    SLOTS = "slots"


# Far above whatever anybody means, and below what overflows on the way.
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
    validation_file: str | None = Field(None, description="file, folder or package: reference to choose weights by")
    test_file: str | None = Field(None, description="file, folder or package: reference to score at the end")
    dataset_name: str | None = Field(None, description="Hugging Face data set: Hub id or save_to_disk folder")
    dataset_config_name: str | None = Field(None, description="configuration of that data set")
    dataset_revision: str | None = Field(None, description="branch, tag or commit of that data set")
    train_split: str = Field("train", description="name of its split to train on")
    validation_split: str | None = Field(None, description="name of its dev split; null: validation, dev or valid")
    test_split: str | None = Field(None, description="name of its test split; null: test, where there is one")
    format: str = Field("auto", description="file format; auto: found by name and content")
    text_column_name: str | int | None = Field(None, description="column of words, by name or number from 0")
    label_column_name: str | int | None = Field(None, description="column of labels, by name or number from 0")
    sentence_column_name: str | int | None = Field(
        None, description="column that says which sentence a row's word belongs to, in tables of a word a row"
    )
    label_names: tuple[str, ...] | None = Field(
        None, description="names of label ids in order, where the data has ids without names"
    )
    word_splitting: Literal["words", "whitespace", "characters"] = Field(
        "words", description="how raw text falls into words; words: runs of letters and digits, each other sign alone"
    )
    separator: str | None = Field(None, description="between columns; null: a tab if the line has one, else blanks")
    encoding: str = Field("utf-8", description="character encoding of text files; a byte-order mark is dropped")
    comment_prefix: str | None = Field(
        None,
        description="lines that begin with it are comments, such as '# '; null: found out from the file; '': there are "
        "no comments",
    )
    header: bool | None = Field(None, description="the first line names the columns; null: found out")
    offset_unit: Literal["codepoint", "utf16", "byte"] = Field(
        "codepoint", description="what character offsets of spans count"
    )
    offset_end: Literal["exclusive", "inclusive"] | None = Field(
        None, description="how span ends count; null: as the format does"
    )
    span_policy: Literal["fail", "expand", "contract", "drop"] = Field(
        "fail", description="for character spans that cut words or overlap"
    )
    layer: str | int | None = Field(None, description="which layer of nested labels, by name or number from 0")
    scheme: str = Field("auto", description="auto, IO, IOB1, IOB2, BIOES, BILOU, BMES, BMEOW or none")
    repair: Literal["none", "conlleval", "discard"] = Field(
        "none", description="what to do with label sequences that the scheme forbids"
    )
    label_spelling: Literal["standard", "keep"] = Field(
        "standard",
        description="labels in other spellings, such as PER-B, b_per or OTHER; standard: read them as B-PER and O "
        "where all labels form spans",
    )
    unannotated: Literal["skip", "outside"] = Field(
        "skip", description="records that nobody has annotated; skip: leave them out; outside: read each word as O"
    )
    annotations: str | int = Field(
        "first",
        description="which of several annotations of a record to use; first, latest, agreed (only records on which all "
        "annotators agree) or an annotator's id",
    )
    on_error: Literal["stop", "skip"] = Field(
        "stop", description="at a sentence that cannot be read; skip: leave it out, and of spans only the bad ones"
    )
    validation_fraction: float = Field(
        0.1, gt=0, lt=1, description="share of the training sentences cut off by seed when there is no dev split"
    )
    max_train_samples: PositiveInt | None = Field(None, description="first so many training sentences only")
    max_eval_samples: PositiveInt | None = Field(None, description="first so many dev and test sentences only")
    use_cache: bool = Field(True, description="reuse tokenised data whose content has not changed")
    cache_size_gb: float | None = Field(
        5.0,
        ge=0,
        description="size limit in GB of the cache of read and tokenised data; the least recently used entries are "
        "removed, none that is in use; null: no limit. The variable TF_TOKCLF_CACHE_SIZE changes the default",
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
        False, description="train although encoder and weights file do not match; missing weights start at random"
    )


class AlignmentConfig(Section):
    """From labels of words to labels of pieces, and from long sentences to windows."""

    strategy: Literal["first", "all", "all-same"] = Field(
        "first", description="pieces that carry a label: a word's first; all, B- going on as I-; all, each the same"
    )
    max_length: PositiveInt | None = Field(
        None, description="pieces in a window, special ones included; null: the model's limit, at most 512"
    )
    overlap: int = Field(64, ge=0, description="pieces that neighbouring windows of a long sentence share at least")
    truncate: bool = Field(False, description="keep only a long sentence's first window; the rest is missed")
    context_sentences: int = Field(
        0, ge=0, description="neighbouring sentences of the document on each side shown as unscored context"
    )


class OptimizerConfig(Section):
    """AdamW with a linear warm-up and decay, as `transformers.create_optimizer` builds it."""

    learning_rate: PositiveFloat = Field(5e-5, description="peak, reached when warm-up ends")
    weight_decay: float = Field(0.01, ge=0, description="decoupled, per step, times the learning rate")
    warmup_ratio: float = Field(0.0, ge=0, lt=1, description="share of all steps to warm up in")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="factor on the rate from each layer to the one below; the head has the full rate"
    )
    clip_norm: PositiveFloat | None = Field(1.0, description="global gradient norm; null leaves gradients as they are")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="decay of the first moment")
    adam_beta2: float = Field(0.999, ge=0, lt=1, description="decay of the second moment")
    adam_epsilon: PositiveFloat = Field(1e-8, description="added to the root of the second moment")


class TrainingConfig(Section):
    """How long, in what portions and how precisely to train."""

    num_train_epochs: Count = Field(3, description="passes over the training sentences")
    per_device_train_batch_size: Count = Field(
        16, description="windows a batch; several devices share them out, so that their number changes no result"
    )
    max_pieces_per_batch: Count | None = Field(
        None, description="pieces a batch with padding, in place of a number of windows; null: off"
    )
    gradient_accumulation_steps: Count = Field(1, description="batches whose gradients make one step")
    seed: int = Field(42, ge=0, le=2**32 - 1, description="of the head, dropout and the order of batches")
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "auto", description="auto: float16 on GPUs that are fast in it, bfloat16 on CPUs that have it, else float32"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of each piece's target that is spread over all labels alike"
    )
    span_weight: float = Field(
        1.0, gt=0, le=100, description="weight of words of spans in the loss, where those outside of spans weigh 1"
    )
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="score and save an average of the weights, in which a step counts so much of what the next one "
        "does; null: off",
    )
    jit_compile: bool = Field(
        False, description="compile gradients with XLA, for a few shapes of batches; for GPUs: slower on CPUs"
    )
    freeze_embeddings: bool = Field(False, description="leave the encoder's embeddings as they are")
    patience: PositiveInt | None = Field(None, description="epochs without a better dev score before stopping")
    logging_steps: PositiveInt = Field(50, description="steps between two lines of training loss")
    report_to: tuple[Literal["tensorboard", "csv", "wandb", "mlflow"], ...] = Field(
        ("tensorboard",), description="where epochs are reported, besides history.jsonl; a list, empty for nowhere"
    )
    strategy: Literal["auto", "one", "mirrored", "multi-worker"] = Field(
        "auto", description="mirrored: all devices of this host; multi-worker: hosts in TF_CONFIG; auto: what there is"
    )
    worker_timeout_s: PositiveFloat = Field(300, description="seconds that workers wait for each other at the start")
    checkpoints: bool = Field(
        True, description="write what --resume needs after each epoch; the last two stay while the run goes on"
    )
    keep_checkpoints: int = Field(
        0, ge=0, le=COUNT_LIMIT, description="checkpoints that stay once the run is finished; above 2, also before that"
    )
    checkpoint_steps: PositiveInt | None = Field(None, description="steps between two checkpoints within an epoch")
    checkpoint_minutes: PositiveFloat | None = Field(
        10, description="minutes after which a checkpoint is due within an epoch; null: none by time"
    )
    deterministic: bool = Field(False, description="the same bits every time, at some cost in speed")

    @property
    def batch_text(self) -> str:
        """What a batch holds, for people."""
        if self.max_pieces_per_batch is not None:
            return f"at most {self.max_pieces_per_batch:,} pieces"
        return f"{self.per_device_train_batch_size} windows"

    @model_validator(mode="after")
    def _trackers_differ(self) -> TrainingConfig:
        twice = [name for name in dict.fromkeys(self.report_to) if self.report_to.count(name) > 1]
        if twice:
            raise ValueError(f"report_to has {', '.join(twice)} more than once")
        return self


class EvaluationConfig(Section):
    """How to score."""

    per_device_eval_batch_size: Count = Field(32, description="windows a forward pass on each device")
    mode: Literal["conlleval", "strict"] = Field("conlleval", description="reading of invalid label sequences")
    decoding: Literal["argmax", "viterbi"] = Field("argmax", description="viterbi: only sequences the scheme allows")


class CardConfig(Section):
    """What the model card says that a run cannot know."""

    license: str | None = Field(None, description="licence of the model, by its name on the Hub: mit, cc-by-4.0 ...")
    language: tuple[str, ...] = Field((), description="languages by code: en, de ...")
    tags: tuple[str, ...] = Field((), description="more tags for searching the Hub")
    dataset_license: str | None = Field(None, description="licence of the data; null: as the data set's own card says")
    examples: tuple[str, ...] = Field((), description="sentences for the model page's widget")
    sections: dict[str, str] = Field({}, description="more sections: heading and Markdown text")
    template: str | None = Field(None, description="Jinja file that replaces or extends model_card.md.jinja")


class HubConfig(Section):
    """Publishing to the Hugging Face Hub."""

    push: bool = Field(False, description="publish during and after training")
    model_id: str | None = Field(None, description="NAME or ORG/NAME of the repository")
    private: bool = Field(False, description="create the repository as a private one")
    strategy: Literal["end", "every_save", "checkpoint", "all_checkpoints", "best"] = Field(
        "every_save", description="what is pushed while training goes on"
    )
    backend: Literal["http", "git"] = Field("http", description="git: transformers' own PushToHubCallback")
    revision: str | None = Field(None, description="branch to push to, made where it does not exist")
    tries: PositiveInt = Field(5, description="of the last push, with growing waits, before the run counts as failed")
    card: CardConfig = CardConfig()


# By name: settings that are taken where nothing else is said. best: rates that fall from the head down, discriminative
# fine-tuning (Howard and Ruder 2018, arXiv:1801.06146); spans that weigh more than what is outside of them; and
# sequences that the scheme allows. docs/log.md has what it was chosen by.
RECIPES: Mapping[str, Mapping[str, Mapping[str, float | str]]] = {
    "best": {
        "optimizer": {"learning_rate": 1e-3, "layer_decay": 0.7},
        "training": {"span_weight": 2.0},
        "evaluation": {"decoding": "viterbi"},
    }
}


class Config(Section):
    """One run, whole."""

    task: Task = Field(Task.NER, description="names the label column of tables, {task}_tags")
    recipe: Literal["best"] | None = Field(
        None,
        description="best: stands for rates, a loss and a decoding that small encoders do best with; what is set "
        "beside it wins",
    )
    output_dir: str | None = Field(None, description="the run's folder")
    overwrite: bool = Field(False, description="replace a run that is already in that folder")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    hub: HubConfig = HubConfig()
    sweep: dict[str, tuple[bool | int | float | str | None, ...]] = Field(
        {}, description="values to try by SECTION.KEY: a run for each combination, the best by dev F1 is kept"
    )
    sweep_trials: PositiveInt | None = Field(
        None, description="so many of the combinations of a sweep, chosen by what the ones before gave; null: all"
    )

    @model_validator(mode="before")
    @classmethod
    def _follow_recipe(cls, values: Any) -> Any:
        """A recipe becomes the settings it stands for, so that what is saved means the same in later versions."""
        recipe = values.get("recipe") if isinstance(values, dict) else None
        if not isinstance(recipe, str) or recipe not in RECIPES:
            return values
        followed = {name: value for name, value in values.items() if name != "recipe"}
        for name, settings in RECIPES[recipe].items():
            own = followed.get(name, {})
            if isinstance(own, Section):
                own = own.model_dump(exclude_unset=True)
            # What is no section is told where the section is checked.
            if isinstance(own, dict):
                followed[name] = {**settings, **own}
        return followed
