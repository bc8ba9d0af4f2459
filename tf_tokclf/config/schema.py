"""The settings of a run, one frozen section per subject. Unknown keys are refused. null means "off" or "detected".

Derived values (steps, number of batches, list of labels) are not stored, because they follow from the settings and the
data.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from tf_tokclf.config.fields import is_by_recipe, setting
from tf_tokclf.config.shipped_schema import HEADING, without_prefixes
from tf_tokclf.counted import counted


class Task(str, Enum):
    """The task. It only determines the name of the label column in tables, `{task}_tags`."""

    NER = "ner"
    POS = "pos"
    CHUNK = "chunk"
    SLOTS = "slots"


# Larger than any sensible value, but small enough that later computations do not overflow.
COUNT_LIMIT = 1_000_000
# What the names of measures begin with in transformers' scripts.
_MEASURE_PREFIXES = ("eval_", "overall_")
Count = Annotated[int, Field(gt=0, le=COUNT_LIMIT)]


class Section(BaseModel):
    """A section of the configuration. It is frozen and refuses unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_enum_values=False, validate_default=True, allow_inf_nan=False
    )


class DataConfig(Section, json_schema_extra={HEADING: "Data"}):
    """The labelled data, and how to read it."""

    train_file: str | None = setting(None, "File, folder or package:NAME/PATH to train on.", option="--train-file")
    validation_file: str | None = setting(
        None, "File, folder or package:NAME/PATH to choose the best epoch with.", option="--validation-file"
    )
    test_file: str | None = setting(
        None, "File, folder or package:NAME/PATH to score at the end.", option="--test-file"
    )
    dataset_name: str | None = setting(
        None, "Hugging Face data set: Hub id or save_to_disk folder.", option="--dataset-name"
    )
    dataset_config_name: str | None = setting(None, "Configuration of that data set.", option="--dataset-config-name")
    dataset_revision: str | None = setting(None, "Branch, tag or commit of that data set.")
    train_split: str = setting("train", "Name of its split to train on.")
    validation_split: str | None = setting(
        None, "Name of its validation split.", meanings={None: "validation, dev, valid, val or devel"}
    )
    test_split: str | None = setting(None, "Name of its test split.", meanings={None: "test, if there is one"})
    format: str = setting(
        "auto",
        "File format. Give an unknown name to list all, including those of plug-ins.",
        meanings={"auto": "detected from name and content"},
        option="--format",
        reads="words",
    )
    text_column_name: str | int | None = setting(
        None,
        "Column of words or texts, by name or number from 0.",
        meanings={None: "detected"},
        option="--text-column-name",
        by_number=True,
        reads="words",
    )
    label_column_name: str | int | None = setting(
        None,
        "Column of labels, by name or number from 0.",
        meanings={None: "detected"},
        option="--label-column-name",
        by_number=True,
        reads="labels",
    )
    sentence_column_name: str | int | None = setting(
        None,
        "Column with the sentence of each word, in tables with one word per row.",
        meanings={None: "detected"},
        option="--sentence-column-name",
        by_number=True,
        reads="words",
    )
    label_names: tuple[str, ...] | None = setting(
        None, "Names of the label ids in order, if the data has ids without names."
    )
    word_splitting: Literal["words", "whitespace", "characters"] = setting(
        "words",
        "How raw text is split into words.",
        meanings={
            "words": "sequences of letters and digits, any other character alone",
            "whitespace": "at white space",
            "characters": "each character",
        },
        option="--word-splitting",
        reads="words",
    )
    separator: str | None = setting(
        None,
        "Column separator: tab, space or a character.",
        meanings={None: "a tab if most lines of the file have one, else spaces"},
        option="--separator",
        reads="words",
    )
    encoding: str = setting(
        "utf-8",
        "Character encoding of text files. A byte-order mark is dropped.",
        option="--encoding",
        reads="words",
    )
    comment_prefix: str | None = setting(
        None,
        "Prefix of comment lines, such as '# '. An empty string means that there are no comments.",
        meanings={None: "detected"},
        option="--comment-prefix",
        reads="words",
    )
    header: bool | None = setting(
        None,
        "Whether the first line contains the names of the columns.",
        meanings={None: "detected"},
        option="--header",
        reads="words",
    )
    offset_unit: Literal["codepoint", "utf16", "byte"] = setting(
        "codepoint", "Unit of the character offsets of spans.", option="--offset-unit", reads="words"
    )
    offset_end: Literal["exclusive", "inclusive"] | None = setting(
        None,
        "Whether the end of a span is its last character (inclusive) or the one after it (exclusive).",
        meanings={None: "as the format defines"},
        option="--offset-end",
        reads="words",
    )
    span_policy: Literal["fail", "expand", "contract", "drop"] = setting(
        "fail",
        "What to do with character spans that begin or end inside a word, or that overlap.",
        option="--span-policy",
        reads="labels",
    )
    layer: str | int | None = setting(
        None,
        "Layer of nested labels, by name or number from 0 (the outermost).",
        option="--layer",
        by_number=True,
        reads="labels",
    )
    scheme: str = setting(
        "auto",
        "Label scheme: IO, IOB1, IOB2, BIOES, BILOU, BMES, BMEOW or none.",
        meanings={"auto": "detected"},
        option="--scheme",
        reads="labels",
    )
    repair: Literal["none", "conlleval", "discard"] = setting(
        "none",
        "What to do with label sequences that the scheme forbids.",
        meanings={
            "none": "leave them unchanged",
            "conlleval": "change them to the spans that the CoNLL script reads",
            "discard": "label the words of invalid spans O",
        },
        option="--repair",
        reads="labels",
    )
    label_spelling: Literal["standard", "keep"] = setting(
        "standard",
        "How to read labels in other spellings, such as PER-B, b_per or OTHER.",
        meanings={"standard": "as B-PER and O, if all labels form spans", "keep": "unchanged"},
        option="--label-spelling",
        reads="labels",
    )
    unannotated: Literal["skip", "outside"] = setting(
        "skip",
        "What to do with records without annotations.",
        meanings={"skip": "leave them out", "outside": "label each word O"},
        option="--unannotated",
        reads="labels",
    )
    annotations: str | int = setting(
        "first",
        "Which of several annotations of a record to use: first, latest, agreed (only records on which all annotators "
        "agree) or an annotator's id.",
        option="--annotations",
        reads="labels",
    )
    on_error: Literal["stop", "skip"] = setting(
        "stop",
        "What to do with a sentence that cannot be read.",
        meanings={"skip": "leave it out; in a text with spans, leave out only the invalid spans"},
        option="--on-error",
        reads="words",
    )
    validation_fraction: float = setting(
        0.1,
        "Share of the training sentences that is drawn for validation if there is no validation data.",
        option="--validation-fraction",
        gt=0,
        lt=1,
    )
    test_fraction: float | None = setting(
        None,
        "Share of the training sentences that is drawn for testing, if there is no test data.",
        meanings={None: "none"},
        option="--test-fraction",
        gt=0,
        lt=1,
    )
    split_seed: int = setting(
        42,
        "Random seed for drawing validation and test sentences. training.seed has no effect on them.",
        option="--split-seed",
        ge=0,
        le=2**32 - 1,
    )
    split_by: Literal["auto", "document", "sentence"] = setting(
        "auto",
        "Unit that is kept whole when validation and test sentences are drawn.",
        meanings={
            "auto": "documents if the data has enough of them, otherwise sentences",
            "sentence": "sentences with the same words stay together",
        },
        option="--split-by",
    )
    max_train_samples: PositiveInt | None = setting(
        None, "Use only the first N training sentences.", option="--max-train-samples"
    )
    max_eval_samples: PositiveInt | None = setting(
        None, "Use only the first N validation and N test sentences.", option="--max-eval-samples"
    )
    train_fraction: float = setting(
        1.0,
        "Share of the training sentences to train on, drawn like a validation set. Validation and test sentences "
        "stay the same. fit --learning-curve trains on several shares.",
        gt=0,
        le=1,
    )
    train_fraction_seed: int = setting(
        42,
        "Random seed for drawing that share. A smaller share with the same seed is part of a larger one.",
        ge=0,
        le=2**32 - 1,
    )
    extra_file: str | None = setting(
        None,
        "File or folder of further training sentences whose labels are less certain, such as predictions. "
        "training.extra_weight is their weight.",
        meanings={None: "none"},
        option="--extra-file",
    )
    extra_min_score: float | None = setting(
        None,
        "Do not use the label of a word in extra_file if its score is lower. The file must be JSON lines that predict "
        "wrote.",
        meanings={None: "use all labels"},
        option="--extra-min-score",
        gt=0,
        le=1,
    )
    extra_labels: Literal["auto", "hard", "soft"] = setting(
        "auto",
        "What to learn from extra_file.",
        meanings={
            "auto": "soft if it has probabilities of labels (predict --top-k) that can be used, else hard",
            "hard": "the label of each word",
            "soft": "the probabilities of its labels",
        },
        option="--extra-labels",
    )
    use_cache: bool = setting(
        True,
        "Reuse data in the cache.",
        meanings={False: "read and tokenise the data again, and replace it in the cache"},
        option="--overwrite-cache",
    )
    cache_size_gb: float | None = setting(
        5.0,
        "Size limit in GB of the cache of read and tokenised data. The least recently used entries that are not in use "
        "are removed. The variable TF_TOKCLF_CACHE_SIZE changes the default.",
        meanings={None: "no limit"},
        ge=0,
    )

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        files = [f"{name}_file" for name in ("train", "validation", "test") if getattr(self, f"{name}_file")]
        if self.dataset_name and files:
            raise ValueError(f"give {files[0]} or dataset_name, not both")
        return self

    @model_validator(mode="after")
    def _can_be_drawn(self) -> DataConfig:
        if self.test_fraction is None:
            return self
        if self.test_file:
            raise ValueError("give test_file or test_fraction, not both")
        # Of a data set, the names of the splits are not known yet.
        if not (self.validation_file or self.dataset_name) and self.validation_fraction + self.test_fraction >= 1:
            total = f"{self.validation_fraction:g} and {self.test_fraction:g}"
            raise ValueError(f"validation_fraction and test_fraction ({total}) leave no sentences for training")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> DataConfig:
        twice = [name for name in dict.fromkeys(self.label_names or ()) if (self.label_names or ()).count(name) > 1]
        if twice:
            raise ValueError(f"label_names contains {', '.join(twice)} more than once")
        return self


class ModelConfig(Section, json_schema_extra={HEADING: "Model"}):
    """The encoder to start from."""

    name_or_path: str | None = setting(
        None, "Encoder: Hub id, folder or package:NAME/PATH of an installed package.", option="--model-name-or-path"
    )
    revision: str | None = setting(None, "Branch, tag or commit on the Hub.", option="--model-revision")
    trust_remote_code: bool = setting(False, "Run Python code that comes with the model.", option="--trust-remote-code")
    allow_incomplete_weights: bool = setting(
        False,
        "Train even if the encoder's file lacks weights, or contains weights that do not match its configuration. "
        "Missing weights are initialised at random.",
        option="--allow-incomplete-weights",
    )
    head: Literal["linear", "crf"] = setting(
        "linear",
        "What is trained on top of the encoder.",
        meanings={
            "linear": "a linear layer, which scores each word by itself",
            "crf": "a linear layer and a CRF, which also learns which labels follow each other",
        },
        option="--head",
    )


class AlignmentConfig(Section, json_schema_extra={HEADING: "Subword tokens and windows"}):
    """How the labels of words are assigned to subword tokens ("pieces" in the code), and how windows are cut from long
    sentences.
    """

    strategy: Literal["first", "all", "all-same"] = setting(
        "first",
        "Subword tokens of a word that get its label.",
        meanings={
            "first": "the first one",
            "all": "all, with I- after the first B-",
            "all-same": "all, with the same label",
        },
        option="--alignment",
        switches={"--label-all-tokens": "all-same"},
    )
    max_length: PositiveInt | None = setting(
        None,
        "Subword tokens in a window, including special ones.",
        meanings={None: "the encoder's limit, at most 512"},
        option=("--max-length", "--max-seq-length"),
    )
    overlap: int = setting(
        64,
        "Smallest number of subword tokens that neighbouring windows of a long sentence share.",
        option="--overlap",
        ge=0,
    )
    truncate: bool = setting(False, "Use only the first window of a long sentence. Its other words are ignored.")
    context_sentences: int = setting(
        0, "Number of sentences of the document before and after each sentence to use as context.", ge=0
    )


class OptimizerConfig(Section, json_schema_extra={HEADING: "Training"}):
    """AdamW as `transformers.create_optimizer` builds it, with a warm-up and a schedule of the learning rate."""

    learning_rate: PositiveFloat = setting(
        5e-5,
        "Highest learning rate, reached when the warm-up ends.",
        option="--learning-rate",
        by_recipe=True,
    )
    weight_decay: float = setting(
        0.01, "Decoupled weight decay per step, multiplied by the learning rate.", option="--weight-decay", ge=0
    )
    lr_scheduler_type: Literal[
        "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt"
    ] = setting(
        "linear",
        "Schedule of the learning rate after the warm-up, as in transformers.",
        meanings={
            "linear": "decay to 0",
            "cosine": "decay to 0 along a cosine",
            "cosine_with_restarts": "the same as cosine, because there is only one cycle",
            "polynomial": "linear decay to 1e-7",
            "constant": "no warm-up and no decay",
            "constant_with_warmup": "no decay",
            "inverse_sqrt": "decay by the inverse square root of the step",
        },
        option="--lr-scheduler-type",
    )
    warmup_ratio: float = setting(
        0.0, "Share of all steps used for warm-up.", option="--warmup-ratio", by_recipe=True, ge=0, lt=1
    )
    warmup_steps: int = setting(
        0,
        "Number of warm-up steps. A number above 0 overrides warmup_ratio.",
        option="--warmup-steps",
        ge=0,
        le=COUNT_LIMIT,
    )
    layer_decay: float = setting(
        1.0,
        "Factor by which the learning rate is multiplied from each layer to the one below, starting at the head.",
        option="--layer-decay",
        by_recipe=True,
        gt=0,
        le=1,
    )
    clip_norm: PositiveFloat | None = setting(
        1.0, "Clip gradients to this global norm.", meanings={None: "do not clip"}, option="--max-grad-norm"
    )
    adam_beta1: float = setting(0.9, "Decay of Adam's first moment.", ge=0, lt=1)
    adam_beta2: float = setting(0.999, "Decay of Adam's second moment.", ge=0, lt=1)
    adam_epsilon: PositiveFloat = setting(1e-8, "Number added to the square root of Adam's second moment.")


class TrainingConfig(Section, json_schema_extra={HEADING: "Training"}):
    """Epochs, batches, precision, checkpoints and devices."""

    num_train_epochs: Count = setting(3, "Number of training epochs.", option="--num-train-epochs", by_recipe=True)
    max_steps: Count | None = setting(
        None,
        "Number of optimizer steps to train for. It overrides num_train_epochs. The last epoch can be incomplete.",
        meanings={None: "off", -1: "off"},
        option="--max-steps",
    )
    per_device_train_batch_size: Count = setting(
        16,
        "Windows per batch. Several devices divide each batch, so their number does not change the result.",
        option="--per-device-train-batch-size",
        by_recipe=True,
    )
    max_pieces_per_batch: Count | None = setting(
        None,
        "Limit batches by this number of subword tokens, including padding, instead of a number of windows.",
        meanings={None: "off"},
        option="--max-pieces-per-batch",
    )
    gradient_accumulation_steps: Count = setting(
        1,
        "Number of batches whose gradients are summed for one optimizer step.",
        option="--gradient-accumulation-steps",
    )
    seed: int = setting(
        42,
        "Random seed for the new head, dropout and the order of batches.",
        option="--seed",
        ge=0,
        le=2**32 - 1,
    )
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = setting(
        "auto",
        "Floating-point precision of the computation.",
        meanings={
            "auto": "float16 on GPUs with fast float16 arithmetic, bfloat16 on CPUs that support it, else float32"
        },
        option="--precision",
        switches={"--fp16": "mixed_float16", "--bf16": "mixed_bfloat16"},
    )
    label_smoothing: float = setting(
        0.0,
        "Share of each target that is spread evenly over all labels.",
        option=("--label-smoothing", "--label-smoothing-factor"),
        ge=0,
        lt=1,
    )
    span_weight: float = setting(
        1.0,
        "Weight in the loss of words that are in spans. Other words have weight 1.",
        option="--span-weight",
        by_recipe=True,
        gt=0,
        le=100,
    )
    extra_weight: float = setting(
        1.0,
        "Factor by which the loss of the sentences in data.extra_file is multiplied. Other sentences have weight 1.",
        option="--extra-weight",
        gt=0,
        le=1,
    )
    ema_decay: float | None = setting(
        None,
        "Score and save an exponential moving average of the weights with this decay per step, such as 0.99.",
        meanings={None: "off"},
        option="--ema-decay",
        gt=0,
        lt=1,
    )
    jit_compile: bool = setting(
        False,
        "Compile the gradient computation with XLA, once for each of a small number of batch shapes. Faster on GPUs, "
        "slower on CPUs.",
        option="--jit-compile",
    )
    gradient_checkpointing: bool = setting(
        False,
        "Keep only the inputs of the encoder's layers for the gradients, and compute the layers again. Needs less "
        "memory and more time. The result is the same, except for rounding in bfloat16.",
        option="--gradient-checkpointing",
    )
    freeze_embeddings: bool = setting(False, "Do not train the encoder's embeddings.", option="--freeze-embeddings")
    eval_strategy: Literal["epoch", "steps", "no"] | None = setting(
        None,
        "When to score the validation sentences. The best of the scored models is kept.",
        meanings={
            None: "steps if eval_steps is set, else epoch",
            "epoch": "after each epoch",
            "steps": "every eval_steps steps, and at the end",
            "no": "only at the end, so the last model is kept",
        },
        option=("--eval-strategy", "--evaluation-strategy"),
    )
    eval_steps: Count | None = setting(
        None,
        "Score the validation sentences every N optimizer steps, and at the end of training.",
        meanings={None: "after each epoch, or every logging_steps steps if eval_strategy is steps"},
        option="--eval-steps",
    )
    metric_for_best_model: Literal["f1", "precision", "recall", "accuracy", "loss"] = setting(
        "f1",
        "Validation measure that decides which model is the best: the highest value, or the lowest loss.",
        option="--metric-for-best-model",
        prefixes=_MEASURE_PREFIXES,
    )
    patience: PositiveInt | None = setting(
        None,
        "Stop after this many validation scorings without improvement. By default, there is one scoring per epoch.",
        meanings={None: "never"},
        option="--patience",
    )
    logging_steps: PositiveInt = setting(
        50, "Steps between two log lines with the training loss.", option="--logging-steps"
    )
    report_to: tuple[Literal["tensorboard", "csv", "wandb", "mlflow"], ...] = setting(
        ("tensorboard",),
        "Where to report scores, in addition to history.jsonl.",
        meanings={(): "nowhere else"},
        option="--report-to",
    )
    strategy: Literal["auto", "one", "mirrored", "multi-worker"] = setting(
        "auto",
        "Devices to train on.",
        meanings={
            "one": "one device",
            "mirrored": "all devices of this host",
            "multi-worker": "the hosts in TF_CONFIG",
            "auto": "the hosts in TF_CONFIG if it is set, else all GPUs, else one device",
        },
        option="--strategy",
    )
    worker_timeout_s: PositiveFloat = setting(
        300, "Longest time that workers wait for each other at the start, in seconds."
    )
    checkpoints: bool = setting(
        True, "Write a checkpoint for --resume after each epoch and each scoring. The last two are kept during the run."
    )
    keep_checkpoints: int = setting(
        0,
        "Number of checkpoints to keep when the run is finished. During the run, at least the last two are kept.",
        option=("--keep-checkpoints", "--save-total-limit"),
        ge=0,
        le=COUNT_LIMIT,
    )
    checkpoint_steps: PositiveInt | None = setting(
        None,
        "Write a checkpoint within an epoch every N steps.",
        meanings={None: "off"},
        option=("--checkpoint-steps", "--save-steps"),
    )
    checkpoint_minutes: PositiveFloat | None = setting(
        10, "Write a checkpoint within an epoch every N minutes.", meanings={None: "off"}, option="--checkpoint-minutes"
    )
    deterministic: bool = setting(
        False, "Compute exactly the same result in every run, at some cost in speed.", option="--deterministic"
    )

    @property
    def eval_by(self) -> Literal["epoch", "steps", "no"]:
        """When the validation sentences are scored."""
        return self.eval_strategy or ("steps" if self.eval_steps else "epoch")

    @property
    def steps_between_scorings(self) -> int:
        """The number of steps between two scorings if `eval_by` is steps. Without eval_steps, it is logging_steps, as
        in transformers.
        """
        return self.eval_steps or self.logging_steps

    @field_validator("eval_strategy", mode="before")
    @classmethod
    def _never(cls, value: Any) -> Any:
        """YAML 1.1 reads "no" as false."""
        return "no" if value is False else value

    @field_validator("metric_for_best_model", mode="before")
    @classmethod
    def _measure(cls, value: Any) -> Any:
        return without_prefixes(value, _MEASURE_PREFIXES) if isinstance(value, str) else value

    @field_validator("max_steps", mode="before")
    @classmethod
    def _no_limit(cls, value: Any) -> Any:
        """-1 means no limit. It is transformers' default, so command lines and configurations contain it."""
        return None if value == -1 else value

    @property
    def batch_text(self) -> str:
        """The size of a batch in words, such as "16 windows"."""
        if self.max_pieces_per_batch is not None:
            return f"at most {counted(self.max_pieces_per_batch, 'subword token')}"
        return counted(self.per_device_train_batch_size, "window")

    @model_validator(mode="after")
    def _trackers_differ(self) -> TrainingConfig:
        twice = [name for name in dict.fromkeys(self.report_to) if self.report_to.count(name) > 1]
        if twice:
            raise ValueError(f"report_to contains {', '.join(twice)} more than once")
        return self


class EvaluationConfig(Section, json_schema_extra={HEADING: "Scoring"}):
    """How the model is scored."""

    per_device_eval_batch_size: Count = setting(
        32,
        "Batch size for evaluation: windows per forward pass on each device.",
        option="--per-device-eval-batch-size",
    )
    mode: Literal["conlleval", "strict"] = setting(
        "conlleval",
        "How invalid label sequences are scored.",
        meanings={"conlleval": "as the CoNLL script scores them", "strict": "only spans that the scheme allows count"},
    )
    decoding: Literal["argmax", "viterbi"] = setting(
        "argmax",
        "How labels are chosen from the scores.",
        meanings={
            "argmax": "the best label of each word",
            "viterbi": "the best sequence that the scheme allows",
        },
        by_recipe=True,
    )


class CardConfig(Section, json_schema_extra={HEADING: "Publishing"}):
    """Content of the model card that cannot be derived from the run."""

    license: str | None = setting(None, "Licence of the model, with its name on the Hub, such as mit or cc-by-4.0.")
    language: tuple[str, ...] = setting((), "Language codes, such as en or de.")
    tags: tuple[str, ...] = setting((), "Additional tags for searching the Hub.")
    dataset_license: str | None = setting(
        None, "Licence of the data.", meanings={None: "from the card of the data set"}
    )
    examples: tuple[str, ...] = setting((), "Example sentences for the widget on the model page.")
    sections: dict[str, str] = setting({}, "Additional sections: heading and Markdown text.")
    template: str | None = setting(None, "Jinja file that replaces or extends model_card.md.jinja.")


class HubConfig(Section, json_schema_extra={HEADING: "Publishing"}):
    """Publishing to the Hugging Face Hub."""

    push: bool = setting(
        False, "Publish the model on the Hugging Face Hub, during and after training.", option="--push-to-hub"
    )
    model_id: str | None = setting(None, "Repository to publish to, as NAME or OWNER/NAME.", option="--hub-model-id")
    private: bool = setting(False, "Create the repository as private.", option="--hub-private-repo")
    strategy: Literal["end", "every_save", "checkpoint", "all_checkpoints", "best"] = setting(
        "every_save",
        "What to push during training.",
        meanings={
            "end": "nothing",
            "every_save": "the weights after each epoch",
            "best": "the weights of each epoch that is better than all earlier ones",
            "checkpoint": "as every_save, and the newest checkpoint",
            "all_checkpoints": "the weights and the checkpoint of every epoch",
        },
        option="--hub-strategy",
    )
    backend: Literal["http", "git"] = setting(
        "http",
        "How to push.",
        meanings={
            "http": "over HTTP, and verify each upload",
            "git": "with transformers' PushToHubCallback, which verifies nothing",
        },
        option="--hub-backend",
    )
    revision: str | None = setting(None, "Branch to push to. It is created if it does not exist.")
    tries: PositiveInt = setting(
        5, "Number of attempts at the final push before it fails. The wait between attempts grows."
    )
    card: CardConfig = CardConfig()


# The settings of fixed recipes, used where nothing is set explicitly. best: learning rates that decrease from the head
# down (discriminative fine-tuning, Howard and Ruder 2018, arXiv:1801.06146), a higher weight of spans in the loss, and
# decoding of valid sequences only. docs/log.md describes the experiments behind it. The recipe auto is not here: its
# values depend on the encoder and the data (tf_tokclf/training/recipe.py).
RECIPES: Mapping[str, Mapping[str, Mapping[str, float | str]]] = {
    "best": {
        "optimizer": {"learning_rate": 1e-3, "layer_decay": 0.7},
        "training": {"span_weight": 2.0},
        "evaluation": {"decoding": "viterbi"},
    }
}


class Config(Section, json_schema_extra={HEADING: "Run"}):
    """All settings of a run."""

    task: Task = setting(Task.NER, "Task. The label column of tables is {task}_tags.", option="--task", reads="labels")
    recipe: Literal["auto", "best", "none"] = setting(
        "auto",
        "How to choose the settings that matter most for the scores. Settings that you set are kept, except that best "
        "on the command line overrides CONFIG.",
        meanings={
            "auto": "from the encoder and the amount of data",
            "best": "fixed values for small encoders, such as a learning rate of 1e-3 and a span weight of 2",
            "none": "fixed common values, such as 3 epochs at a learning rate of 5e-5",
        },
        option="--recipe",
    )
    output_dir: str | None = setting(None, "Folder of the run.", option="--output-dir")
    overwrite: bool = setting(
        False, "Replace the run that is already in that folder.", option=("--force", "--overwrite-output-dir")
    )
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    hub: HubConfig = HubConfig()
    sweep: dict[str, tuple[bool | int | float | str | None, ...]] = setting(
        {},
        "Values to try for each SECTION.KEY. Each combination is trained, and the run with the best validation F1, or "
        "with the best `training.metric_for_best_model` if it is set, is kept.",
    )
    sweep_trials: PositiveInt | None = setting(
        None,
        "Number of combinations of a sweep to try: the first ten at random, then those that look best.",
        meanings={None: "all"},
        option="--sweep-trials",
    )

    @property
    def left_to_recipe(self) -> tuple[str, ...]:
        """The dotted names of the settings that the recipe auto still has to choose."""
        if self.recipe != "auto":
            return ()
        return tuple(
            f"{section}.{key}"
            for section, value in self
            if isinstance(value, Section)
            for key, field in type(value).model_fields.items()
            if key not in value.model_fields_set and is_by_recipe(field)
        )

    @property
    def can_be_soft(self) -> bool:
        """Whether probabilities of labels can be learned. A CRF learns label sequences, and the alignment all changes
        the labels of later subword tokens.
        """
        return self.model.head == "linear" and self.alignment.strategy != "all"

    @model_validator(mode="after")
    def _check_soft(self) -> Config:
        if self.data.extra_labels == "soft" and not self.can_be_soft:
            raise ValueError("data.extra_labels cannot be soft with model.head: crf or alignment.strategy: all")
        return self

    @model_validator(mode="after")
    def _check_crf(self) -> Config:
        if self.model.head != "crf":
            return self
        for name, value, wanted in (
            ("training.span_weight", self.training.span_weight, 1),
            ("training.label_smoothing", self.training.label_smoothing, 0),
            ("alignment.strategy", self.alignment.strategy, "first"),
        ):
            if value != wanted:
                why = "a CRF is trained on whole label sequences of words"
                raise ValueError(f"{name} must be {wanted} with model.head: crf, not {value}, because {why}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _follow_recipe(cls, values: Any) -> Any:
        """Replace a fixed recipe by its settings, so that a saved configuration has the same meaning in later versions.

        Earlier versions wrote null for none.
        """
        if not isinstance(values, dict) or "recipe" not in values:
            return values
        recipe = "none" if values["recipe"] is None else values["recipe"]
        if recipe != "none" and not (isinstance(recipe, str) and recipe in RECIPES):
            return values
        followed = {**values, "recipe": "none"}
        for name, chosen in recipe_settings(recipe, values.get("model")).items():
            own = followed.get(name, {})
            if isinstance(own, Section):
                own = own.model_dump(exclude_unset=True)
            # If it is not a section, validation reports it later.
            if isinstance(own, dict):
                followed[name] = {**chosen, **own}
        return followed


def recipe_settings(recipe: str, model: Any) -> dict[str, dict[str, float | str]]:
    """The settings that a fixed recipe stands for, by section. model: the section `model`, not validated yet.

    A CRF has no span weight, and is decoded with its transitions.
    """
    settings = {name: dict(own) for name, own in RECIPES.get(recipe, {}).items()}
    if (model.get("head") if isinstance(model, dict) else getattr(model, "head", None)) == "crf":
        settings.get("training", {}).pop("span_weight", None)
        settings["evaluation"] = {"decoding": "viterbi"}
    return settings
