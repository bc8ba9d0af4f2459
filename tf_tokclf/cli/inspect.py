"""tf-tokclf inspect."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_tokclf.cli.options import UnderscoreCommand, logging_options, set_option
from tf_tokclf.cli.setting_options import as_arguments, given_settings, setting_options
from tf_tokclf.control_characters import echo

if TYPE_CHECKING:
    from tf_tokclf.config.schema import Config
    from tf_tokclf.inspection.inspect import Tokenization


@click.command("inspect", cls=UnderscoreCommand)
@click.argument("source", required=False)
@setting_options(
    *("task", "data", "model", "alignment.max_length", "alignment.overlap"),
    without=("data.extra_file", "data.extra_min_score", "data.extra_labels"),
)
@set_option()
@click.option(
    "--examples",
    "n_examples",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Number of example sentences to show.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=42,
    show_default=True,
    help="Random seed for the choice of example sentences.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option("--strict", is_flag=True, help="Exit with code 1 if there are errors.")
@logging_options
@click.pass_context
def inspect_command(
    ctx: click.Context,
    source: str | None,
    assignments: tuple[str, ...],
    n_examples: int,
    seed: int,
    as_json: bool,
    strict: bool,
) -> None:
    """Show statistics about labelled data, and problems in it.

    SOURCE is a file, a folder, a data set on the Hub, or a configuration (YAML). With --model-name-or-path, statistics
    of subword tokens and windows are included.

    \b
    tf-tokclf inspect train.conll
    tf-tokclf inspect configs/wnut17.yaml --strict
    tf-tokclf inspect --train-file a.conll --test-file b.conll --model-name-or-path bert-base-cased
    """
    settings = given_settings(ctx)
    config = _config(source, assignments, settings)

    from tf_tokclf.data.splits import load_splits
    from tf_tokclf.inspection.inspect import inspect_splits
    from tf_tokclf.inspection.problem import Level
    from tf_tokclf.report.terminal import status

    with status("reading data"):
        draw = config.data.test_fraction is not None
        splits = load_splits(config.data, task=config.task, required=("train",) if draw else (), draw=draw)
        tokenization = _tokenization(config)
        inspection = inspect_splits(
            splits, data=config.data, tokenization=tokenization, n_examples=n_examples, seed=seed
        )
    if as_json:
        import json

        echo(json.dumps(inspection.to_json(), indent=2))
    else:
        from tf_tokclf.report.inspection import inspection_report
        from tf_tokclf.report.terminal import stdout_console

        console = stdout_console()
        # Paths may be longer than a line. They are not truncated, so that they can be copied.
        console.print(inspection_report(inspection, width=console.width), crop=False)
    if strict and inspection.count(Level.ERROR):
        sys.exit(1)
    from tf_tokclf.report.next_steps import after_inspect, show_next

    show_next(after_inspect(_fit_words(source, config, settings, assignments), n_errors=inspection.count(Level.ERROR)))


def _fit_words(
    source: str | None, config: Config, settings: dict[str, Any], assignments: tuple[str, ...]
) -> tuple[str, ...]:
    """The command that trains on the same data."""
    from tf_tokclf.report.next_steps import fit_words

    data, has_configuration = config.data, source is not None and _is_configuration(source)
    words = as_arguments(settings)
    if source is not None:
        words = [*([source] if has_configuration else as_arguments({_source_key(source): source})), *words]
    words += [word for assignment in assignments for word in ("--set", assignment)]
    if not (data.test_file or data.dataset_name or data.test_fraction or has_configuration):
        words += ["--test-fraction", "0.1"]
    name = Path(data.train_file or data.dataset_name or "data").stem
    return fit_words(words, name, has_model=config.model.name_or_path is not None, output_dir=config.output_dir)


def _config(source: str | None, assignments: tuple[str, ...], settings: dict[str, Any]) -> Config:
    from tf_tokclf.config.loading import load_config
    from tf_tokclf.config.references import is_meant_as_path, resolve_reference
    from tf_tokclf.errors import UserError
    from tf_tokclf.similar_names import did_you_mean

    if source is None:
        config = load_config(assignments=assignments, options=settings)
        data = config.data
        if not (data.train_file or data.validation_file or data.test_file or data.dataset_name):
            hint = "Name a file, a folder, a Hub id or a configuration."
            raise UserError("no data to inspect.", hint=hint)
        return config
    if _is_configuration(source):
        return load_config(source, assignments=assignments, options=settings)
    if not resolve_reference(source).exists() and is_meant_as_path(source):
        raise UserError(
            "there is no such file or folder.", path=source, hint=did_you_mean(source, "Check the path.", is_data=True)
        )
    return load_config(assignments=assignments, options={_source_key(source): source, **settings})


def _is_configuration(source: str) -> bool:
    from tf_tokclf.config.references import resolve_reference
    from tf_tokclf.config.shipped import shipped_config
    from tf_tokclf.data.detection import detect_format

    path = resolve_reference(source)
    is_yaml = source.endswith((".yaml", ".yml")) and not (path.is_file() and detect_format(path) == "rasa-text")
    return is_yaml or (not path.exists() and shipped_config(Path(source)) is not None)


def _source_key(source: str) -> str:
    """The setting that SOURCE is the value of, if it is not a configuration."""
    from tf_tokclf.config.references import resolve_reference

    path = resolve_reference(source)
    return "data.train_file" if path.is_file() or _is_one_split(path) else "data.dataset_name"


def _is_one_split(folder: Path) -> bool:
    """Whether the entries of a folder, such as seq.in and seq.out, are not named after splits."""
    return folder.is_dir() and not any("train" in entry.stem.lower() for entry in folder.iterdir())


def _tokenization(config: Config) -> Tokenization | None:
    if config.model.name_or_path is None:
        return None
    from tf_tokclf.encoding.model_folders import local_model_folder
    from tf_tokclf.encoding.tokenizers import load_tokenizer
    from tf_tokclf.encoding.windows import WindowSettings
    from tf_tokclf.inspection.inspect import Tokenization

    name = config.model.name_or_path
    folder = local_model_folder(
        name,
        revision=config.model.revision,
        weights=False,
        trust_remote_code=config.model.trust_remote_code,
    )
    tokenizer = load_tokenizer(folder, trust_remote_code=config.model.trust_remote_code)
    return Tokenization(name, tokenizer, WindowSettings.of(config.alignment, folder, tokenizer))
