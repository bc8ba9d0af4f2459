"""Write sentences to a file or folder of any format. After an error, existing output is unchanged."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tf_tokclf.compressed import compress_file, name_without_compression, open_compressed
from tf_tokclf.control_characters import shown_on
from tf_tokclf.data.formats.format import Kind
from tf_tokclf.data.formats.registry import all_formats, format_of_suffix, formats_by_name
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_replaceable, is_stream, output_path, whole_folder
from tf_tokclf.labels.sentence import Sentence

STDOUT = Path("-")


def write_sentences(
    sentences: Iterable[Sentence],
    out: Path,
    format: str,
    writing: Writing,
    *,
    force: bool = False,
    text: Iterable[str] | None = None,
) -> None:
    """Write `sentences` to `out`, or to standard output if it is `-`.

    text: written in place of what the format makes of the sentences.

    Raises UserError if the format cannot be written there, or if `out` exists and `force` is off.
    """
    known = formats_by_name()[format]
    lines, to_path = known.write, known.write_to
    if out == STDOUT:
        if lines is None:
            problem = f"the format {format} cannot be written to standard output."
            raise UserError(problem, hint="Name an output file or folder.")
        if sys.stdout is None:
            raise UserError("standard output is closed.", hint="Name an output file or folder.")
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", newline="")
        for line in text or lines(sentences, writing):
            sys.stdout.write(shown_on(sys.stdout, line))
        return
    check_free(out, format, force=force)
    try:
        if lines is not None:
            with open_compressed(out) as file:
                file.writelines(text or lines(sentences, writing))
        elif to_path is not None and name_without_compression(out) != out and not known.files:
            out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
                to_path(sentences, Path(scratch) / "data", writing)
                compress_file(Path(scratch) / "data", out)
        elif to_path is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            with whole_folder(out, unique=True) if known.files else output_path(out) as partial:
                to_path(sentences, partial, writing)
    except OSError as error:
        hint = "Check the folder's permissions and the free space."
        raise UserError(f"cannot be written: {error.strerror}.", path=out, hint=hint) from error


def check_free(out: Path, format: str, *, force: bool) -> None:
    """Raise UserError if `out` exists and must not be replaced. A folder is replaced only if it contains nothing but
    files that the format writes.
    """
    try:
        if not (out.exists() or out.is_symlink()):
            return
    except OSError as error:
        problem = f"cannot be written: {error.strerror}."
        raise UserError(problem, path=f"{str(out)[:80]}...", hint="Choose another name.") from error
    patterns = formats_by_name()[format].files
    if is_stream(out) and not patterns:
        return
    if patterns:
        check_replaceable(out)
    if not force:
        raise UserError("already exists.", path=out, hint="Pass --force to replace it.")
    if out.is_dir() != bool(patterns):
        kind = "folder" if out.is_dir() else "file"
        needed = "folder" if patterns else "file"
        raise UserError(f"is a {kind}, but {format} needs a {needed}.", path=out, hint="Name another output.")
    others = [p.name for p in out.iterdir() if not any(p.match(pattern) for pattern in patterns)] if patterns else []
    if others:
        raise UserError(
            f"contains other files: {', '.join(sorted(others)[:5])}.", path=out, hint="Name another folder."
        )


def output_format(out: Path, format: str | None) -> str:
    """The format to write, by name or by the suffix of the output.

    >>> output_format(Path("a/train.conllu.gz"), None)
    'conllu'
    """
    written = [one for one in all_formats() if one.is_written]
    known = sorted(one.name for one in written)
    if format is None:
        of_files = [one for one in written if one.kind is not Kind.FOLDER]
        format = format_of_suffix(name_without_compression(out).suffix.lower(), of_files)
        if format is None:
            raise UserError(
                f"the format cannot be inferred from the name {out}.", hint=f"Set it with --to: {', '.join(known)}."
            )
    if format not in known:
        raise UserError(f"the format {format!r} cannot be written.", hint=f"Output formats: {', '.join(known)}.")
    return format
