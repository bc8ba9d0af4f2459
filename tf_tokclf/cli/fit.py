"""tf-tokclf fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_tokclf.cli.options import HeadedOption, TwinCommand, logging_options, setting_options
from tf_tokclf.cli.types import ChoiceList, NameOrNumber, SweptSetting
from tf_tokclf.control_characters import plain_text

if TYPE_CHECKING:
    from tf_tokclf.config.schema import Config
    from tf_tokclf.run_dir import RunDir

INT, FLOAT, COLUMN = {"type": int}, {"type": float}, {"type": NameOrNumber()}


def choice(*values: str) -> dict[str, Any]:
    """click's arguments for one of `values`."""
    return {"type": click.Choice(values)}


SETTINGS = (
    (
        "--task",
        "task",
        {**choice("ner", "pos", "chunk", "slots"), "help": "Task; the label column is {task}_tags.  [default: ner]"},
    ),
    ("--recipe", "recipe", {**choice("best"), "help": "Settings for small encoders; explicit options override it."}),
    ("--train-file", "data.train_file", {"help": "File to train on. The format is detected."}),
    ("--validation-file", "data.validation_file", {"help": "File to choose the best epoch with."}),
    ("--test-file", "data.test_file", {"help": "File to score at the end."}),
    ("--dataset-name", "data.dataset_name", {"help": "Hugging Face data set: Hub id or save_to_disk folder."}),
    ("--dataset-config-name", "data.dataset_config_name", {"help": "Configuration of that data set."}),
    ("--text-column-name", "data.text_column_name", {**COLUMN, "help": "Column of words, by name or number from 0."}),
    (
        "--label-column-name",
        "data.label_column_name",
        {**COLUMN, "help": "Column of labels, by name or number from 0."},
    ),
    ("--max-train-samples", "data.max_train_samples", {**INT, "help": "Use only the first N training sentences."}),
    (
        "--max-eval-samples",
        "data.max_eval_samples",
        {**INT, "help": "Use only the first N validation and N test sentences."},
    ),
    (
        "--overwrite-cache",
        "data.use_cache",
        {"flag_value": False, "help": "Read and tokenise the data again, and replace it in the cache."},
    ),
    ("--model-name-or-path", "model.name_or_path", {"help": "Encoder: Hub id, folder or package:NAME/PATH."}),
    ("--model-revision", "model.revision", {"help": "Branch, tag or commit on the Hub."}),
    (
        "--allow-incomplete-weights",
        "model.allow_incomplete_weights",
        {
            "flag_value": True,
            "help": "Train even if weights are missing from the encoder's file or do not match it. Missing weights "
            "start at random.",
        },
    ),
    (
        "--trust-remote-code",
        "model.trust_remote_code",
        {"flag_value": True, "help": "Run Python code that comes with the encoder."},
    ),
    (
        "--max-length/--max-seq-length",
        "alignment.max_length",
        {**INT, "help": "Subword tokens in a window.  [default: the encoder's limit, at most 512]"},
    ),
    (
        "--overlap",
        "alignment.overlap",
        {**INT, "help": "Subword tokens that neighbouring windows share.  [default: 64]"},
    ),
    (
        "--alignment",
        "alignment.strategy",
        {
            **choice("first", "all", "all-same"),
            "help": "Subword tokens of a word that get its label: first: the first one; all: all, with I- after the "
            "first B-; all-same: all, with the same label.  [default: first]",
        },
    ),
    (
        "--label-all-tokens",
        "alignment.strategy",
        {"flag_value": "all-same", "help": "The same as --alignment all-same."},
    ),
    ("--output-dir", "output_dir", {"help": "Folder of the run."}),
    ("--force/--overwrite-output-dir", "overwrite", {"flag_value": True, "help": "Replace the run in that folder."}),
    (
        "--num-train-epochs",
        "training.num_train_epochs",
        {**INT, "help": "Number of training epochs.  [default: 3]"},
    ),
    (
        "--per-device-train-batch-size",
        "training.per_device_train_batch_size",
        {**INT, "help": "Windows per batch.  [default: 16]"},
    ),
    (
        "--max-pieces-per-batch",
        "training.max_pieces_per_batch",
        {**INT, "help": "Limit batches by this number of subword tokens, instead of a number of windows."},
    ),
    (
        "--gradient-accumulation-steps",
        "training.gradient_accumulation_steps",
        {**INT, "help": "Batches per optimizer step.  [default: 1]"},
    ),
    (
        "--per-device-eval-batch-size",
        "evaluation.per_device_eval_batch_size",
        {**INT, "help": "Batch size for evaluation (windows per forward pass).  [default: 32]"},
    ),
    (
        "--learning-rate",
        "optimizer.learning_rate",
        {**FLOAT, "help": "Highest learning rate, reached when the warm-up ends.  [default: 5e-05]"},
    ),
    ("--weight-decay", "optimizer.weight_decay", {**FLOAT, "help": "Decoupled weight decay.  [default: 0.01]"}),
    (
        "--warmup-ratio",
        "optimizer.warmup_ratio",
        {**FLOAT, "help": "Share of the steps used for warm-up.  [default: 0]"},
    ),
    (
        "--layer-decay",
        "optimizer.layer_decay",
        {**FLOAT, "help": "Factor on the learning rate from each layer to the one below.  [default: 1]"},
    ),
    (
        "--max-grad-norm",
        "optimizer.clip_norm",
        {**FLOAT, "help": "Clip gradients to this global norm.  [default: 1]"},
    ),
    (
        "--patience",
        "training.patience",
        {**INT, "help": "Stop after this many epochs without a better validation F1."},
    ),
    (
        "--logging-steps",
        "training.logging_steps",
        {**INT, "help": "Steps between two log lines with the training loss.  [default: 50]"},
    ),
    (
        "--report-to",
        "training.report_to",
        {
            "type": ChoiceList("tensorboard", "csv", "wandb", "mlflow"),
            "help": "Where to report epochs, in addition to history.jsonl.  [default: tensorboard]",
        },
    ),
    (
        "--seed",
        "training.seed",
        {**INT, "help": "Random seed for the new head, dropout and the order of batches.  [default: 42]"},
    ),
    (
        "--precision",
        "training.precision",
        {
            **choice("auto", "float32", "mixed_float16", "mixed_bfloat16"),
            "help": "Floating-point precision of the computation.  [default: auto]",
        },
    ),
    ("--fp16", "training.precision", {"flag_value": "mixed_float16", "help": "The same as --precision mixed_float16."}),
    (
        "--bf16",
        "training.precision",
        {"flag_value": "mixed_bfloat16", "help": "The same as --precision mixed_bfloat16."},
    ),
    ("--push-to-hub", "hub.push", {"flag_value": True, "help": "Publish the model on the Hugging Face Hub."}),
    ("--hub-model-id", "hub.model_id", {"help": "Repository to publish to, as NAME or ORG/NAME."}),
    ("--hub-private-repo", "hub.private", {"flag_value": True, "help": "Create the repository as private."}),
    (
        "--hub-strategy",
        "hub.strategy",
        {
            **choice("end", "every_save", "checkpoint", "all_checkpoints", "best"),
            "help": "What is pushed during training.  [default: every_save]",
        },
    ),
    (
        "--hub-backend",
        "hub.backend",
        {**choice("http", "git"), "help": "How to push; git: transformers' PushToHubCallback.  [default: http]"},
    ),
    (
        "--checkpoint-steps/--save-steps",
        "training.checkpoint_steps",
        {**INT, "help": "Write a checkpoint every N steps."},
    ),
    (
        "--keep-checkpoints",
        "training.keep_checkpoints",
        {**INT, "help": "Number of checkpoints to keep when the run is finished.  [default: 0]"},
    ),
    (
        "--checkpoint-minutes",
        "training.checkpoint_minutes",
        {**FLOAT, "help": "Write a checkpoint every N minutes.  [default: 10]"},
    ),
    (
        "--strategy",
        "training.strategy",
        {
            **choice("auto", "one", "mirrored", "multi-worker"),
            "help": "Devices to train on: all GPUs or one device (auto), one device, all devices of this machine "
            "(mirrored), or the machines in TF_CONFIG (multi-worker).  [default: auto]",
        },
    ),
    (
        "--sweep-trials",
        "sweep_trials",
        {**INT, "help": "Number of combinations to try; each is chosen from the results so far.  [default: all]"},
    ),
    (
        "--label-smoothing/--label-smoothing-factor",
        "training.label_smoothing",
        {**FLOAT, "help": "Share of each target that is spread evenly over all labels.  [default: 0]"},
    ),
    (
        "--span-weight",
        "training.span_weight",
        {**FLOAT, "help": "Weight in the loss of words that are in spans.  [default: 1]"},
    ),
    (
        "--ema-decay",
        "training.ema_decay",
        {**FLOAT, "help": "Score and save a moving average of the weights with this decay, such as 0.99."},
    ),
    (
        "--freeze-embeddings",
        "training.freeze_embeddings",
        {"flag_value": True, "help": "Do not train the encoder's embeddings."},
    ),
    (
        "--jit-compile",
        "training.jit_compile",
        {"flag_value": True, "help": "Compile gradients with XLA. Faster on GPUs, slower on CPUs."},
    ),
    (
        "--deterministic",
        "training.deterministic",
        {"flag_value": True, "help": "Compute exactly the same result in every run, at some cost in speed."},
    ),
)

# Options of the run as a whole come first in the help.
_run_option = partial(click.option, cls=HeadedOption, heading="Run")


@click.command("fit", cls=TwinCommand)
@click.argument("config", required=False)
@setting_options(*SETTINGS)
@_run_option(
    "--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Change any setting. Can be repeated."
)
@_run_option("--resume", is_flag=True, help="Continue the run in the output folder from its newest checkpoint.")
@_run_option(
    "--resume-from-checkpoint",
    metavar="FOLDER",
    help="Continue from a checkpoint, or from the newest one in FOLDER (a run, or what was pushed to the Hub). "
    "The value true means --resume.",
)
@_run_option(
    "--seeds",
    callback=lambda ctx, parameter, text: seed_list(text),
    metavar="N,N,...",
    help="Train once for each of these seeds, report mean and standard deviation, and keep the median run as the "
    "model.",
)
@_run_option(
    "--sweep",
    type=SweptSetting(),
    multiple=True,
    expose_value=False,
    callback=lambda ctx, parameter, pairs: _collect_sweep(ctx, pairs),
    help="Train once for each of these values, and keep the run with the best validation F1. Can be repeated: all "
    "combinations are then trained.",
)
@_run_option("--dry-run", is_flag=True, help="Print the plan and stop before training.")
@logging_options
@click.pass_context
def fit_command(
    ctx: click.Context,
    config: str | None,
    assignments: tuple[str, ...],
    resume: bool,
    resume_from_checkpoint: str | None,
    seeds: tuple[int, ...],
    dry_run: bool,
) -> None:
    """Train a token classifier, score it and save it.

    CONFIG is a YAML file, the name of a configuration that comes with tf-tokclf, or the folder of a run, whose
    configuration is then used. Options override --set, which overrides CONFIG.

    Ctrl-C or SIGTERM saves a checkpoint and stops (exit code 130 or 143); --resume continues the run. Press Ctrl-C
    again to stop immediately.

    \b
    tf-tokclf fit configs/quickstart.yaml
    tf-tokclf fit --train-file a.conll --validation-file b.conll \\
        --model-name-or-path distilbert-base-cased --output-dir runs/mine
    tf-tokclf fit runs/mine --resume
    """
    from tf_tokclf.config.cluster import is_chief
    from tf_tokclf.config.loading import load_config
    from tf_tokclf.publishing.publish import prepare_repository, publication
    from tf_tokclf.training.run_lock import check_room_for

    options = dict(ctx.obj.get("settings") or {})
    config = own_config(config, options, resume=resume)
    with _with_way_to_restore(config, resume=resume):
        settings = load_config(config, assignments=assignments, options=options)
    chief = is_chief(settings.training.strategy)
    if seeds and settings.sweep:
        raise click.UsageError(
            "--seeds and a sweep cannot be combined. Sweep first, then train the best settings with --seeds."
        )
    if resume_from_checkpoint and (seeds or settings.sweep):
        raise click.UsageError(
            "--resume-from-checkpoint continues a single run. Continue a sweep or several seeds with --resume."
        )
    if settings.sweep:
        _fit_sweep(settings, resume=resume, dry_run=dry_run)
        return
    if seeds and not dry_run:
        _fit_seeds(settings, seeds, resume=resume)
        return
    as_flag = resume_from_checkpoint is not None and resume_from_checkpoint.lower() == "true"
    resume_from = Path(resume_from_checkpoint) if resume_from_checkpoint and not as_flag else None
    resume = resume or as_flag
    repository = None
    if not dry_run:
        check_room_for(settings, resume=resume or resume_from is not None)
        repository = prepare_repository(settings)

    from tf_tokclf.report.score_tables import evaluation_tables
    from tf_tokclf.report.terminal import key_value_table, stderr_console, stdout_console
    from tf_tokclf.training.plan import plan_rows, plan_run
    from tf_tokclf.training.train import train

    plan = plan_run(settings)
    if dry_run or chief:
        (stdout_console if dry_run else stderr_console)().print(key_value_table(plan_rows(plan)))
    if dry_run:
        return
    with publication(plan, repository) as callbacks:
        result = train(plan, resume=resume, resume_from=resume_from, callbacks=callbacks)
        out = stdout_console()
        for name, evaluation in result.evaluations.items():
            out.print(f"\n{name}", style="bold")
            out.print(evaluation_tables(evaluation))
        if result.evaluations:
            run = result.run
            files = (("model", run.model), ("scores", run.results), ("report", run.report))
            out.print("", *(plain_text(f"{name:<8}{path}") for name, path in files), sep="\n", soft_wrap=True)


def _fit_seeds(config: Config, seeds: tuple[int, ...], *, resume: bool) -> None:
    from tf_tokclf.report.score_tables import seeds_table
    from tf_tokclf.report.terminal import stdout_console
    from tf_tokclf.run_dir import RunDir
    from tf_tokclf.runs.seeds import fit_seeds

    summary = fit_seeds(config, seeds, resume=resume)
    root = RunDir.of(config.output_dir)
    out = stdout_console()
    out.print(seeds_table({one.seed: one.f1 for one in summary.scores}, median=summary.median))
    places = f"\nmodel: {root.model} (seed {summary.median}, the median)\nscores: {root.seeds}"
    out.print(plain_text(places), soft_wrap=True)


def _fit_sweep(config: Config, *, resume: bool, dry_run: bool) -> None:
    from tf_tokclf.config.sweep import Sweep, value_text
    from tf_tokclf.report.score_tables import sweep_table
    from tf_tokclf.report.terminal import key_value_table, stderr_console, stdout_console
    from tf_tokclf.run_dir import RunDir

    sweep = Sweep.of(config)
    if dry_run:
        from tf_tokclf.config.loading import with_settings
        from tf_tokclf.training.plan import plan_rows, plan_run

        first = with_settings(sweep.base, sweep.combinations()[0])
        stdout_console().print(key_value_table([*plan_rows(plan_run(first)), ("sweep", str(sweep))]))
        return
    from tf_tokclf.runs.sweep import fit_sweep

    stderr_console().print(key_value_table([("sweep", str(sweep))]))
    summary = fit_sweep(config, resume=resume)
    root = RunDir.of(config.output_dir)
    rows = [
        (one.name, [value_text(value) for value in one.values.values()], one.f1["validation"] if one.f1 else None)
        for one in summary.ranked()
    ]
    out = stdout_console()
    out.print(sweep_table(list(sweep.values), rows))
    places = f"\nmodel: {root.model} (trial {summary.best.name}, the best)\nscores: {root.sweep}"
    out.print(plain_text(places), soft_wrap=True)


def _collect_sweep(ctx: click.Context, pairs: tuple[tuple[str, list[Any]], ...]) -> None:
    for name, values in pairs:
        swept = ctx.ensure_object(dict).setdefault("settings", {}).setdefault("sweep", {})
        if name in swept:
            raise click.BadParameter(f"{name} is given twice. List its values separated by commas.")
        swept[name] = values


def seed_list(text: str | None) -> tuple[int, ...]:
    """The seeds in "1,2,3"."""
    try:
        seeds = tuple(int(number) for number in text.split(",")) if text else ()
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of whole numbers such as 1,2,3.") from error
    if any(seed < 0 for seed in seeds):
        raise click.BadParameter("seeds must be 0 or greater.")
    return seeds


def own_config(config: str | None, options: dict[str, Any], *, resume: bool = False) -> str | None:
    """The configuration file; a run's own where `config` is its folder, which then is the folder to write in.

    resume: restore it where the run has lost it.
    """
    from tf_tokclf.run_dir import RunDir

    run = RunDir(Path(config or "."))
    if config is None:
        return config
    if resume and not (run.config.is_file() and run.config.stat().st_size):
        _restore_config(run)
    if not run.config.is_file():
        return config
    options.setdefault("output_dir", config)
    return str(run.config)


@contextmanager
def _with_way_to_restore(config: str | None, *, resume: bool) -> Iterator[None]:
    """Add to the message about a run's own configuration that it can be restored. It is not overwritten here, because
    the user may have edited it.
    """
    from tf_tokclf.errors import UserError
    from tf_tokclf.run_dir import RunDir

    try:
        yield
    except UserError as error:
        run = RunDir(Path(config or ".").parent)
        if not (resume and config == str(run.config) and error.path == config and _has_copy_of_config(run)):
            raise
        hint = f"{error.hint or ''} Or remove the file: --resume then restores it.".strip()
        raise UserError(error.problem, path=error.path, line=error.line, row=error.row, hint=hint) from error


def _has_copy_of_config(run: RunDir) -> bool:
    return run.finished.is_file() or run.checkpoints.is_dir()


def _restore_config(run: RunDir) -> None:
    if not _has_copy_of_config(run):
        return
    from tf_tokclf.training.resume import restore_config

    restore_config(run)
