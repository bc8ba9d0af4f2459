"""Options for settings. Their names, types, defaults and help come from the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import click

from tf_tokclf.cli.types import ChoiceList, NameOrNumber, PrefixedChoice
from tf_tokclf.config.shipped_schema import DescribedSetting, described_settings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

# The options of these settings come first under their heading, in this order. The others follow in the schema's order.
_FIRST = (
    *("data.train_file", "data.validation_file", "data.test_file", "data.dataset_name", "data.dataset_config_name"),
    *("data.text_column_name", "data.label_column_name", "data.max_train_samples", "data.max_eval_samples"),
    *("data.use_cache", "model.name_or_path", "model.revision", "model.head"),
    "model.allow_incomplete_weights",
    *("alignment.max_length", "alignment.overlap"),
    *("training.num_train_epochs", "training.max_steps", "training.per_device_train_batch_size"),
    *("training.max_pieces_per_batch", "training.gradient_accumulation_steps"),
    *("optimizer.learning_rate", "optimizer.weight_decay", "optimizer.lr_scheduler_type"),
    *("optimizer.warmup_ratio", "optimizer.warmup_steps", "optimizer.layer_decay"),
    *("optimizer.clip_norm", "training.eval_strategy", "training.eval_steps"),
    *("training.metric_for_best_model", "training.patience"),
    *("training.logging_steps", "training.report_to", "training.seed", "training.precision"),
    *("training.checkpoint_steps", "training.keep_checkpoints", "training.checkpoint_minutes", "training.strategy"),
    *("training.label_smoothing", "training.span_weight", "training.ema_decay", "training.freeze_embeddings"),
)


class HeadedOption(click.Option):
    """An option with the heading under which help lists it."""

    def __init__(self, *args: Any, heading: str, **arguments: Any) -> None:
        super().__init__(*args, **arguments)
        self.heading = heading


class SettingOption(HeadedOption):
    """An option for a setting. Its value is not a parameter of the command: `given_settings` has it."""

    def __init__(self, *args: Any, setting: str, **arguments: Any) -> None:
        super().__init__(*args, default=None, expose_value=False, callback=_collect, **arguments)
        self.setting = setting


def _collect(ctx: click.Context, parameter: SettingOption, value: Any) -> None:
    if value is not None:
        given_settings(ctx)[parameter.setting] = value


def given_settings(ctx: click.Context) -> dict[str, Any]:
    """The settings for which options were given: dotted name -> value."""
    return ctx.ensure_object(dict).setdefault("settings", {})


def as_arguments(settings: Mapping[str, Any]) -> list[str]:
    """The arguments of `fit` that give these settings, which were given by options.

    >>> as_arguments({"data.train_file": "train.conll", "data.layer": -1, "data.use_cache": False})
    ['--train-file', 'train.conll', '--layer=-1', '--overwrite-cache']
    """
    words: list[str] = []
    for name, value in settings.items():
        setting = described_settings()[name]
        option = setting.names[0]
        if isinstance(value, bool):
            words.append(option if value or not setting.is_nullable else f"--no-{option.removeprefix('--')}")
            continue
        text = ",".join(value) if isinstance(value, (list, tuple)) else str(value)
        words += [f"{option}={text}"] if text.startswith("-") else [option, text]
    return words


def setting_headings() -> tuple[str, ...]:
    """The headings of settings, in the order of the schema."""
    return tuple(dict.fromkeys(setting.heading for setting in described_settings().values()))


def setting_options(*names: str, without: Iterable[str] = ()) -> Decorator:
    """The options of these settings and sections, or of all if none are named. `given_settings` has their values.

    without: settings that are left out.
    """
    first = {name: place for place, name in enumerate(_FIRST)}
    chosen = [
        setting
        for setting in described_settings().values()
        if setting.names
        and setting.name not in without
        and (not names or setting.name in names or setting.name.partition(".")[0] in names)
    ]
    ordered = sorted(chosen, key=lambda setting: first.get(setting.name, len(first)))
    return _all(option for setting in ordered for option in _options(setting))


def data_options(
    *first: str | Decorator,
    labels: bool = True,
    spellings: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
    default_prefix: str = "",
    without: Iterable[str] = (),
) -> Decorator:
    """The options for reading a file. `given_settings` has their values.

    first: settings, and options of the command itself, that come first in this order, before the other settings.
    labels: whether the command reads labels too. spellings: names of options that replace the usual ones, if these have
    another meaning in the command. texts, defaults: help texts and defaults that replace those of the schema.
    default_prefix: text before the schema's defaults. without: settings that are left out.
    """
    spellings, texts, defaults = spellings or {}, texts or {}, defaults or {}

    def options(name: str) -> list[Decorator]:
        setting = described_settings()[name]
        return _options(
            replace(setting, names=(spellings[name],)) if name in spellings else setting,
            heading="Options",
            about=texts.get(name),
            default=defaults.get(name, f"{default_prefix}{setting.default_text}".removesuffix(", else ")),
        )

    excluded = {*without, *(item for item in first if isinstance(item, str))}
    kinds = ("words", "labels") if labels else ("words",)
    others = (name for name, setting in described_settings().items() if setting.reads in kinds and name not in excluded)
    return _all(option for item in (*first, *others) for option in (options(item) if isinstance(item, str) else [item]))


def source_options(
    on_error: str,
    about: str,
    *,
    formats: str = "text (one sentence per line), conll, jsonl, csv, parquet, or any other that fit reads",
    without: Iterable[str] = (),
) -> Decorator:
    """The options for reading SOURCE, the records that a model labels.

    on_error: what --on-error can do instead of stopping. about: its help text. formats: those that can be read.
    without: settings that are left out.
    """
    words, files = ("text_column_name", "sentence_column_name"), ("encoding", "separator", "header", "comment_prefix")
    settings = [f"data.{name}" for name in ("format", *words, *files)]
    return data_options(
        *(name for name in settings if name not in without),
        setting_parameter("data.word_splitting", default_text="as in training"),
        click.option(
            "--on-error",
            type=click.Choice(["stop", on_error]),
            default="stop",
            show_default=True,
            help=f"What to do with a record that cannot be read. {on_error}: {about}.",
        ),
        labels=False,
        texts={"data.format": f"Format of SOURCE: {formats}."},
        defaults={"data.format": "by its name, else text"},
        default_prefix="as in the run, else ",
        # These options have meanings of their own in the commands.
        without=("data.word_splitting", "data.on_error", "data.offset_unit", *without),
    )


def setting_parameter(
    setting: str, *declarations: str, heading: str = "Options", default_text: str | None = None, **arguments: Any
) -> Decorator:
    """An option with the type and help of a setting, whose value is a parameter of the command.

    declarations: as in `click.option`, by default those of the setting's option. default_text: the default in help, if
    it is not the argument `default`. arguments: other arguments of `click.option`.
    """
    described = described_settings()[setting]
    default = default_text or str(arguments.get("default") or "")
    kind = {"is_flag": True} if "boolean" in described.kinds else {"type": _click_type(described)}
    arguments = {**kind, "help": _with_default(described.about, default), **arguments}
    return click.option(*(declarations or described.names), cls=HeadedOption, heading=heading, **arguments)


def _all(options: Iterable[Decorator]) -> Decorator:
    options = list(options)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _options(
    setting: DescribedSetting, *, heading: str | None = None, about: str | None = None, default: str | None = None
) -> list[Decorator]:
    """The option of a setting and its switches. about, default: texts that replace those of the schema."""
    option = partial(click.option, cls=SettingOption, setting=setting.name, heading=heading or setting.heading)
    default = setting.default_text if default is None else default
    help_ = _with_default(about or setting.about, default)
    if "boolean" not in setting.kinds:
        main = option(*setting.names, type=_click_type(setting), help=help_)
    elif setting.is_nullable:
        main = option(*(f"{name}/--no-{name.removeprefix('--')}" for name in setting.names), help=help_)
    else:
        value = not setting.default
        main = option(*setting.names, flag_value=value, help=setting.about_value(value))
    switches = (
        option(name, flag_value=value, help=f"The same as {setting.names[0]} {value}.")
        for name, value in setting.switches.items()
    )
    return [main, *switches]


def _with_default(about: str, default: str) -> str:
    return f"{about}  [default: {default}]" if default else about


def _click_type(setting: DescribedSetting) -> click.ParamType | type:
    if setting.by_number:
        return NameOrNumber()
    if setting.prefixes:
        return PrefixedChoice(setting.choices, setting.prefixes)
    if setting.choices:
        return click.Choice(setting.choices)
    kind = next(iter(setting.kinds))
    if kind == "array":
        return ChoiceList(*setting.kinds[kind]["items"]["enum"])
    return {"string": str, "integer": int, "number": float}[kind]
