"""What the arguments of transformers' run_ner.py mean here, as one table.

It covers the PyTorch and TensorFlow scripts of transformers 3 to 5, and the script without the Trainer. The table of
docs/from-run-ner.md is generated from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache


@dataclass(frozen=True)
class Ours:
    """Arguments that set an option or a setting.

    names: without hyphens. option: what they set, by default the option of the same name. setting: the setting that
    they set, if it has no option. values: the value here for a value there. dropped: values that mean the default.
    assigned: assignments of settings for values that the option does not accept. refused: values that cannot be used,
    with the reason in `why`. note: what else to know, for the documentation.
    """

    names: tuple[str, ...]
    option: str | None = None
    setting: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    assigned: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    why: str = ""
    note: str = ""


@dataclass(frozen=True)
class Ignored:
    """Arguments that are accepted but have no effect.

    why: the reason. only: the values that have no effect, empty for all. same_as: the argument whose value is also one
    of them. otherwise: why other values cannot be used, if that is another reason.
    """

    names: tuple[str, ...]
    why: str
    only: tuple[str, ...] = ()
    same_as: str | None = None
    otherwise: str = ""

    @property
    def why_not_others(self) -> str:
        """Why other values cannot be used. Empty if all values are accepted."""
        return self.otherwise or self.why if self.only or self.same_as else ""


@dataclass(frozen=True)
class Refused:
    """Arguments that cannot be used, unless they are turned off.

    why: the reason. only_with: an argument without which they have no effect in run_ner.py either.
    """

    names: tuple[str, ...]
    why: str
    only_with: str | None = None


Row = Ours | Ignored | Refused


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _ours(names: str, note: str = "", **arguments: object) -> Ours:
    return Ours(_names(names), note=note, **arguments)  # type: ignore[arg-type]


def _ignored(names: str, why: str, *, only: str = "", same_as: str | None = None, otherwise: str = "") -> Ignored:
    return Ignored(_names(names), why, _names(only), same_as, otherwise)


def _refused(names: str, why: str, only_with: str | None = None) -> Refused:
    return Refused(_names(names), why, only_with)


_LOGIN = "set HF_TOKEN or run `hf auth login`, because other users can read the command line of a process"

_WHOLE_MODEL = "the model is not divided between devices, so it must fit on each of them"

ROWS: tuple[Row, ...] = (
    # The model
    _ours("model_name_or_path", "also a folder, or `package:NAME/PATH`"),
    _ignored(
        "config_name tokenizer_name",
        "the configuration and the tokenizer come from the model",
        same_as="model_name_or_path",
    ),
    _ignored("cache_dir", "HF_HOME is the folder of downloads, and TF_TOKCLF_CACHE the folder of tokenised data"),
    _ours("model_revision"),
    _refused("token hub_token push_to_hub_token", _LOGIN),
    _ignored("use_auth_token", "the stored login is always used", only="true false", otherwise=_LOGIN),
    _ours("trust_remote_code", "off by default"),
    _ignored(
        "ignore_mismatched_sizes", "a trained head is matched by the names of labels, and new labels get new weights"
    ),
    _ignored("model_type", "the model's configuration contains its type"),
    _ignored(
        "use_fast use_slow_tokenizer do_lower_case keep_accents strip_accents",
        "the tokenizer is always a fast one, with the model's own settings",
    ),
    # The data
    _ours(
        "task_name",
        "reads the column {task}_tags. Other names have no effect, because the column of labels is detected",
        option="--task",
    ),
    _ours(
        "task_type", option="--task", values={"NER": "ner", "POS": "pos", "Chunk": "chunk"}, note="from transformers 3"
    ),
    _ours("dataset_name", "Hub id or `save_to_disk` folder"),
    _ours("dataset_config_name"),
    _ours("train_file validation_file test_file", "any format, including CoNLL"),
    _ours(
        "data_dir",
        "from transformers 3: reads `train.txt`, `dev.txt` and `test.txt` in the folder",
        option="--train-file",
    ),
    _ignored("labels", "the labels are those in the training data"),
    _ours("text_column_name label_column_name", "a name or number; detected and logged by default"),
    _ours(
        "overwrite_cache",
        "rarely needed, because the cache detects changed content; `tf-tokclf cache clear` empties it",
    ),
    _ignored("preprocessing_num_workers", "the tokenizer uses all cores"),
    _ours("max_seq_length max_length", "windows instead of truncation"),
    _ignored("pad_to_max_length", "batches contain sentences of similar length, so there is little padding"),
    _ours("max_train_samples max_eval_samples", "--max-eval-samples also limits the test data"),
    _ignored(
        "max_predict_samples max_test_samples",
        "--max-eval-samples limits validation and test data alike",
        same_as="max_eval_samples",
    ),
    _ours("label_all_tokens", "`--alignment all` also changes B- to I- inside a word"),
    _ignored("return_entity_level_metrics", "scores of each type are always reported"),
    # What is done
    _ignored(
        "do_train do_eval do_predict",
        "fit trains and then scores the validation and test data",
        otherwise="fit always trains. `evaluate` and `predict` are separate commands",
    ),
    _ours("output_dir"),
    _ours("overwrite_output_dir", "the same as --force"),
    _ours("resume_from_checkpoint", "`true` has the same effect as `--resume`", dropped=("false",)),
    # Batches
    _ours(
        "per_device_train_batch_size", "chosen by the recipe (16 with `--recipe none`). The devices divide each batch"
    ),
    _ours("per_gpu_train_batch_size", option="--per-device-train-batch-size"),
    _ours("per_device_eval_batch_size"),
    _ours("per_gpu_eval_batch_size", option="--per-device-eval-batch-size"),
    _ours("gradient_accumulation_steps"),
    _ignored("auto_find_batch_size", "if memory runs out, the message suggests options"),
    _ignored(
        "group_by_length length_column_name dataloader_drop_last dataloader_num_workers dataloader_persistent_workers"
        " dataloader_pin_memory dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order",
        "batches always contain sentences of similar length, and no sentence is left out",
    ),
    _ignored(
        "train_sampling_strategy",
        "batches always contain sentences of similar length, in random order",
        only="random group_by_length",
    ),
    # Optimizer
    _ours("learning_rate weight_decay", "the default weight decay is 0.01, not 0"),
    _ours("adam_beta1", setting="optimizer.adam_beta1"),
    _ours("adam_beta2", setting="optimizer.adam_beta2"),
    _ours("adam_epsilon", setting="optimizer.adam_epsilon"),
    _ours(
        "max_grad_norm", "the default is 1.0 in both; 0 turns clipping off", assigned={"0": "optimizer.clip_norm=null"}
    ),
    _ours("num_train_epochs", "whole numbers only"),
    _ours(
        "max_steps",
        "overrides --num-train-epochs; the last epoch can be incomplete, and is scored and saved too",
        dropped=("-1", "0"),
    ),
    _ours("max_train_steps", option="--max-steps", dropped=("0",), note="from `run_ner_no_trainer.py`"),
    _ignored(
        "optim",
        "the optimizer is always AdamW",
        only="adamw adamw_hf adamw_torch adamw_torch_fused adamw_torch_xla adamw_torch_npu_fused adamw_apex_fused"
        " paged_adamw paged_adamw_32bit",
    ),
    _refused("adafactor optim_args optim_target_modules", "the optimizer is always AdamW"),
    _ours(
        "lr_scheduler_type",
        "the same learning rate at each step as in transformers",
        refused=("cosine_with_min_lr", "cosine_warmup_with_min_lr", "reduce_lr_on_plateau", "warmup_stable_decay"),
        why="only schedules without settings of their own are possible",
    ),
    _refused("lr_scheduler_kwargs", "the schedules always have transformers' default settings"),
    _ignored(
        "poly_power",
        "the polynomial schedule always decays linearly",
        only="1",
    ),
    _ours("label_smoothing_factor", "the same as --label-smoothing"),
    _refused("neftune_noise_alpha", "no noise is added to embeddings"),
    _ours("warmup_ratio"),
    _ours("warmup_steps", "overrides --warmup-ratio"),
    _ours("num_warmup_steps", option="--warmup-steps"),
    # Logs, evaluation and checkpoints
    _ours("logging_steps", dropped=("0",)),
    _ignored(
        "logging_strategy logging_first_step logging_nan_inf_filter",
        "the loss is logged every --logging-steps and after each epoch; a loss of NaN or infinity stops the run",
    ),
    _ignored(
        "logging_dir run_name project", "logs are in the run's folder, and the folder's name is the name of the run"
    ),
    _ignored(
        "log_level log_level_replica log_on_each_node disable_tqdm debug server_ip server_port",
        "--quiet and --verbose choose the messages, and progress bars are shown only on a terminal",
    ),
    _ours(
        "eval_strategy evaluation_strategy",
        "the default is `epoch`, not `no`. The model is always scored at the end of training, and the best of the "
        "scored models is kept. With `no`, that is the last model",
        option="--eval-strategy",
    ),
    _ours("eval_steps", "if `--eval-strategy` is not given, it is `steps`", dropped=("0",)),
    _ignored(
        "eval_delay eval_on_start evaluate_during_training eval_all_checkpoints save_strategy",
        "--eval-strategy decides when the model is scored, and checkpoints are written after each epoch and scoring",
    ),
    _ours("save_steps", "the same as --checkpoint-steps: checkpoints within an epoch", dropped=("0", "-1")),
    _ours("checkpointing_steps", option="--checkpoint-steps", dropped=("epoch",), note="from `run_ner_no_trainer.py`"),
    _ours(
        "save_total_limit",
        "the same as --keep-checkpoints: the number to keep when the run is finished (default 0). During the run, at "
        "least the last two are kept",
    ),
    _ignored(
        "save_only_model save_on_each_node enable_jit_checkpoint",
        "checkpoints contain everything that --resume needs, and Ctrl-C or SIGTERM also saves one",
    ),
    _ignored(
        "save_safetensors",
        "weights are always saved as safetensors",
        only="true",
    ),
    _ignored(
        "load_best_model_at_end",
        "the best of the scored models is kept",
        only="true",
        otherwise="the best of the scored models is kept, unless --eval-strategy is no",
    ),
    _ours("metric_for_best_model", "the default is `f1`, not `loss`"),
    _ignored("greater_is_better", "the lowest loss is the best, and the highest value of all other measures"),
    _ignored(
        "ignore_data_skip restore_callback_states_from_checkpoint",
        "a resumed run continues exactly where it stopped",
    ),
    _ours("seed", "one seed for everything"),
    _ignored("data_seed", "--seed is used for everything"),
    _ours("full_determinism", option="--deterministic"),
    # Precision and devices
    _ours(
        "fp16 bf16",
        "the default is `--precision auto`. `False` means `--precision float32`, unless the other one is true",
    ),
    _ignored(
        "fp16_opt_level fp16_backend half_precision_backend bf16_full_eval fp16_full_eval",
        "TensorFlow implements mixed precision, and the final scores are computed in float32",
    ),
    _ours("xla", "for GPUs. It was slower on CPUs, because it compiles for each batch shape", option="--jit-compile"),
    _ignored(
        "tf32",
        "TensorFlow always uses TF32 on GPUs that have it",
        only="true",
    ),
    _ignored(
        "torch_compile torch_compile_backend torch_compile_mode torchdynamo jit_mode_eval use_ipex use_liger_kernel"
        " liger_kernel_config torch_empty_cache_steps use_cache",
        "this exists only in PyTorch, and TensorFlow always traces graphs",
    ),
    _ours("gradient_checkpointing"),
    _ours("activation_checkpointing", option="--gradient-checkpointing"),
    _ignored(
        "gradient_checkpointing_kwargs activation_checkpointing_kwargs",
        "they choose between two implementations in PyTorch",
    ),
    _ours("use_cpu no_cuda", option="--use-cpu", note="the same as `CUDA_VISIBLE_DEVICES=-1`"),
    _ignored(
        "local_rank ddp_backend ddp_timeout ddp_broadcast_buffers ddp_bucket_cap_mb ddp_find_unused_parameters"
        " ddp_static_graph xpu_backend average_tokens_across_devices dispatch_batches split_batches accelerator_config",
        "--strategy chooses the devices, which share each batch; the loss is averaged over the whole batch",
    ),
    _refused("deepspeed fsdp sharded_ddp mp_parameters parallelism_config", _WHOLE_MODEL),
    _refused("fsdp_config fsdp_min_num_params fsdp_transformer_layer_cls_to_wrap", _WHOLE_MODEL, only_with="fsdp"),
    _refused(
        "tpu_name tpu_zone gcp_project tpu_num_cores tpu_metrics_debug use_mps_device",
        "training runs on CPUs and NVIDIA GPUs only",
    ),
    # Scores
    _ignored(
        "remove_unused_columns label_names past_index include_for_metrics include_inputs_for_metrics"
        " prediction_loss_only batch_eval_metrics eval_accumulation_steps eval_do_concat_batches"
        " eval_use_gather_object",
        "scores are counted sentence by sentence, in constant memory",
    ),
    _ignored(
        "skip_memory_metrics include_tokens_per_second include_num_input_tokens_seen use_legacy_prediction_loop"
        " ray_scope",
        "times are in history.jsonl, and --sweep searches settings",
    ),
    # Publishing
    _ours("push_to_hub hub_model_id hub_strategy", "each upload is verified"),
    _ours("hub_private_repo"),
    _ours("hub_revision", setting="hub.revision"),
    _ours("push_to_hub_model_id", option="--hub-model-id"),
    _ours("push_to_hub_organization", "it becomes the owner in `OWNER/NAME`", option="--hub-model-id"),
    _ignored("hub_always_push", "a newer epoch replaces one that is still waiting to be uploaded"),
    _ours(
        "report_to",
        "`all` means those of tensorboard, csv, wandb and mlflow that are installed",
        refused=(
            *("azure_ml", "clearml", "codecarbon", "comet_ml", "dagshub", "dvclive", "flyte", "neptune", "swanlab"),
            "trackio",
        ),
        why="the trackers here are tensorboard, csv, wandb and mlflow",
    ),
    _ignored("with_tracking", "TensorBoard files are written by default; --report-to chooses trackers"),
    _ignored("trackio_space_id trackio_bucket_id trackio_static_space_id", "Trackio is not one of the trackers here"),
)

# Arguments that may have no value, which then means true.
SWITCHES = frozenset(
    _names(
        "activation_checkpointing adafactor auto_find_batch_size average_tokens_across_devices batch_eval_metrics bf16"
        " bf16_full_eval dataloader_drop_last dataloader_in_order dataloader_persistent_workers dataloader_pin_memory"
        " ddp_broadcast_buffers ddp_find_unused_parameters ddp_static_graph disable_tqdm dispatch_batches do_eval"
        " do_lower_case do_predict do_train enable_jit_checkpoint eval_all_checkpoints eval_do_concat_batches"
        " eval_on_start eval_use_gather_object evaluate_during_training fp16 fp16_full_eval full_determinism"
        " gradient_checkpointing greater_is_better group_by_length hub_always_push hub_private_repo ignore_data_skip"
        " ignore_mismatched_sizes include_inputs_for_metrics include_num_input_tokens_seen include_tokens_per_second"
        " jit_mode_eval keep_accents label_all_tokens load_best_model_at_end log_on_each_node logging_first_step"
        " logging_nan_inf_filter no_cuda overwrite_cache overwrite_output_dir pad_to_max_length prediction_loss_only"
        " push_to_hub remove_unused_columns restore_callback_states_from_checkpoint return_entity_level_metrics"
        " save_on_each_node save_only_model save_safetensors skip_memory_metrics split_batches strip_accents tf32"
        " torch_compile tpu_metrics_debug trust_remote_code use_cache use_cpu use_fast use_ipex"
        " use_legacy_prediction_loop use_liger_kernel use_mps_device use_slow_tokenizer with_tracking xla"
    )
)
# Arguments with any number of values.
LISTS = frozenset(
    ("debug", "include_for_metrics", "label_names", "optim_target_modules", "report_to", "use_auth_token")
)
# Arguments whose values are not shown.
SECRETS = frozenset(("hub_token", "push_to_hub_token", "token", "use_auth_token"))


@cache
def row_by_name() -> Mapping[str, Row]:
    """The row of each argument."""
    return dict(_named_rows())


def _named_rows() -> Iterator[tuple[str, Row]]:
    for row in ROWS:
        yield from ((name, row) for name in row.names)


def option_of(name: str, row: Ours) -> str:
    """The option that an argument sets.

    >>> option_of("learning_rate", Ours(("learning_rate",)))
    '--learning-rate'
    """
    return row.option or f"--{name.replace('_', '-')}"
