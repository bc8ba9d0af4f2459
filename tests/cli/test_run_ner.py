"""tf-tokclf fit accepts command lines and files of arguments of transformers' run_ner.py."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from tests.documentation import check_options
from tf_tokclf.cli.fit import fit_command
from tf_tokclf.cli.main import COMMANDS, cli
from tf_tokclf.cli.options import arguments_without
from tf_tokclf.cli.run_ner_flags import LISTS, ROWS, SECRETS, SWITCHES, Ours, option_of, row_by_name
from tf_tokclf.cli.setting_options import given_settings
from tf_tokclf.cli.similar_options import _NAMES_ELSEWHERE, similar_option
from tf_tokclf.config.flat_settings import plain, setting_values
from tf_tokclf.config.loading import load_config
from tf_tokclf.config.schema import Config
from tf_tokclf.errors import UserError

LINES = yaml.safe_load((Path(__file__).parents[1] / "data" / "run_ner_command_lines.yaml").read_text(encoding="utf-8"))
OPTIONS = {name: parameter for parameter in fit_command.params for name in parameter.opts}
MINIMAL = ("--model_name_or_path", "m", "--train_file", "t", "--output_dir", "o")


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def config_of(*args: str) -> Config:
    """The configuration that a command line gives. Raises what `fit` raises before it reads data."""
    # A command keeps the help option of the first context in which it is used.
    ctx = fit_command.make_context("fit", list(args), parent=click.Context(cli, **cli.context_settings))
    assert ctx.params["config"] is None
    return load_config(assignments=ctx.params["assignments"], options=given_settings(ctx))


def settings_of(*args: str) -> dict[str, Any]:
    """The settings that differ from those of the shortest command line."""
    before = setting_values(config_of(*MINIMAL))
    return {
        name: plain(value)
        for name, value in setting_values(config_of(*MINIMAL, *args)).items()
        if before[name] != value
    }


def refusal_of(*args: str) -> str:
    with pytest.raises(UserError) as caught:
        config_of(*MINIMAL, *args)
    return str(caught.value)


def title(line: dict[str, Any]) -> str:
    return str(line.get("command", line.get("file")))[-60:]


@pytest.fixture
def folder(tmp_path: Path, conll_files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of files of run_ner.py in transformers 3, which is also the current folder."""
    for split, name in (("train", "train.txt"), ("validation", "dev.txt"), ("test", "test.txt")):
        (tmp_path / name).write_bytes(Path(conll_files[f"{split}_file"]).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def real(text: str, folder: Path, encoder: str = "ENCODER") -> str:
    """An example with the names of files that exist."""
    names = {"FOLDER": str(folder), "TRAIN": "train.txt", "DEV": "dev.txt", "TEST": "test.txt", "ENCODER": encoder}
    return re.sub("|".join(names), lambda found: names[found[0]], text)


def arguments(line: dict[str, Any], folder: Path, encoder: str = "ENCODER") -> list[str]:
    """The arguments of an example."""
    if "command" in line:
        return shlex.split(real(line["command"], folder, encoder))
    (folder / "args.json").write_text(real(json.dumps(line["file"]), folder, encoder), encoding="utf-8")
    return ["args.json"]


def refused_in(message: str) -> set[str]:
    """The arguments that a message lists."""
    lines = [line.removeprefix("  - ") for line in message.splitlines() if line.startswith("  - ")] or [message]
    return {name for line in lines for name in re.findall(r"(?:^|, )(--\w+)", line.partition(": ")[0])}


def test_there_are_sixty_examples():
    assert len(LINES) >= 60
    assert sum("file" in line for line in LINES) >= 5


@pytest.mark.parametrize("line", LINES, ids=title)
def test_a_command_line_of_run_ner_gives_a_configuration_or_one_complete_message(line: dict[str, Any], folder: Path):
    args = arguments(line, folder)
    if "refused" in line or "instead" in line:
        with pytest.raises(UserError) as caught:
            config_of(*args)
        message = str(caught.value)
        commands = [text.strip() for text in message.splitlines() if text.startswith("  tf-tokclf ")]
        assert commands == [real(command, folder) for command in line.get("instead", [])]
        assert refused_in(message) == set(line.get("refused", []))
        assert "instead" in line or "docs/from-run-ner.md" in message
        return
    settings = {name: plain(value) for name, value in setting_values(config_of(*args)).items()}
    expected = json.loads(real(json.dumps(line.get("settings", {})), folder))
    assert {name: settings[name] for name in expected} == expected


@pytest.mark.parametrize("line", [line for line in LINES if line.get("planned")], ids=title)
def test_a_command_line_of_run_ner_is_planned(line: dict[str, Any], folder: Path, encoder: Path):
    result = run("fit", *arguments(line, folder, str(encoder)), "--dry-run")
    assert result.exit_code == 0, result.output
    assert "scheme IOB2" in result.stdout
    assert not Path("out").exists()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder that reads windows of the usual lengths."""
    from tests.encoders import make_bert

    return make_bert(tmp_path_factory.mktemp("encoder"), max_position_embeddings=512)


def test_an_argument_is_in_one_row():
    assert [name for name, n in Counter(name for row in ROWS for name in row.names).items() if n > 1] == []
    assert {*SWITCHES, *LISTS, *SECRETS} <= row_by_name().keys()
    assert not SWITCHES & LISTS


@pytest.mark.parametrize("name", [name for name, row in row_by_name().items() if isinstance(row, Ours)])
def test_an_argument_with_an_effect_sets_an_option_or_a_setting(name: str):
    row = row_by_name()[name]
    assert isinstance(row, Ours)
    if row.setting:
        assert row.setting in setting_values(Config())
    else:
        option = OPTIONS[option_of(name, row)]
        assert option.is_flag == (name in SWITCHES)


@pytest.mark.parametrize("name", [name for name, row in row_by_name().items() if not isinstance(row, Ours)])
def test_an_argument_without_effect_is_no_option(name: str):
    """If an option is added to fit, the argument of the same name sets it, so its row must be one of `Ours`."""
    assert f"--{name.replace('_', '-')}" not in OPTIONS


def arguments_of_transformers() -> dict[str, Any]:
    from typing import get_type_hints

    from transformers.training_args import TrainingArguments
    from transformers.training_args_tf import TFTrainingArguments

    hints = get_type_hints(TrainingArguments) | get_type_hints(TFTrainingArguments)
    fields = {field.name for one in (TrainingArguments, TFTrainingArguments) for field in dataclasses.fields(one)}
    return {name: hints[name] for name in fields if not name.startswith("_")}


def test_the_arguments_of_the_installed_transformers_are_all_known():
    theirs = arguments_of_transformers()
    assert sorted(theirs.keys() - row_by_name().keys()) == []
    switches = {name for name, kind in theirs.items() if kind is bool or bool in get_args(kind)}
    assert switches == theirs.keys() & SWITCHES
    lists = {name for name, kind in theirs.items() if "list[" in str(kind) and "fsdp" not in name}
    assert lists <= LISTS


@pytest.mark.parametrize(
    "names",
    [
        # run_ner.py of transformers 4.54 and 5, and of TensorFlow
        "model_name_or_path config_name tokenizer_name cache_dir model_revision token use_auth_token trust_remote_code"
        " ignore_mismatched_sizes task_name dataset_name dataset_config_name train_file validation_file test_file"
        " text_column_name label_column_name overwrite_cache preprocessing_num_workers max_length max_seq_length"
        " pad_to_max_length max_train_samples max_eval_samples max_predict_samples label_all_tokens"
        " return_entity_level_metrics",
        # run_ner.py of transformers 3, and arguments of the Trainer that were removed
        "task_type use_fast data_dir labels evaluate_during_training evaluation_strategy sharded_ddp xpu_backend"
        " dispatch_batches split_batches",
        # the Trainer of transformers 5
        "activation_checkpointing activation_checkpointing_kwargs use_cache project trackio_space_id trackio_bucket_id"
        " trackio_static_space_id enable_jit_checkpoint parallelism_config dataloader_multiprocessing_context"
        " dataloader_in_order train_sampling_strategy ddp_static_graph",
        # run_ner_no_trainer.py
        "num_warmup_steps max_train_steps model_type checkpointing_steps with_tracking",
    ],
)
def test_arguments_of_other_versions_are_known(names: str):
    assert sorted(set(names.split()) - row_by_name().keys()) == []


@pytest.mark.parametrize(
    ("args", "settings"),
    [
        (["--fp16", "True"], {"training.precision": "mixed_float16"}),
        (["--fp16=true"], {"training.precision": "mixed_float16"}),
        (["--fp16=1"], {"training.precision": "mixed_float16"}),
        (["--fp16", "no"], {"training.precision": "float32"}),
        (["--fp16=False"], {"training.precision": "float32"}),
        (["--fp16", "False", "--bf16"], {"training.precision": "mixed_bfloat16"}),
        (["--bf16", "True", "--fp16", "False"], {"training.precision": "mixed_bfloat16"}),
        (["--precision", "mixed_bfloat16", "--fp16", "False"], {"training.precision": "mixed_bfloat16"}),
        (["--overwrite_output_dir", "t"], {"overwrite": True}),
        (["--overwrite-output-dir", "False"], {}),
        (["--push_to_hub", "False", "--set", "hub.push=true"], {"hub.push": True}),
        (["--overwrite_cache", "y"], {"data.use_cache": False}),
        (["--label_all_tokens"], {"alignment.strategy": "all-same"}),
        (["--label_all_tokens", "False"], {}),
        (["--xla"], {"training.jit_compile": True}),
        (["--xla", "False"], {}),
        (["--gradient_checkpointing"], {"training.gradient_checkpointing": True}),
        (["--gradient_checkpointing", "False"], {}),
        (["--activation_checkpointing", "True"], {"training.gradient_checkpointing": True}),
        (["--full_determinism", "True"], {"training.deterministic": True}),
        (["--no_remove_unused_columns", "--no_dataloader_pin_memory"], {}),
        (["--do_train", "True", "--do_eval", "False"], {}),
        (["--report_to", "none"], {"training.report_to": []}),
        (["--report_to", "csv", "wandb"], {"training.report_to": ["csv", "wandb"]}),
        (["--report_to", "csv,wandb"], {"training.report_to": ["csv", "wandb"]}),
        (["--label_names", "start", "end", "--seed", "7"], {"training.seed": 7}),
        (["--num_train_epochs", "4.0"], {"training.num_train_epochs": 4}),
        (["--num_train_epochs=1e1"], {"training.num_train_epochs": 10}),
        (["--save_steps", "1000.0"], {"training.checkpoint_steps": 1000}),
        (["--save_steps", "-1"], {}),
        (["--max_grad_norm", "0.0"], {"optimizer.clip_norm": None}),
        (["--max_grad_norm", "2"], {"optimizer.clip_norm": 2.0}),
        (["--adam_beta1", "0.8"], {"optimizer.adam_beta1": 0.8}),
        (["--hub_revision", "dev"], {"hub.revision": "dev"}),
        (["--per_gpu_train_batch_size=4"], {"training.per_device_train_batch_size": 4}),
        (["--task_name", "NER"], {}),
        (["--task_name", "chunk"], {"task": "chunk"}),
        (["--task_name", "diseases"], {}),
        (["--task_type", "Chunk"], {"task": "chunk"}),
        (["--tokenizer_name", "m"], {}),
        (["--max_eval_samples", "9", "--max_predict_samples", "9"], {"data.max_eval_samples": 9}),
        (["--optim", "adamw_hf", "--poly_power", "1.0", "--tf32", "yes"], {}),
        (["--deepspeed", "", "--fsdp=", "--adafactor", "False", "--tpu_num_cores=None"], {}),
        (["--fsdp_config", "f.json", "--fsdp", ""], {}),
        (["--push_to_hub_model_id", "a", "--push_to_hub_organization", "b"], {"hub.model_id": "b/a"}),
        (["--push_to_hub_organization", "b"], {"hub.model_id": "b/o"}),
        (["--checkpointing_steps", "50"], {"training.checkpoint_steps": 50}),
        (["--max_steps", "-1"], {}),
        (["--eval_strategy", "no"], {"training.eval_strategy": "no"}),
        (
            ["--max_train_steps", "300.0", "--num_warmup_steps", "30"],
            {"training.max_steps": 300, "optimizer.warmup_steps": 30},
        ),
        (
            ["--warmup_steps", "0", "--lr_scheduler_type", "cosine"],
            {"optimizer.lr_scheduler_type": "cosine"},
        ),
        (
            ["--evaluation_strategy", "steps", "--eval_steps", "9"],
            {"training.eval_strategy": "steps", "training.eval_steps": 9},
        ),
        (
            ["--metric_for_best_model", "eval_loss", "--greater_is_better", "False"],
            {"training.metric_for_best_model": "loss"},
        ),
        (["--save_total_limit", "2"], {"training.keep_checkpoints": 2}),
        (["--learning-rate", "1e-3", "--learning_rate", "2e-3"], {"optimizer.learning_rate": 2e-3}),
    ],
    ids=" ".join,
)
def test_values_are_read_as_run_ner_reads_them(args: list[str], settings: dict[str, Any]):
    assert settings_of(*args) == settings


def test_all_trackers_are_those_that_are_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tf_tokclf.cli.run_ner.find_spec", lambda name: object() if name == "mlflow" else None)
    assert settings_of("--report_to", "all") == {"training.report_to": ["tensorboard", "csv", "mlflow"]}


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--optim", "sgd"], "--optim sgd: the optimizer is always AdamW"),
        (["--optim=adamw_8bit"], "--optim adamw_8bit: "),
        (
            ["--load_best_model_at_end", "False"],
            "--load_best_model_at_end False: the best of the scored models is kept, unless --eval-strategy is no",
        ),
        (["--lr_scheduler_type", "reduce_lr_on_plateau"], "--lr_scheduler_type reduce_lr_on_plateau: only schedules"),
        (["--do_train", "False"], "--do_train False: fit always trains"),
        (["--max_predict_samples", "5"], "--max_predict_samples 5: --max-eval-samples limits validation and test data"),
        (["--num_train_epochs", "2.5"], "--num_train_epochs 2.5: it must be a whole number"),
        (["--save_steps", "0.1"], "--save_steps 0.1: it must be a whole number"),
        (["--report_to", "--do_train"], "--report_to: the value is missing"),
        (["--adam_beta1", "--do_train"], "--adam_beta1: the value is missing"),
        (["--save_total_limit"], "--save_total_limit: the value is missing"),
        (["--deepspeed"], "--deepspeed: the model is not divided between devices"),
        (["--lr_scheduler_kwargs", '{"num_cycles": 2}'], "--lr_scheduler_kwargs: "),
        (["--no_save_safetensors"], "--no_save_safetensors: weights are always saved as safetensors"),
        (["--fp16=maybe"], "--fp16 maybe: the value is neither true nor false"),
        (["--overwrite_output_dir=nope"], "--overwrite_output_dir nope: the value is neither true nor false"),
        (["--no_fp16=false", "--adafactor"], "2 arguments cannot be used:\n  - --no_fp16: there is no such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_argument_that_cannot_be_used_is_named_with_the_reason(args: list[str], named: str):
    message = refusal_of(*args)
    assert message.startswith(named)
    is_wrong = any(why in named for why in ("must be a whole number", "neither true nor false"))
    remedy = (
        "Give it a value."
        if "value is missing" in named
        else "Correct it."
        if is_wrong
        else "docs/from-run-ner.md lists replacements, where they exist."
    )
    assert message.endswith(f" {remedy}")


def test_all_arguments_that_cannot_be_used_are_in_one_message():
    args = ("--fsdp", "full_shard", "--optim", "lion_32bit", "--fsdp_config", "f.json", "--foo", "1", "--seeed", "1")
    assert refusal_of(*args, "--learning_rate", "fast").splitlines() == [
        "5 arguments cannot be used:",
        "  - --fsdp, --fsdp_config: the model is not divided between devices, so it must fit on each of them.",
        "  - --optim lion_32bit: the optimizer is always AdamW.",
        "  - --foo: there is no such option.",
        "  - --seeed: there is no such option. Did you mean --seed?",
        "Remove them. docs/from-run-ner.md lists replacements, where they exist.",
    ]
    result = run("fit", *MINIMAL, *args)
    assert result.exit_code == 2
    assert "Usage:" not in result.output


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_token_is_never_shown(name: str):
    result = run("fit", *MINIMAL, f"--{name}", "my-own-secret")
    assert result.exit_code == 2
    assert f"--{name}: set HF_TOKEN" in " ".join(result.stderr.split())
    assert "my-own-secret" not in result.output


def test_what_has_no_effect_is_logged_in_one_line_for_each_reason():
    args = (
        "--do_train",
        "--do_eval",
        "--torch_compile",
        "--use_ipex",
        "--cache_dir",
        "c",
        "--xla",
        "--adam_beta1",
        "0.8",
    )
    logged = run("fit", *MINIMAL, *args).stderr.splitlines()
    assert [line for line in logged if "no effect" in line or "read as" in line] == [
        "--xla is read as --jit-compile, --adam_beta1 0.8 as --set optimizer.adam_beta1=0.8",
        "--do_train, --do_eval: no effect, because fit trains and then scores the validation and test data",
        "--torch_compile, --use_ipex: no effect, because this exists only in PyTorch, and TensorFlow always traces "
        "graphs",
        "--cache_dir: no effect, because HF_HOME is the folder of downloads, and TF_TOKCLF_CACHE the folder of "
        "tokenised data",
    ]
    assert "no effect" not in run("fit", "--quiet", *MINIMAL, *args).stderr


def test_options_of_fit_alone_log_nothing(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO):
        config_of("--model-name-or-path", "m", "--train-file", "t", "--output-dir", "o", "--force", "--seed", "1")
    assert caplog.messages == []


def test_help_is_shown_as_before():
    shown = run("fit", "--help")
    assert run("fit", "--tpu_name", "x", "--help").stdout == shown.stdout
    assert not [name for name in ("--tpu", "--do-train", "--use-cpu", "--optim") if name in shown.stdout]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_with_another_meaning_is_suggested(command: str):
    context = click.Context(cli)
    found = cli.get_command(context, command)
    assert found is not None
    known = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    theirs = {f"--{name}" for name, row in row_by_name().items() if not isinstance(row, Ours)}
    others = {*theirs, "--foo", "--tpu", "--fp32", "--fp8", "--bf32", "--batch", "--size"}
    suggested = {name: similar for name in others if (similar := similar_option(name, known))}
    assert suggested == {}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--learnign_rate", "--learning-rate"),
        ("--per_device_train_batch_sizes", "--per-device-train-batch-size"),
        ("--trian-file", "--train-file"),
        ("--hub-private", "--hub-private-repo"),
        ("--tpu_name", None),
        ("--foo", None),
        ("--epochs", "--num-train-epochs"),
        ("--lr", "--learning-rate"),
        ("--batch_size", "--per-device-train-batch-size"),
        ("--eval-batch-size", "--per-device-eval-batch-size"),
        ("--model", "--model-name-or-path"),
        ("--train", "--train-file"),
        ("--dev_file", "--validation-file"),
        ("--test", "--test-file"),
        ("--dataset", "--dataset-name"),
        ("--max_len", "--max-seq-length"),
        ("--output", "--output-dir"),
    ],
)
@pytest.mark.parametrize("command", ["fit"])
def test_a_misspelt_option_gets_a_suggestion(command: str, typed: str, meant: str | None):
    assert similar_option(typed, OPTIONS) == meant


def test_a_misspelt_option_is_one_message_with_the_suggestion():
    result = run("predict", "--aggregaton", "max")
    assert result.exit_code == 2
    assert "--aggregaton" in result.output
    assert " Did you mean --aggregation?" in result.output
    assert "Did you mean" not in run("fit", "--tokens", "3").output
    assert " Did you mean --num-train-epochs?" in " ".join(run("fit", "--epochs", "3").output.split())
    shown = run("predict", "m", "--batch-size", "3").output
    assert " Did you mean --per-device-eval-batch-size?" in " ".join(shown.split())


def test_a_name_of_another_tool_is_no_argument_of_run_ner():
    """An argument of run_ner.py is translated, so that a suggestion for it would never be shown."""
    of_fit = {ours: theirs for ours, theirs in _NAMES_ELSEWHERE.items() if ours[0] in OPTIONS}
    names = [name for theirs in of_fit.values() for name in theirs.split()]
    assert not {name.replace("-", "_") for name in names} & row_by_name().keys()
    assert len(set(names)) == len(names)
    assert _NAMES_ELSEWHERE.keys() - of_fit.keys() == {("--file",)}


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_commands_that_read_one_file_suggest_it_for_the_options_of_fit(command: str):
    result = run(command, "runs/mine", "--test-file", "test.conll")
    assert result.exit_code == 2
    assert "--file" in result.output.split("Did you mean", 1)[1]


@pytest.mark.parametrize(
    "launcher",
    [
        "run_ner.py",
        "python examples/pytorch/token-classification/run_ner.py",
        "python3 -u run_tf_ner.py",
        "torchrun --nproc_per_node 8 run_ner.py",
        "python -m torch.distributed.launch --nproc_per_node=2 ./run_ner.py",
        "accelerate launch --mixed_precision fp16 run_ner_no_trainer.py",
    ],
)
def test_the_name_of_the_script_can_be_pasted_too(launcher: str):
    assert settings_of("--seed", "3") == {"training.seed": 3}
    config = config_of(*launcher.split(), *MINIMAL, "--seed", "3")
    assert config == config_of(*MINIMAL, "--seed", "3")
    result = run("fit", *launcher.split(), *MINIMAL)
    assert f"{launcher.replace('=', ' ')} is read as fit" in result.stderr.replace("=", " ")


@pytest.mark.parametrize(
    "launcher", ["run_ner.py", "python run_ner.py", "/opt/bin/python3.11 -u run_ner.py", "torchrun -n 2 run_ner.py"]
)
@pytest.mark.parametrize("before", [(), ("args.json",)])
def test_options_before_the_launcher_are_used(launcher: str, before: tuple[str, ...], folder: Path):
    written(folder, max_seq_length=32)
    ours = ("--set", "optimizer.warmup_ratio=0.3", "--dry-run", *before, "--recipe", "none")
    context = fit_command.make_context(
        "fit", [*ours, *launcher.split(), *MINIMAL, "--seed", "3"], parent=click.Context(cli, **cli.context_settings)
    )
    config = load_config(assignments=context.params["assignments"], options=given_settings(context))
    assert context.params["dry_run"]
    assert context.params["config"] is None
    assert (config.optimizer.warmup_ratio, config.recipe, config.training.seed) == (0.3, "none", 3)
    assert config.alignment.max_length == (32 if before else Config().alignment.max_length)


def test_a_plan_is_followed_by_the_same_command_line_without_dry_run(folder: Path, encoder: Path):
    path = written(folder, model_name_or_path=str(encoder), train_file="train.txt", output_dir="o", fp16=False)
    for args in (
        [path],
        ["--seed=3", "python", "run_ner.py", "--train_file", "t", "--bf16"],
        [path, "--learning_rate=1"],
    ):
        context = fit_command.make_context(
            "fit", [*args, "--dry_run"], parent=click.Context(cli, **cli.context_settings)
        )
        assert arguments_without(context, "dry_run") == args


def test_the_value_stands_in_the_line_about_what_an_argument_means():
    args = ("python", "run_ner.py", *MINIMAL, "--fp16", "False", "--xla")
    lines = [line for line in run("fit", *args).stderr.splitlines() if "read as" in line]
    expected = "python run_ner.py is read as fit, --fp16 False as --precision float32, --xla as --jit-compile"
    assert lines == [expected]
    assert "--fp16 False is read as --precision float32" in run("fit", *MINIMAL, "--fp16", "False").stderr


def test_options_before_the_name_of_the_script_are_kept():
    config = config_of("--seed", "3", "python", "-u", "run_ner.py", *MINIMAL)
    assert config == config_of(*MINIMAL, "--seed", "3")
    assert config != config_of(*MINIMAL)


def test_the_commands_for_an_evaluation_name_what_is_needed_to_read_the_data():
    args = ("--dataset_name", "d", "--dataset_config_name", "en", "--label_column_name", "tags", "--do_eval")
    with pytest.raises(UserError) as caught:
        config_of("--model_name_or_path", "my model", *args)
    command = str(caught.value).splitlines()[-1].strip()
    assert command == (
        "tf-tokclf evaluate 'my model' --split validation --set data.dataset_name=d --set data.dataset_config_name=en "
        "--label-column-name tags"
    )
    check_options(tuple(shlex.split(command)))


def written(folder: Path, **content: Any) -> str:
    (folder / "args.json").write_text(json.dumps(content), encoding="utf-8")
    return "args.json"


def test_set_overrides_a_file_of_arguments_and_options_override_set(folder: Path):
    path = written(folder, model_name_or_path="m", train_file="train.txt", output_dir="o", seed=1, max_seq_length=32)
    assert config_of(path).training.seed == 1
    assert config_of(path, "--set", "training.seed=2").training.seed == 2
    config = config_of("--seed", "3", path, "--set", "training.seed=2", "--set", "alignment={max_length: 16}")
    assert (config.training.seed, config.alignment.max_length) == (3, 16)


def test_a_file_with_the_defaults_of_all_arguments_is_accepted(folder: Path):
    """As transformers writes it, except that it does not keep the best model by default."""
    from transformers.training_args_tf import TFTrainingArguments

    fields = [field for field in dataclasses.fields(TFTrainingArguments) if field.init]
    content = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
    content |= {"output_dir": "o", "do_train": True, "load_best_model_at_end": True, "report_to": []}
    content |= {"fsdp": [], "fsdp_config": {"min_num_params": 0}, "hub_token": "<HUB_TOKEN>", "lr_scheduler_kwargs": {}}
    config = config_of(written(folder, **content, model_name_or_path="m", train_file="train.txt"))
    assert (config.training.num_train_epochs, config.training.report_to, config.hub.push) == (3, (), False)


def test_a_file_can_be_used_with_arguments_that_it_lacks(folder: Path):
    path = written(folder, train_file="train.txt", do_train=False, do_eval=True)
    assert config_of(path, "--do_train", "--model_name_or_path", "m").data.train_file == "train.txt"


@pytest.mark.parametrize("names", [("fp16", "bf16"), ("bf16", "fp16")])
def test_a_precision_that_is_off_leaves_the_other_one_on(folder: Path, names: tuple[str, str]):
    """transformers writes both into the file, in either order."""
    on, off = names
    minimal = {"model_name_or_path": "m", "train_file": "train.txt", "output_dir": "o"}
    expected = {"fp16": "mixed_float16", "bf16": "mixed_bfloat16"}[on]
    assert config_of(written(folder, **minimal, **{on: True, off: False})).training.precision == expected
    assert config_of(written(folder, **minimal, **{off: False, on: True})).training.precision == expected
    assert config_of(written(folder, **minimal, fp16=False, bf16=False)).training.precision == "float32"


def test_a_file_of_arguments_may_begin_with_a_byte_order_mark(folder: Path):
    path = folder / written(folder, model_name_or_path="m", train_file="train.txt", output_dir="o", seed=7)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert config_of("args.json").training.seed == 7


def test_a_value_in_a_list_is_no_option(folder: Path):
    path = written(folder, model_name_or_path="m", train_file="train.txt", report_to=["csv", "--force"])
    result = run("fit", path)
    assert result.exit_code == 2
    assert "'--force' is not one of" in result.stderr


def test_the_message_about_a_file_of_arguments_names_it(folder: Path):
    path = written(folder, model_name_or_path="m", train_file="train.txt", output_dir="o", adafactor=True)
    result = run("fit", path)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: args.json: --adafactor: the optimizer is always AdamW.")


def test_a_wrong_value_in_a_file_of_arguments_is_said(folder: Path):
    result = run("fit", written(folder, model_name_or_path="m", learning_rate="fast"))
    assert result.exit_code == 2
    assert "learning_rate" in result.output.replace("-", "_")
    assert "fast" in result.output


def test_a_configuration_in_json_is_a_configuration(folder: Path, encoder: Path):
    content = {"output_dir": "o", "data": {"train_file": "nothing.txt"}, "model": {"name_or_path": str(encoder)}}
    result = run("fit", written(folder, **content), "--dry-run")
    assert result.exit_code == 2
    assert "nothing.txt: there is no such file" in result.stderr


def test_a_file_that_is_neither_is_a_configuration_with_problems(folder: Path):
    (folder / "args.json").write_text("[1, 2]", encoding="utf-8")
    assert "is not a mapping of sections" in run("fit", "args.json").stderr
    assert "there is no setting foo" in run("fit", written(folder, foo=1)).stderr


def test_a_run_without_gpus_hides_them(folder: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch):
    import os

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    args = ("--train_file", "train.txt", "--model_name_or_path", str(encoder), "--output_dir", "o", "--dry-run")
    assert run("fit", *args, "--no_cuda", "False").exit_code == 0
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert run("fit", *args, "--no_cuda").exit_code == 0
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"


def test_options_of_fit_in_a_file_of_arguments(folder: Path):
    written(folder, max_seq_length=32, dry_run=True, resume=False, seeds="1,2")

    def parsed(*args: str) -> dict[str, Any]:
        return fit_command.make_context("fit", list(args), parent=click.Context(cli)).params

    found = parsed("args.json", *MINIMAL)
    assert (found["dry_run"], found["resume"], found["seeds"]) == (True, False, (1, 2))
    assert parsed("args.json", *MINIMAL, "--seeds", "3")["seeds"] == (3,)
    written(folder, max_seq_length=32, seeds=[1, 2])
    assert parsed("args.json", *MINIMAL)["seeds"] == (1, 2)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"dry_run": "maybe"}, "--dry_run maybe: the value is neither true nor false. Correct it."),
        ({"learning_rate": "fast"}, "--learning_rate fast: 'fast' is not a valid float. Correct it."),
        ({"learning_rate": -1}, "--learning_rate: optimizer.learning_rate: -1.0 is not greater than 0."),
        ({"seeds": "1,x"}, "--seeds: '1,x' is not a list of whole numbers such as 1,2,3."),
        ({"sweep": "seed"}, "--sweep seed: 'seed' is not SECTION.KEY=V,V,..."),
    ],
)
def test_messages_about_a_file_of_arguments_name_it(folder: Path, content: dict[str, Any], problem: str):
    written(folder, **content, max_seq_length=32)
    result = run("fit", "--dry-run", "python", "run_ner.py", "args.json", *MINIMAL)
    assert result.exit_code == 2
    assert f"Error: args.json: {problem}" in " ".join(result.stderr.split())


def test_all_wrong_values_of_a_file_are_in_one_message(folder: Path):
    written(folder, learning_rate="fast", dry_run="maybe", foo=1)
    message = run("fit", "args.json", *MINIMAL).stderr
    assert "args.json: 3 arguments cannot be used:" in message
    assert all(
        one in message for one in ("--learning_rate fast:", "--dry_run maybe:", "--foo: there is no such option")
    )
    assert "Correct or remove them." in message


def test_the_command_line_is_not_blamed_on_the_file_of_arguments(folder: Path):
    written(folder, learning_rate=-1)
    result = run("fit", "args.json", *MINIMAL, "--learning-rate", "-2")
    assert result.stderr == "Error: optimizer.learning_rate: -2.0 is not greater than 0.\n"


@pytest.mark.parametrize("launcher", ["run_ner.py", "python run_ner.py", "torchrun --nproc_per_node 8 run_ner.py"])
@pytest.mark.parametrize("values", [["csv"], ["tensorboard", "csv"]])
def test_a_list_of_values_ends_before_the_launcher(launcher: str, values: list[str]):
    expected = config_of(*MINIMAL, "--report-to", ",".join(values))
    assert config_of("--report_to", *values, *launcher.split(), *MINIMAL) == expected
    assert config_of("--debug", *launcher.split(), *MINIMAL) == config_of(*MINIMAL)


def test_a_list_of_values_ends_before_a_configuration(folder: Path):
    written(folder, max_seq_length=32)
    config = config_of(*MINIMAL, "--report_to", "csv", "args.json")
    assert (config.training.report_to, config.alignment.max_length) == (("csv",), 32)
    (folder / "mine.yaml").write_text("training: {seed: 3}")
    context = fit_command.make_context("fit", ["--report-to", "csv", "mine.yaml"], parent=click.Context(cli))
    assert context.params["config"] == "mine.yaml"
