"""The model card of a run, created from the files in its folder."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tf_tokclf.config.loading import load_config
from tf_tokclf.config.references import is_package_reference
from tf_tokclf.config.schema import Config
from tf_tokclf.counted import counted
from tf_tokclf.encoding.model_config import model_config
from tf_tokclf.encoding.model_folders import looks_like_hub_id
from tf_tokclf.encoding.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.encoding.thresholds_file import Thresholds, stored_thresholds
from tf_tokclf.encoding.windows import ALIGNMENTS
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import read_json
from tf_tokclf.publishing.card import Card, Score, SplitScores, code_span, render
from tf_tokclf.report.score_tables import fact_lines
from tf_tokclf.report.table_formats import markdown_text, percent
from tf_tokclf.report.terminal import duration
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_history import epoch_rows
from tf_tokclf.scoring.measures import MEASURES
from tf_tokclf.seed_scores import f1_by_seed

if TYPE_CHECKING:
    from huggingface_hub.hf_api import DatasetInfo

_RESTORE = "Restore the file, or score the run again: tf-tokclf fit RUN --resume."
N_EXAMPLES = 3
_TASKS = {
    "ner": "named entity recognition",
    "pos": "part-of-speech tagging",
    "chunk": "chunking",
    "slots": "slot filling",
}


def run_card(
    run: RunDir,
    *,
    reference: str | None = None,
    other_seeds: Sequence[RunDir] = (),
    dataset: DatasetInfo | None = None,
    published: Path | None = None,
) -> str:
    """The card of a run as Markdown, with the template in its configuration. The arguments are those of `contents`."""
    template = load_config(run.config).hub.card.template
    found = contents(run, reference=reference, other_seeds=other_seeds, dataset=dataset, published=published)
    return render(found, template=template)


def contents(
    run: RunDir,
    *,
    reference: str | None = None,
    other_seeds: Sequence[RunDir] = (),
    dataset: DatasetInfo | None = None,
    published: Path | None = None,
) -> Card:
    """The contents of the card of a run. Without results.json, the run is described as unfinished.

    reference: the id of the model on the Hub. other_seeds: runs that differ only in the seed, for the spread of the
    scores, in addition to those of `fit --seeds`. dataset: the Hub's information about the data set, for its revision
    and licence. published: the model folder with this card, if it is not that of the run.
    """
    config = load_config(run.config)
    results = read_json(run.results, hint=_RESTORE) if run.results.is_file() else {}
    info_path = run.model / MODEL_INFO
    info = read_json(info_path, hint=_RESTORE) if info_path.is_file() else {}
    given = config.hub.card
    scores = tuple(_split_scores(name, values) for name, values in results.get("splits", {}).items())
    scores = tuple(sorted(scores, key=lambda split: split.name != "test"))
    name = config.model.name_or_path or ""
    return Card(
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
        reading=(*_reading_facts(info), *_threshold_facts(stored_thresholds(published or run.model))),
        training=tuple(_training_facts(config, results)),
        history=tuple(map(_history_row, epoch_rows(run.history))),
        n_epochs=None if config.training.max_steps else config.training.num_train_epochs,
        limits=tuple(_limits(info, scores)),
        examples=given.examples or tuple(_examples(run, config)),
        license=given.license,
        language=given.language,
        tags=given.tags,
        sections=given.sections,
    )


def dataset_id(config: Config) -> str:
    """The id of the data set on the Hub; empty if it is not from there."""
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
        interval = f"{percent(low_high[0])} to {percent(low_high[1])}" if low_high else ""
        counts = {kind: float(numbers[kind]) for kind in ("precision", "recall", "f1")}
        return Score(shown, **counts, support=int(numbers["support"]), interval=interval)

    by_type = [row(kind, intervals["by_type"].get(kind), numbers) for kind, numbers in values["by_type"].items()]
    facts = [f"token accuracy: {percent(values['token_accuracy'])}"]
    facts += [
        f"F1 in {mode} mode: {percent(numbers['f1'])}"
        for mode, numbers in (values.get("modes") or {}).items()
        if mode != values["mode"]
    ]
    facts += [
        f"{kind} average of F1: {percent(values[kind]['f1'])}" for kind in ("macro", "weighted") if kind in values
    ]
    facts += fact_lines(values)
    return SplitScores(
        name=name,
        n_sentences=values["n_sentences"],
        n_words=values["n_words"],
        unit=values["unit"],
        mode=values["mode"],
        scheme=values["scheme"],
        rows=(row("all", intervals["overall"], values["overall"]), *by_type),
        token_accuracy=float(values["token_accuracy"]),
        facts=tuple(facts),
    )


def _headline(scores: Sequence[SplitScores]) -> str:
    if not scores:
        return ""
    split, overall = scores[0], scores[0].rows[0]
    if split.unit != "span":
        return f"**Accuracy on {split.name}: {percent(split.token_accuracy)}**"
    within = f" (95 % interval {overall.interval})" if overall.interval else ""
    return f"**F1 on {split.name}: {percent(overall.f1)}{within}**"


def _spread(run: RunDir, others: Sequence[RunDir]) -> str:
    """Mean and standard deviation of the test F1 over the seeds in seeds.json and those of other runs."""
    by_seed = {seed: _test_f1(f1) for seed, f1 in f1_by_seed(run).items()}
    for one in (run, *others) if others else ():
        if not one.results.is_file():
            raise UserError("this run has no results.", path=one.root, hint="Give finished runs.")
        results = read_json(one.results, hint=_RESTORE)
        f1 = {name: float(values["overall"]["f1"]) for name, values in results["splits"].items()}
        by_seed[results["seed"]] = _test_f1(f1)
    if len(by_seed) < 2:
        if others:
            raise UserError("the runs of the other seeds all have the same seed.", hint="Give runs with other seeds.")
        return ""
    values = list(by_seed.values())
    mean, deviation = percent(statistics.mean(values)), percent(statistics.stdev(values))
    each = ", ".join(f"{percent(value)} (seed {seed})" for seed, value in by_seed.items())
    return f"F1 over {counted(len(values), 'seed')}: mean {mean}, standard deviation {deviation}. Runs: {each}."


def _test_f1(f1: Mapping[str, float]) -> float:
    """The F1 on the test set, or on the first split if there is no test set."""
    return f1["test"] if "test" in f1 else next(iter(f1.values()))


def _data_facts(config: Config, results: Mapping[str, Any], dataset: DatasetInfo | None) -> list[str]:
    facts = []
    if name := dataset_id(config):
        part = config.data.dataset_config_name
        shown = f", configuration {markdown_text(part)}" if part else ""
        facts.append(f"data set: [{markdown_text(name)}](https://huggingface.co/datasets/{quote(name)}){shown}")
        sha = getattr(dataset, "sha", None)
        newest = f"not pinned (newest at publication: `{sha}`)" if sha else "not pinned"
        facts.append(f"revision: {f'`{config.data.dataset_revision}`' if config.data.dataset_revision else newest}")
    else:
        facts.append(f"data set: {markdown_text(_dataset_name(config))} (local files)")
    stated = getattr(getattr(dataset, "card_data", None), "license", None)
    stated = ", ".join(stated) if isinstance(stated, list) else stated
    facts.append(f"licence of the data: {markdown_text(config.hub.card.dataset_license or stated or 'not stated')}")
    for split, values in results.get("data", {}).items():
        print_ = f", fingerprint `{values['fingerprint']}`" if values.get("fingerprint") else ""
        sizes = f"{counted(values['n_sentences'], 'sentence')}, {counted(values['n_words'], 'word')}"
        weight = f", weight {values['weight']:g} in the loss" if "weight" in values else ""
        weight += ", with probabilities of labels" if values.get("soft") else ""
        facts.append(f"{split}: {sizes}{weight}{print_}")
    return facts + [markdown_text(note) for note in results.get("notes", ())]


def _reading_facts(info: Mapping[str, Any]) -> list[str]:
    if not info:
        return []
    reading = info["reading"]
    overlap = counted(reading["overlap"], "subword token")
    longer = "truncated" if reading["truncate"] else f"read in windows that overlap by {overlap}"
    crf = "CRF: the transitions between labels are in `crf.json`. tf-tokclf uses them, transformers ignores them"
    return [
        *([crf] if info.get("head") == "crf" else []),
        f"alignment `{reading['strategy']}`: {ALIGNMENTS[reading['strategy']]}",
        f"window: at most {counted(reading['max_length'], 'subword token')}; longer sentences are {longer}",
    ]


def _threshold_facts(thresholds: Thresholds | None) -> list[str]:
    if thresholds is None:
        return []
    data = f"{counted(thresholds.data.n_sentences, 'sentence')} of {code_span(thresholds.data.name)}"
    chosen = f"chosen on {data} with a confidence of {thresholds.confidence:g} for each type"
    return [f"tf-tokclf predicts spans from a probability of {markdown_text(thresholds.summary())}, {chosen}"]


def _training_facts(config: Config, results: Mapping[str, Any]) -> list[str]:
    training, optimizer = config.training, config.optimizer
    warmup = f"{100 * optimizer.warmup_ratio:g} % of the steps"
    if optimizer.warmup_steps:
        warmup = counted(optimizer.warmup_steps, "step")
    best_by = f"validation {MEASURES[training.metric_for_best_model].name}"
    facts = [
        (f"steps: {training.max_steps:,}" if training.max_steps else f"epochs: {training.num_train_epochs}")
        + (f" (the weights are those of epoch {results['best_epoch']}, best by {best_by})" if results else ""),
        f"batch: {training.batch_text}"
        + (f" x {training.gradient_accumulation_steps}" if training.gradient_accumulation_steps > 1 else ""),
        f"optimizer: AdamW, learning rate {optimizer.learning_rate:g}, weight decay {optimizer.weight_decay:g}, "
        f"{optimizer.lr_scheduler_type} schedule, warm-up over {warmup}, "
        + (f"gradient norm clipped at {optimizer.clip_norm:g}" if optimizer.clip_norm else "gradients not clipped"),
        f"seed: {training.seed}",
    ]
    if results:
        precision, machine = results["precision"], results["machine"]
        facts += [
            f"precision: {precision['training']} in training, {precision['scoring']} in evaluation",
            f"hardware: {', '.join(str(value) for value in machine.values() if value)}",
            f"training time: {duration(results['seconds'])}",
            "versions: " + ", ".join(f"{name} {number}" for name, number in results["versions"].items()),
        ]
    return facts


def _history_row(record: Mapping[str, Any]) -> dict[str, Any]:
    def loss(value: float) -> str:
        return f"{value:.4f}"

    columns: dict[str, tuple[str, Callable[[Any], str]]] = {
        "epoch": ("epoch", str),
        "train_loss": ("training loss", loss),
        "dev_loss": ("validation loss", loss),
        "dev_precision": ("precision", percent),
        "dev_recall": ("recall", percent),
        "dev_f1": ("F1", percent),
    }
    return {
        shown: "-" if record[key] is None else text(record[key])
        for key, (shown, text) in columns.items()
        if key in record
    }


def _limits(info: Mapping[str, Any], scores: Sequence[SplitScores]) -> list[str]:
    limits = [
        "The scores apply to the data sets above. Expect lower scores on other kinds of text.",
        "The model predicts only the labels above, and may repeat errors and biases of the data and the encoder.",
    ]
    if info and info["reading"]["truncate"]:
        limits.append("Words beyond the length limit get no label.")
    rare = [row.name for row in scores[0].rows[1:] if row.support < 50] if scores else []
    if rare:
        names = markdown_text(", ".join(rare))
        limits.append(f"The scores of types with fewer than 50 spans in {scores[0].name} are uncertain: {names}.")
    return limits


def _examples(run: RunDir, config: Config) -> list[str]:
    """Correctly labelled sentences from a public test set. Sentences from a user's own files are never published."""
    public = dataset_id(config) or is_package_reference(config.data.train_file or "")
    path = next((path for path in map(run.predictions_for, ("test", "validation")) if path.is_file()), None)
    if not public or path is None:
        return []
    with path.open(encoding="utf-8") as file:
        rows = (json.loads(line) for line in file)
        good = (row for row in rows if 4 <= len(row["words"]) <= 20 and row["gold"] == row["predicted"])
        labelled = (" ".join(row["words"]) for row in good if set(row["gold"]) != {"O"})
        return list(islice(labelled, N_EXAMPLES))
