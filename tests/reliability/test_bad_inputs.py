"""Every cell of the table of bad inputs, through the real command in one process: exit code 2, one message with place
and remedy, no traceback, and no files written.
"""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.reliability.bad_inputs.cells import FAULTS, Bad, Given
from tests.reliability.bad_inputs.table import BAD, CELLS
from tests.requirements import need_modules
from tf_tokclf.cli.main import cli

# These models are so small that tracing would take longer than computing without it.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]

LONGEST_MESSAGE = 2500


@pytest.fixture(scope="session")
def given(tiny_classifier: Path, tiny_bert: Path, conll_files: dict[str, str], tmp_path_factory) -> Given:
    """The model and the run from which cases are made; trained and saved once."""
    from tf_tokclf.config.loading import check_config
    from tf_tokclf.runs.fit import fit

    folder = tmp_path_factory.mktemp("finished") / "run"
    fit(
        check_config(
            {
                "data": dict(conll_files),
                "recipe": "none",
                "model": {"name_or_path": str(tiny_bert)},
                "training": {"num_train_epochs": 1, "keep_checkpoints": 1},
                "output_dir": str(folder),
            }
        )
    )
    return Given(tiny_classifier, folder, tiny_bert, conll_files)


def state_of(root: Path) -> dict[str, str]:
    """Every path below `root` with a hash of its content."""
    state = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file():
            state[str(path)] = "link" if path.is_symlink() else str(path.stat().st_mode)
        else:
            state[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return state


def names() -> list[str]:
    """A name for each case: subject, fault and number."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for case in BAD:
        seen[case.subject, case.fault] += 1
        found.append(f"{case.subject}-{case.fault}-{seen[case.subject, case.fault]}".replace(" ", "_"))
    return found


@pytest.mark.parametrize("case", BAD, ids=names())
def test_bad_input_is_one_message_and_changes_nothing(
    case: Bad, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if case.subject == "docbin":
        need_modules("spacy", extra="spacy")
    for name, content in case.files.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            content(tmp_path / name, given)
    monkeypatch.chdir(tmp_path)
    before = state_of(tmp_path)
    ready = {"model": given.classifier, "encoder": given.encoder, "train": given.data["train_file"]}
    args = [arg.format(**ready) for arg in shlex.split(case.args.replace("\x1b", "\\\x1b"))]
    result = CliRunner().invoke(cli, args, prog_name="tf-tokclf", input="")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    shown = result.stderr.replace("\n", " ")
    assert result.exit_code == 2, shown
    assert result.stdout == ""
    assert result.stderr.count("Error: ") == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr) < LONGEST_MESSAGE
    assert not [sign for sign in result.stderr if ord(sign) < 32 and sign not in "\n\t"], repr(result.stderr)
    for part in case.says:
        assert part in " ".join(result.stderr.split()), result.stderr
    assert state_of(tmp_path) == before


def test_every_cell_of_the_table_is_filled():
    subjects = {cell.subject for cell in CELLS if not cell.subject.islower() or cell.subject in WHOLE}
    there = {(cell.subject, cell.fault) for cell in CELLS}
    assert sorted((s, f) for s in subjects | WHOLE for f in FAULTS if (s, f) not in there) == []


# Subjects that are files or sections have a cell for every fault. Subjects that are options are named individually.
WHOLE = {cell.subject for cell in CELLS} - {
    *("numbers", "shards", "seeds", "choices", "commands", "options", "output", "input", "journal"),
    *("targets", "thresholds", "maps", "columns"),
}


def test_there_are_enough_cases():
    assert len(BAD) >= 120
