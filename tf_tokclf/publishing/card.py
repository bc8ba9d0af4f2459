"""The model card: what a stranger needs to judge and use a model, from the files of its run."""

from __future__ import annotations

import json
import re
import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_tokclf.config.loading import load_config
from tf_tokclf.config.references import is_package_reference
from tf_tokclf.config.schema import Config
from tf_tokclf.counted import counted
from tf_tokclf.encoding.model_config import model_config
from tf_tokclf.encoding.model_folders import looks_like_hub_id, public_name
from tf_tokclf.encoding.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.json_text import read_json
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_seeds import f1_by_seed

if TYPE_CHECKING:
    import jinja2
    from huggingface_hub import EvalResult
    from huggingface_hub.hf_api import DatasetInfo

_ANEW = "Restore the file, or score the run anew: tf-tokclf fit RUN --resume."
TEMPLATE = "model_card.md.jinja"
N_EXAMPLES = 3
_TASKS = {
    "ner": "named entity recognition",
    "pos": "part-of-speech tagging",
    "chunk": "chunking",
    "slots": "slot filling",
}


@dataclass(frozen=True)
class Score:
    """A row of a table of scores."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    interval: str = ""


@dataclass(frozen=True)
class SplitScores:
    """A split's table: all types first, then each."""

    name: str
    n_sentences: int
    n_words: int
    unit: str
    mode: str | None
    scheme: str
    rows: tuple[Score, ...]
    token_accuracy: float
    facts: tuple[str, ...]

    @property
    def has_intervals(self) -> bool:
        """Whether there are intervals to show."""
        return any(row.interval for row in self.rows)


@dataclass(frozen=True)
class Card:
    """What the template shows. Empty values leave their part of the card out."""

    reference: str
    finished: bool = True
    task: str = ""
    base_model: str = ""
    dataset_name: str = ""
    dataset_id: str = ""
    dataset_config: str | None = None
    dataset_revision: str | None = None
    headline: str = ""
    scores: tuple[SplitScores, ...] = ()
    spread: str = ""
    data: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    scheme: str = ""
    reading: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    history: tuple[dict[str, Any], ...] = ()
    n_epochs: int | None = None
    limits: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    license: str | None = None
    language: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sections: Mapping[str, str] = field(default_factory=dict)

    @property
    def aggregation(self) -> str:
        """How transformers' pipeline should join pieces: into spans where there are any."""
        return "none" if self.scheme == Scheme.NONE.value else "first"

    @property
    def base_model_link(self) -> str:
        """The encoder, with a link where it is on the Hub."""
        if _is_hub_model(self.base_model):
            return f"[{self.base_model}](https://huggingface.co/{self.base_model})"
        return f"`{public_name(self.base_model)}`"


def render(card: Card, *, template: str | None = None) -> str:
    """The card as Markdown under its metadata.

    template: a Jinja file to use instead; with `{% extends "model_card.md.jinja" %}` it can replace blocks.
    """
    title = card.reference.split("/")[-1]
    with _template_errors(template):
        found = _find_template(template)
        return found.render(card=card, title=title, metadata=metadata(card))


def check_template(template: str) -> None:
    """Raise UserError when there is no such template or it is no valid Jinja: before training, not after."""
    with _template_errors(template):
        _find_template(template)


def _find_template(template: str | None) -> jinja2.Template:
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    loaders: list[jinja2.BaseLoader] = [jinja2.PackageLoader("tf_tokclf.publishing", "templates")]
    name = TEMPLATE
    if template:
        path = Path(template)
        if not path.exists() or path.is_dir():
            raise UserError("there is no such template.", path=path, hint="Correct hub.card.template.")
        name, text = path.name, path.read_text(encoding="utf-8")
        # This file alone, and no others of its folder.
        loaders.insert(0, jinja2.FunctionLoader(lambda wanted: (text, str(path), None) if wanted == name else None))
    # A template may come with somebody else's configuration: it gets at the card, and at nothing else of Python.
    environment = SandboxedEnvironment(
        loader=jinja2.ChoiceLoader(loaders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"plain": plain_markdown, "cell": table_cell, "code": code_span}
    environment.filters |= {"quoted": partial(json.dumps, ensure_ascii=False), "shell": shlex.quote}
    environment.filters["shown"] = lambda value: f"{value:.4g}" if isinstance(value, float) else str(value)
    return environment.get_template(name)


def plain_markdown(text: str) -> str:
    """A fact in which labels and names of strangers are no HTML and open no new line.

    >>> plain_markdown("labels: <b>B-LOC</b>")
    'labels: &lt;b&gt;B-LOC&lt;/b&gt;'
    """
    return " ".join(str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())


def table_cell(text: str) -> str:
    """A name that is text in a table, whatever signs of Markdown are in it.

    >>> print(table_cell("a|b[c](d)"))
    a\\|b\\[c\\](d)
    """
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", plain_markdown(text))


def code_span(text: str) -> str:
    """A name in code, between more backticks than it has itself.

    >>> print(code_span("B-LOC"), code_span("a`b"))
    `B-LOC` `` a`b ``
    """
    text = " ".join(str(text).split())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"{fence}{text}{fence}"


@contextmanager
def _template_errors(template: str | None) -> Iterator[None]:
    import jinja2

    try:
        yield
    except jinja2.TemplateError as error:
        line = getattr(error, "lineno", None)
        raise UserError(f"{error}.", path=template, line=line, hint="Correct the card's template.") from error
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read: {first_line(error)}."
        raise UserError(problem, path=template, hint="Correct hub.card.template.") from error


def metadata(card: Card) -> str:
    """The YAML at the card's head, made and checked by huggingface_hub's own classes."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        language=list(card.language) or None,
        license=card.license,
        library_name="transformers",
        tags=["token-classification", "tf-tokclf", "tf-keras", *card.tags],
        base_model=card.base_model if _is_hub_model(card.base_model) else None,
        datasets=[card.dataset_id] if card.dataset_id else None,
        pipeline_tag="token-classification",
        metrics=["precision", "recall", "f1", "accuracy"] if card.scores else None,
        model_name=card.reference.split("/")[-1],
        eval_results=eval_results(card) or None,
        widget=[{"text": example} for example in card.examples] or None,
    )
    return data.to_yaml().strip()


def eval_results(card: Card) -> list[EvalResult]:
    """The scores as the Hub's model-index has them: overall, per split."""
    from huggingface_hub import EvalResult

    results = []
    for split in card.scores:
        overall = split.rows[0]
        mode = f" ({split.mode})" if split.mode else ""
        values = [
            ("precision", f"Precision{mode}", overall.precision),
            ("recall", f"Recall{mode}", overall.recall),
            ("f1", f"F1{mode}", overall.f1),
            ("accuracy", "Token accuracy", split.token_accuracy),
        ]
        results += [
            EvalResult(
                task_type="token-classification",
                task_name="Token Classification",
                dataset_type=card.dataset_id or _slug(card.dataset_name),
                dataset_name=card.dataset_name,
                dataset_config=card.dataset_config,
                dataset_revision=card.dataset_revision,
                dataset_split=split.name,
                metric_type=kind,
                metric_name=name,
                metric_value=round(value, 6),
            )
            for kind, name, value in values
        ]
    return results


def run_card(
    run: RunDir,
    *,
    reference: str | None = None,
    other_seeds: Sequence[RunDir] = (),
    dataset: DatasetInfo | None = None,
) -> str:
    """The card of a run: finished, or still going on while it has no results.json.

    reference: where the model will be on the Hub. other_seeds: runs that differ in nothing but the seed, for the
    spread, besides those of a folder of several seeds. dataset: what the Hub says of the data set, for revision and
    licence.
    """
    config = load_config(run.config)
    results = read_json(run.results, hint=_ANEW) if run.results.is_file() else {}
    lines = run.history.read_text(encoding="utf-8").splitlines() if run.history.is_file() else []
    info_path = run.model / MODEL_INFO
    info = read_json(info_path, hint=_ANEW) if info_path.is_file() else {}
    given = config.hub.card
    scores = tuple(_split_scores(name, values) for name, values in results.get("splits", {}).items())
    scores = tuple(sorted(scores, key=lambda split: split.name != "test"))
    name = config.model.name_or_path or ""
    card = Card(
        reference=reference or run.root.resolve().name,
        finished=bool(results),
        task=_TASKS[config.task.value],
        base_model=name,
        dataset_name=_dataset_name(config),
        dataset_id=dataset_id(config),
        dataset_config=config.data.dataset_config_name,
        dataset_revision=config.data.dataset_revision or getattr(dataset, "sha", None),
        headline=_headline(scores),
        scores=scores,
        spread=_spread(run, other_seeds),
        data=tuple(_data_facts(config, results, dataset)),
        labels=tuple(model_config(run.model).get("id2label", {}).values()) if info else (),
        scheme=info.get("scheme", ""),
        reading=tuple(_reading_facts(info)),
        training=tuple(_training_facts(config, results)),
        history=tuple(_history_row(json.loads(line)) for line in lines),
        n_epochs=config.training.num_train_epochs,
        limits=tuple(_limits(info, scores)),
        examples=given.examples or tuple(_examples(run, config)),
        license=given.license,
        language=given.language,
        tags=given.tags,
        sections=given.sections,
    )
    return render(card, template=given.template)


@dataclass(frozen=True)
class CardArguments:
    """What the user of the Keras callback tells for the card, named as in transformers' callback."""

    model_name: str | None = None
    language: str | Sequence[str] | None = None
    license: str | None = None
    tags: str | Sequence[str] | None = None
    finetuned_from: str | None = None
    tasks: str | Sequence[str] | None = None
    dataset: str | Sequence[str] | None = None
    dataset_tags: str | Sequence[str] | None = None
    dataset_args: str | Sequence[str] | None = None


def keras_card(model: Any, reference: str, history: Sequence[Mapping[str, float]], arguments: CardArguments) -> str:
    """The card of a model that Keras trained, without a run: what is known of it."""
    base_model = arguments.finetuned_from or getattr(model.config, "_name_or_path", "") or ""
    labels = model.config.id2label or {}
    optimizer = getattr(model, "optimizer", None)
    settings = optimizer.get_config() if optimizer is not None else {}
    training = [f"optimizer: {type(optimizer).__name__}"] if optimizer is not None else []
    training += [f"{name}: {value}" for name, value in settings.items() if isinstance(value, (int, float))]
    dataset_names, tags = _several(arguments.dataset), _several(arguments.tags)
    card = Card(
        reference=reference,
        base_model=base_model,
        dataset_name=", ".join(dataset_names),
        dataset_id=next(iter(_several(arguments.dataset_tags)), ""),
        labels=tuple(str(name) for name in labels.values()),
        training=tuple(training),
        history=tuple(dict(row) for row in history),
        limits=("It was scored on no test set by tf-tokclf; the table above is what Keras reported in training.",),
        license=arguments.license,
        language=_several(arguments.language),
        tags=(*tags, *_several(arguments.tasks)),
    )
    return render(card)


def _several(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _is_hub_model(name: str) -> bool:
    return bool(name) and not is_package_reference(name) and looks_like_hub_id(name) and not Path(name).exists()


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-") or "own-data"


def dataset_id(config: Config) -> str:
    """The data set's name on the Hub, empty where it is not from there."""
    name = config.data.dataset_name or ""
    return name if looks_like_hub_id(name) and name and not Path(name).exists() else ""


def _dataset_name(config: Config) -> str:
    data = config.data
    if data.dataset_name:
        return data.dataset_name if dataset_id(config) else Path(data.dataset_name).name
    path = Path((data.train_file or "").removeprefix("package:"))
    return path.parent.name or path.stem


def _split_scores(name: str, values: Mapping[str, Any]) -> SplitScores:
    intervals = values.get("f1_interval", {"overall": None, "by_type": {}})

    def row(shown: str, low_high: Sequence[float] | None, numbers: Mapping[str, Any]) -> Score:
        interval = f"{low_high[0]:.4f} to {low_high[1]:.4f}" if low_high else ""
        counts = {kind: float(numbers[kind]) for kind in ("precision", "recall", "f1")}
        return Score(shown, **counts, support=int(numbers["support"]), interval=interval)

    by_type = [row(kind, intervals["by_type"].get(kind), numbers) for kind, numbers in values["by_type"].items()]
    facts = [f"accuracy of word labels: {values['token_accuracy']:.4f}"]
    facts += [f"F1 in {mode} mode: {numbers['f1']:.4f}" for mode, numbers in (values.get("modes") or {}).items()]
    facts += [f"{kind} F1 over types: {values[kind]['f1']:.4f}" for kind in ("macro", "weighted") if kind in values]
    counted = {
        "n_truncated_words": "words past the length limit, counted as not found",
        "n_empty_words": "words of which the tokenizer makes nothing",
        "n_unseen_labels": "words with a gold label that training had not",
    }
    facts += [f"{text}: {values[key]}" for key, text in counted.items() if key in values]
    return SplitScores(
        name=name,
        n_sentences=values["n_sentences"],
        n_words=values["n_words"],
        unit=values["unit"],
        mode=values["mode"],
        scheme=values["scheme"],
        rows=(row("**all**", intervals["overall"], values["overall"]), *by_type),
        token_accuracy=float(values["token_accuracy"]),
        facts=tuple(facts),
    )


def _headline(scores: Sequence[SplitScores]) -> str:
    if not scores:
        return ""
    split, overall = scores[0], scores[0].rows[0]
    if split.unit != "span":
        return f"**Accuracy on {split.name}: {split.token_accuracy:.4f}.**"
    within = f" (95 %: {overall.interval})" if overall.interval else ""
    return f"**F1 on {split.name}: {overall.f1:.4f}{within}**, seqeval in {split.mode} mode."


def _spread(run: RunDir, others: Sequence[RunDir]) -> str:
    """The test F1 over seeds, those of `seeds.json` and of other runs: one number alone says little."""
    by_seed = {seed: _test_f1(f1) for seed, f1 in f1_by_seed(run).items()}
    for one in (run, *others) if others else ():
        if not one.results.is_file():
            raise UserError("this run has no results.", path=one.root, hint="Give finished runs.")
        results = read_json(one.results, hint=_ANEW)
        f1 = {name: float(values["overall"]["f1"]) for name, values in results["splits"].items()}
        by_seed[results["seed"]] = _test_f1(f1)
    if len(by_seed) < 2:
        if others:
            raise UserError("the runs for the spread have one seed in common.", hint="Give runs of other seeds.")
        return ""
    values = list(by_seed.values())
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    each = ", ".join(f"{value:.4f} (seed {seed})" for seed, value in by_seed.items())
    return f"Over {counted(len(values), 'seed')}: mean F1 {mean:.4f}, standard deviation {deviation:.4f}: {each}."


def _test_f1(f1: Mapping[str, float]) -> float:
    """The F1 on the test set; without one, that of the first split."""
    return f1["test"] if "test" in f1 else next(iter(f1.values()))


def _data_facts(config: Config, results: Mapping[str, Any], dataset: DatasetInfo | None) -> list[str]:
    facts = []
    if name := dataset_id(config):
        part = f", configuration {config.data.dataset_config_name}" if config.data.dataset_config_name else ""
        facts.append(f"data set: [{name}](https://huggingface.co/datasets/{name}){part}")
        sha = getattr(dataset, "sha", None)
        newest = f"not pinned; its newest when this was published: `{sha}`" if sha else "not pinned"
        facts.append(f"revision: {f'`{config.data.dataset_revision}`' if config.data.dataset_revision else newest}")
    else:
        facts.append(f"data set: {_dataset_name(config)}, from files")
    stated = getattr(getattr(dataset, "card_data", None), "license", None)
    stated = ", ".join(stated) if isinstance(stated, list) else stated
    facts.append(f"licence of the data: {config.hub.card.dataset_license or stated or 'not stated'}")
    for split, values in results.get("data", {}).items():
        print_ = f", fingerprint `{values['fingerprint']}`" if values.get("fingerprint") else ""
        sizes = f"{counted(values['n_sentences'], 'sentence')}, {counted(values['n_words'], 'word')}"
        facts.append(f"{split}: {sizes}{print_}")
    return facts + list(results.get("notes", ()))


def _reading_facts(info: Mapping[str, Any]) -> list[str]:
    if not info:
        return []
    reading = info["reading"]
    strategy = {
        "first": "a word's first piece carries its label",
        "all": "all pieces of a word carry its label, with I- after the first B-",
        "all-same": "all pieces of a word carry its label, each the same",
    }[reading["strategy"]]
    cut = "cut there" if reading["truncate"] else f"read in windows that share {counted(reading['overlap'], 'piece')}"
    return [
        f"alignment `{reading['strategy']}`: {strategy}",
        f"up to {counted(reading['max_length'], 'piece')} at once; longer sentences are {cut}",
    ]


def _training_facts(config: Config, results: Mapping[str, Any]) -> list[str]:
    training, optimizer = config.training, config.optimizer
    facts = [
        f"epochs: {training.num_train_epochs}"
        + (f", the weights are those of epoch {results['best_epoch']}, best by dev F1" if results else ""),
        f"batch: {training.batch_text}"
        + (f" x {training.gradient_accumulation_steps}" if training.gradient_accumulation_steps > 1 else ""),
        f"AdamW: learning rate {optimizer.learning_rate:g}, weight decay {optimizer.weight_decay:g}, "
        f"linear decay, warm-up {optimizer.warmup_ratio:g} of the steps, "
        + (f"gradient norm clipped at {optimizer.clip_norm:g}" if optimizer.clip_norm else "gradients not clipped"),
        f"seed: {training.seed}",
    ]
    if results:
        precision, machine = results["precision"], results["machine"]
        facts += [
            f"precision: {precision['training']}; scored in {precision['scoring']}",
            f"hardware: {', '.join(str(value) for value in machine.values() if value)}",
            f"time: {results['seconds']:.0f} s",
            "versions: " + ", ".join(f"{name} {number}" for name, number in results["versions"].items()),
        ]
    return facts


def _history_row(record: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {
        "epoch": "epoch",
        "train_loss": "training loss",
        "dev_loss": "dev loss",
        "dev_precision": "dev precision",
        "dev_recall": "dev recall",
        "dev_f1": "dev F1",
    }
    return {shown: "-" if record[key] is None else record[key] for key, shown in wanted.items() if key in record}


def _limits(info: Mapping[str, Any], scores: Sequence[SplitScores]) -> list[str]:
    limits = [
        "The scores are of the sets named above; on other kinds of text expect lower ones.",
        "It knows the labels above and no others, and repeats the errors and biases of data and encoder.",
    ]
    if info and info["reading"]["truncate"]:
        limits.append("Words past the length limit are never found.")
    rare = [row.name for row in scores[0].rows[1:] if row.support < 50] if scores else []
    if rare:
        limits.append(f"Types with fewer than 50 examples in {scores[0].name}, so uncertain: {', '.join(rare)}.")
    return limits


def _examples(run: RunDir, config: Config) -> list[str]:
    """Labelled sentences of a public test set; a user's own files are nobody else's business."""
    public = dataset_id(config) or is_package_reference(config.data.train_file or "")
    path = next((path for path in map(run.predictions_for, ("test", "validation")) if path.is_file()), None)
    if not public or path is None:
        return []
    with path.open(encoding="utf-8") as file:
        rows = (json.loads(line) for line in file)
        good = (row for row in rows if 4 <= len(row["words"]) <= 20 and row["gold"] == row["predicted"])
        labelled = (" ".join(row["words"]) for row in good if set(row["gold"]) != {"O"})
        return list(islice(labelled, N_EXAMPLES))
