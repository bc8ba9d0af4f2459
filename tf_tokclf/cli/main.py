"""The `tf-tokclf` command. It imports commands when they are called, and turns errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import TracebackType
from typing import Any, NoReturn

import click

from tf_tokclf.control_characters import echo
from tf_tokclf.errors import JobError, Stopped, UserError
from tf_tokclf.lean_imports import declare_command
from tf_tokclf.optional_packages import is_runtime_only, missing_package
from tf_tokclf.version import __version__

# name -> (module, attribute, short help). The help is here so that `--help` need not import the commands.
COMMANDS = {
    "init": ("tf_tokclf.cli.init", "init_command", "Print a commented configuration to start from."),
    "config": ("tf_tokclf.cli.config", "config_command", "Check, complete and compare configurations."),
    "inspect": ("tf_tokclf.cli.inspect", "inspect_command", "Show statistics about labelled data, and problems in it."),
    "label-issues": ("tf_tokclf.cli.label_issues", "label_issues_command", "Find labels that are probably wrong."),
    "fit": ("tf_tokclf.cli.fit", "fit_command", "Train a token classifier, score it and save it."),
    "evaluate": ("tf_tokclf.cli.evaluate", "evaluate_command", "Score a model, or a file of predictions."),
    "compare": ("tf_tokclf.cli.compare", "compare_command", "Compare systems with significance tests."),
    "thresholds": (
        "tf_tokclf.cli.thresholds",
        "thresholds_command",
        "Choose score thresholds that keep a target for recall or precision.",
    ),
    "runs": ("tf_tokclf.cli.runs", "runs_command", "List all runs with their settings and scores."),
    "report": ("tf_tokclf.cli.report", "report_command", "Write an HTML page about a run, or compare several."),
    "convert": ("tf_tokclf.cli.convert", "convert_command", "Convert between file formats and label schemes."),
    "split": ("tf_tokclf.cli.split", "split_command", "Divide data into training, validation and test files."),
    "predict": ("tf_tokclf.cli.predict", "predict_command", "Label text, words or sentences with a model."),
    "select": ("tf_tokclf.cli.select", "select_command", "Select the sentences to label next from raw text."),
    "redact": ("tf_tokclf.cli.redact", "redact_command", "Replace the spans that a model finds in a text."),
    "serve": ("tf_tokclf.cli.serve", "serve_command", "Serve a model over HTTP, with a web page to try it out."),
    "export": ("tf_tokclf.cli.export", "export_command", "Convert a model for another runtime, and verify the result."),
    "push": ("tf_tokclf.cli.push", "push_command", "Publish a model on the Hugging Face Hub, and verify it."),
    "cache": ("tf_tokclf.cli.cache", "cache_command", "Show and clear the cache of read and tokenised data."),
}


# Names of commands in other programs.
OTHER_NAMES = {
    **dict.fromkeys(("train", "training", "finetune", "fine-tune", "tune", "sweep", "run", "resume"), "fit"),
    **dict.fromkeys(("test", "eval", "score", "conlleval", "calibrate"), "evaluate"),
    **dict.fromkeys(("tag", "label", "annotate", "infer", "inference", "predictions", "ner"), "predict"),
    **dict.fromkeys(("anonymize", "anonymise", "pseudonymize", "pseudonymise", "mask", "restore"), "redact"),
    **dict.fromkeys(("active-learning", "sample", "query", "suggest"), "select"),
    **dict.fromkeys(("publish", "upload", "hub", "card"), "push"),
    **dict.fromkeys(("stats", "statistics", "check", "validate", "lint", "data", "describe"), "inspect"),
    **dict.fromkeys(("label-errors", "label-noise", "noise", "clean", "cleanlab"), "label-issues"),
    **dict.fromkeys(("threshold", "operating-points", "operating-point"), "thresholds"),
    **dict.fromkeys(("significance", "diff"), "compare"),
    **dict.fromkeys(("list", "ls", "history", "results", "leaderboard", "experiments"), "runs"),
    **dict.fromkeys(("server", "http", "api", "host"), "serve"),
    **dict.fromkeys(("onnx", "tflite", "savedmodel", "quantize"), "export"),
    **dict.fromkeys(("configuration", "settings", "schema"), "config"),
    **dict.fromkeys(("new", "start", "starter"), "init"),
    **dict.fromkeys(("transform", "translate", "format"), "convert"),
}


class LazyGroup(click.Group):
    """A group that imports its commands when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which they are usually needed."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        return getattr(import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, _, help_) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Resolve as click does, but suggest a command for an unknown name."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = _nearest(args[0])
            hint = f" Did you mean {near}?" if near else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. A user's mistake ends with one message and exit code 2, a failed job with exit code 1."""
        try:
            is_runtime_only()  # raises an error if two distributions are installed
            with _changes_of_cache():
                result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # while a full disk can still be reported
            return result
        except UserError as error:
            _stop(str(error), code=2)
        except JobError as error:
            _stop(str(error), code=1)
        except Stopped as stopped:
            echo(f"{str(stopped)[0].upper()}{str(stopped)[1:]}", err=True)
            sys.exit(stopped.exit_code)
        except BrokenPipeError:
            # The reader of the output has exited. This is not an error, and Python's flush at exit must not fail.
            _forget_stdout()
            sys.exit(0)
        except MemoryError:
            batches = "smaller batches (--per-device-eval-batch-size, --per-device-train-batch-size)"
            _stop(f"out of memory. Try {batches}, a smaller --look-ahead, or parts of the input (--shard).", code=1)
        except OSError as error:
            if error.errno is None:
                raise
            _stop_at(error)
        except ModuleNotFoundError as error:
            if (problem := missing_package(error)) is None:
                raise
            _stop(str(problem), code=2)
        except Exception as error:
            from tf_tokclf.files import disk_problem

            if (reason := disk_problem(error)) is None:
                raise
            _stop(f"the disk is full ({reason}). Free some space, then start again.", code=1)


def _nearest(name: str) -> str | None:
    """The command that a user may have meant: another program's name for it, or a similar name."""
    from tf_tokclf.similar_names import similar_name

    near = similar_name(name, [*COMMANDS, *OTHER_NAMES], cutoff=0.6)
    return OTHER_NAMES.get(near, near) if near else None


@contextmanager
def _changes_of_cache() -> Iterator[None]:
    """Raise JobError if a cached file changed while the command read it, whether or not the command failed."""

    def change() -> JobError | None:
        # If the module was not imported, nothing was read from the cache.
        cache = sys.modules.get("tf_tokclf.data.cache")
        return cache.change_while_in_use() if cache else None

    try:
        yield
    except Exception as error:
        if found := change():
            raise found from error
        raise
    if found := change():
        raise found


def _stop_at(error: OSError) -> NoReturn:
    """Report an error of the operating system that was not handled elsewhere."""
    from tf_tokclf.files import DISK_FULL

    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
    if error.errno in DISK_FULL:
        if error.filename is None:
            _forget_stdout()
        _stop(f"{place}the disk is full ({error.strerror}). Free some space, then start again.", code=1)
    _stop(f"{place}{error.strerror}. Check the path, its permissions and its disk.", code=2)


def _forget_stdout() -> None:
    """Discard the rest of the output, so that Python's flush at exit does not fail."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _occupy_closed() -> None:
    """Open standard input, output and error if the caller closed them. Otherwise the next file that is opened would get
    one of their numbers, and libraries would write into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _stop(message: str, *, code: int) -> NoReturn:
    from rich.text import Text

    from tf_tokclf.control_characters import plain_text
    from tf_tokclf.redaction import redact
    from tf_tokclf.report.terminal import stderr_console

    stderr_console().print(Text.assemble(("Error: ", "bold red"), plain_text(redact(message))))
    sys.exit(code)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tf-tokclf")
def cli() -> None:
    """Train, score and use token classifiers for named entities, parts of speech, chunks or slots.

    \b
    tf-tokclf fit --train-file train.conll --validation-file dev.conll \\
        --model-name-or-path distilbert-base-cased --output-dir runs/mine
    tf-tokclf evaluate runs/mine --file test.conll
    echo "Ada Lovelace lived in London" | tf-tokclf predict runs/mine
    """


def _report_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of a bug without Hub tokens and control characters, because users paste it into reports."""
    import traceback

    from tf_tokclf.control_characters import plain_text
    from tf_tokclf.redaction import redact

    if sys.stderr is not None:
        print(plain_text(redact("".join(traceback.format_exception(kind, error, trace)))), end="", file=sys.stderr)


def main() -> None:
    """Run the command line."""
    declare_command()
    _occupy_closed()
    sys.excepthook = _report_crash
    threading.excepthook = lambda crash: _report_crash(
        crash.exc_type, crash.exc_value or crash.exc_type(), crash.exc_traceback
    )
    cli(prog_name="tf-tokclf")
