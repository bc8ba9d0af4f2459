"""The model card of a run: its scores, data and training, from the files in its folder."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_tokclf.config.loading import load_config
from tf_tokclf.config.references import is_package_reference
from tf_tokclf.config.schema import Config
from tf_tokclf.counted import counted
from tf_tokclf.encoding.model_config import model_config
from tf_tokclf.encoding.model_folders import looks_like_hub_id
from tf_tokclf.encoding.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.encoding.windows import ALIGNMENTS
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import read_json
from tf_tokclf.publishing.card import Card, Score, SplitScores, render
from tf_tokclf.run_dir import RunDir
from tf_tokclf.seed_scores import f1_by_seed

if TYPE_CHECKING:
    from huggingface_hub.hf_api import DatasetInfo

_ANEW = "Restore the file, or score the run anew: tf-tokclf fit RUN --resume."
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
        rows=(row("all", intervals["overall"], values["overall"]), *by_type),
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
    cut = "cut there" if reading["truncate"] else f"read in windows that share {counted(reading['overlap'], 'piece')}"
    return [
        f"alignment `{reading['strategy']}`: {ALIGNMENTS[reading['strategy']]}",
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
