"""Untrusted files, models and names are read and shown, but never executed, and cannot write elsewhere."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.killing import KillServer
from tests.processes import memory_needed
from tests.requirements import need_proc
from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import Config, DataConfig
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.errors import UserError

# These models are so small that tracing would take longer than computing without it.
pytestmark = pytest.mark.usefixtures("untraced")

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "tf_tokclf").rglob("*.py"))
ESC = "\x1b]0;owned\x07\x1b[2J\x9b2J\u202e"
RAW = [sign for sign in ESC if not sign.isprintable()]


def calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    """Every call in a module, by its dotted name."""
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def imports(tree: ast.AST) -> set[str]:
    """The modules that a module imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_that_is_read_is_run(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    forbidden = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "imp", "torch"}
    assert not {name for name in imports(tree) if name.split(".")[0] in forbidden}
    for name, call in calls(tree):
        assert name not in (
            "eval",
            "exec",
            "compile",
            "__import__",
            "os.system",
            "os.popen",
            "yaml.load",
            "yaml.load_all",
        )
        assert name not in ("yaml.unsafe_load", "yaml.full_load", "tempfile.mktemp", "tarfile.open")
        assert name not in ("shutil.unpack_archive", "shutil.make_archive")
        # One module reads zip archives with a single file, as streams. The other only reads the directory.
        assert name != "zipfile.ZipFile" or path.name in ("compressed.py", "torch_weights.py")
        assert not name.endswith((".extractall", ".extract"))
        options = {option.arg: option.value for option in call.keywords}
        assert "shell" not in options, f"{name}(shell=...)"
        pickled = options.get("allow_pickle")
        assert pickled is None or (isinstance(pickled, ast.Constant) and pickled.value is False)
        trust = options.get("trust_remote_code")
        assert not (isinstance(trust, ast.Constant) and trust.value is True)
        if name == "yaml.compose":
            assert ast.unparse(options["Loader"]) == "yaml.SafeLoader"


def test_code_of_models_is_run_by_nobody_unless_asked():
    assert Config().model.trust_remote_code is False
    for name in ("predict", "evaluate"):
        option = next(o for o in cli.get_command(None, name).params if o.name == "trust_remote_code")
        assert option.default is not True
        assert option.is_flag


def test_a_model_that_wants_code_of_its_own_is_refused(tiny_classifier: Path, tmp_path: Path):
    folder = shutil.copytree(tiny_classifier, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "theirs", "auto_map": {"AutoConfig": "code.Config", "TFAutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "code.py").write_text("raise SystemExit('run!')\n", encoding="utf-8")
    (tmp_path / "in.txt").write_text("ada\n", encoding="utf-8")
    result = CliRunner().invoke(cli, ["predict", str(folder), str(tmp_path / "in.txt")])
    assert result.exit_code == 2
    assert "run!" not in result.output


@pytest.mark.parametrize(
    "reference",
    ["package:tf_tokclf/../../etc/passwd", "package:tf_tokclf//etc/passwd", "package:../tf_tokclf/x", "package:os/x"],
)
def test_references_stay_in_their_package(reference: str):
    with pytest.raises(UserError):
        list(read_sentences(reference, DataConfig()))


def test_importing_a_package_for_its_files_runs_none_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").write_text("raise SystemExit('run!')\n", encoding="utf-8")
    (tmp_path / "theirs" / "a.conll").write_text("ada\tO\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(list(read_sentences("package:theirs/a.conll", DataConfig()))) == 1
    assert "theirs" not in sys.modules


def test_an_archive_is_no_input_and_nothing_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    with tarfile.open("a.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("../../owned")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    CliRunner().invoke(cli, ["convert", "--from", "conll", "a.tar.gz", "out.jsonl"])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.tar.gz"]


@pytest.mark.parametrize("name", ["../../owned.jsonl", "{elsewhere}/owned.jsonl", "a\x1b[2J.jsonl"])
def test_the_name_in_a_zip_archive_is_never_written_to(tmp_path: Path, name: str):
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "data.zip", "w") as archive:
        archive.writestr(name.format(elsewhere=tmp_path), '{"tokens": ["ada"], "ner_tags": ["O"]}\n')
    out = tmp_path / "in" / "out.conll"
    result = CliRunner().invoke(cli, ["convert", str(tmp_path / "in" / "data.zip"), str(out)])
    assert result.exit_code == 0
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["data.zip", "out.conll"]


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2", "zst", "zip"])
def test_what_expands_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    from tf_tokclf import compressed

    monkeypatch.setattr(compressed, "_FREE_BYTES", 1 << 20)
    path = tmp_path / f"a.jsonl.{kind}"
    with path.open("wb") as file, compressed.compressing(file, path) as stream:
        for _ in range(40):
            stream.write(b"\n" * (1 << 20))
    result = CliRunner().invoke(cli, ["convert", str(path), str(tmp_path / "out.jsonl")])
    assert result.exit_code == 2
    assert "expands to more than 200 times its size" in result.stderr


def test_a_brat_document_names_no_file_outside_of_its_folder(tmp_path: Path):
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "a.jsonl").write_text(
        json.dumps({"tokens": ["ada"], "ner_tags": ["B-../../x"], "document": "../../owned"}) + "\n", encoding="utf-8"
    )
    result = CliRunner().invoke(cli, ["convert", str(inner / "a.jsonl"), str(inner / "out"), "--to", "brat"])
    assert result.exit_code in (0, 2)
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - set((inner / "out").rglob("*"))
    assert written == {inner / "a.jsonl"}


HOSTILE = f"{ESC.replace('/', '')}"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Data whose words, labels and file name contain terminal escape sequences."""
    path = tmp_path / f"a{HOSTILE}.jsonl"
    records = [
        {"tokens": ["ada", f"x{HOSTILE}"], "ner_tags": ["B-PER", f"B-{HOSTILE}"]},
        {"tokens": [f"{HOSTILE}", "rome"], "ner_tags": ["O", "I-LOC"]},
    ]
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def on_terminal(args: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The bytes that a terminal receives as output and messages of a command."""
    from tf_tokclf.report import terminal

    master, slave = os.openpty()
    got: list[bytes] = []
    # A terminal buffers only a few kilobytes until they are read.
    reader = threading.Thread(target=lambda: got.extend(iter(lambda: _read(master), b"")))
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8", buffering=1) as out, monkeypatch.context() as patch:
        patch.setenv("NO_COLOR", "1")
        patch.setenv("TERM", "dumb")
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", out)
        for console in (terminal.stdout_console, terminal.stderr_console):
            console.cache_clear()
        with suppress(SystemExit):
            cli(args, prog_name="tf-tokclf", standalone_mode=True)
        out.flush()
    reader.join()
    os.close(master)
    return b"".join(got).decode()


def _read(terminal: int) -> bytes:
    """The next bytes; none after the other side is closed."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


def assert_harmless(text: str) -> None:
    """Assert that the text contains no control characters except colours and line ends."""
    assert text
    found = [sign for sign in text if sign in RAW]
    assert not found, repr(text[:2000])


@pytest.mark.parametrize(
    "args",
    [
        ["inspect", "{data}"],
        ["inspect", "{data}", "--json"],
        ["convert", "{data}", "-"],
        ["convert", "{data}", "-", "--to", "jsonl"],
        ["evaluate", "--predictions", "{said}"],
        ["evaluate", "--predictions", "{said}", "--errors"],
        ["evaluate", "--predictions", "{said}", "--format", "json"],
        ["evaluate", "--predictions", "{said}", "--format", "conlleval"],
        ["compare", "{said}", "{said}"],
        ["compare", "{said}", "{said}", "--format", "json"],
        ["predict", "{model}", "{data}"],
        ["predict", "{model}", "{data}", "--output-format", "conll"],
        ["predict", "{model}", "{data}", "--output-format", "jsonl"],
        ["config", "check", "{data}"],
        ["fit", f"--{HOSTILE}"],
        ["fit", "--task", HOSTILE],
        ["fit", "--set", f"a.{HOSTILE}=1"],
        ["fit", HOSTILE],
        [HOSTILE],
        ["predict", HOSTILE],
        ["evaluate", "--predictions", HOSTILE],
        ["evaluate", HOSTILE],
        ["push", HOSTILE],
        ["export", HOSTILE, "--format", "onnx", "out"],
    ],
    ids=lambda args: " ".join(args[:1] + args[-1:]).encode("unicode_escape").decode()[:40],
)
def test_nothing_in_the_data_commands_a_terminal(
    args: list[str], hostile: Path, tiny_classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said = tmp_path / "said.jsonl"
    labels = ["B-PER", f"B-{HOSTILE}"]
    said.write_text(
        json.dumps({"words": ["ada", HOSTILE], "predicted": labels, "gold": labels[::-1]}, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    names = {"{data}": str(hostile), "{said}": str(said), "{model}": str(tiny_classifier)}
    assert_harmless(on_terminal([names.get(arg, arg) for arg in args], monkeypatch))


def test_data_reaches_files_and_pipes_as_it_is(hostile: Path, tmp_path: Path):
    out = tmp_path / "out.jsonl"
    assert CliRunner().invoke(cli, ["convert", str(hostile), str(out)]).exit_code == 0
    assert json.loads(out.read_text(encoding="utf-8").splitlines()[0])["tokens"][1] == f"x{HOSTILE}"


def test_the_model_card_shows_labels_and_holds_no_html(tmp_path: Path):
    from tf_tokclf.publishing.card import Card, render

    labels = ("O", "B-<script>alert(1)</script>", "B-a|b", "B-`x`", "B-[click](javascript:alert(1))")
    card = Card(
        reference="ada/model",
        dataset_name="<img src=x onerror=alert(1)>",
        labels=labels,
        limits=("labels only in test: <script>alert(1)</script>\n\n# Heading",),
        training=("optimizer: <b>x</b>",),
        examples=('"); import os; os.system("id") #', "x"),
    )
    text = render(card)
    body = text.split("---\n", 2)[2]
    outside_of_code = "".join(body.split("`")[::2])
    assert "<script" not in outside_of_code
    assert "<img" not in body
    assert "<b>" not in body
    assert "\n# Heading" not in body
    assert r'tagger("\"); import os; os.system(\"id\") #")' in body


def test_a_card_s_template_gets_at_nothing_but_the_card(tmp_path: Path):
    from tf_tokclf.publishing.card import Card, render

    template = tmp_path / "t.jinja"
    template.write_text("{{ card.__class__.__mro__[1].__subclasses__() }}", encoding="utf-8")
    with pytest.raises(UserError, match="unsafe"):
        render(Card(reference="a/b"), template=str(template))


LOAD = """
from tf_tokclf.encoding.model_folders import local_model_folder
from tf_tokclf.errors import UserError
try:
    local_model_folder(arguments["{}"])
except UserError as error:
    assert arguments["says"] in str(error), error
"""


def test_a_configuration_that_asks_for_a_billion_labels_makes_no_room_for_them(tiny_classifier: Path, tmp_path: Path):
    need_proc()
    folder = shutil.copytree(tiny_classifier, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name in ("id2label", "label2id"):
        config.pop(name)
    (folder / "config.json").write_text(json.dumps({**config, "num_labels": 10**9}), encoding="utf-8")
    folders = {"good": str(tiny_classifier), "bad": str(folder)}
    said = "num_labels is 1,000,000,000"
    n_bytes = memory_needed(LOAD.format("bad"), before=LOAD.format("good"), says=said, **folders)
    assert n_bytes < 50_000_000


CHECK = """
from click.testing import CliRunner
from tf_tokclf.cli.main import cli
result = CliRunner().invoke(cli, ["config", "check", arguments["{}"]])
assert result.exit_code == 2 and len(result.stderr) < 5000, result.stderr[:5000]
"""


def test_a_few_lines_of_yaml_cannot_fill_the_memory(tmp_path: Path):
    from tests.reliability.bad_inputs.cells import LAUGHS

    need_proc()
    (tmp_path / "few.yaml").write_text("training: {seed: [1]}\n", encoding="utf-8")
    (tmp_path / "many.yaml").write_bytes(LAUGHS + b"training: {seed: *j}\ndata: {label_names: *j}\n")
    files = {name: str(tmp_path / f"{name}.yaml") for name in ("few", "many")}
    assert memory_needed(CHECK.format("many"), before=CHECK.format("few"), **files) < 100_000_000


@pytest.mark.parametrize("message", ["token hf_abcdefghijklmnopqrstuvwxyzABCDEF was refused", "Bearer hf_" + "x" * 34])
def test_tokens_are_redacted(message: str):
    from tf_tokclf.redaction import redact

    assert "hf_" not in redact(message).replace("hf_...", "")


SECRET = "hf_SecretOfThisTestAlone0123456789"


def crashing(kill_server: KillServer, code: str, tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a separate process in which `code` breaks a part of the package."""
    before = f"from tf_tokclf.cli import main, inspect\nsecret = {SECRET!r}\n{code}"
    token = {"HF_TOKEN": "no-common-shape-of-one"}
    return kill_server.command(*args, before=before, folder=tmp_path, environment=token)


@pytest.mark.parametrize("told", [SECRET, "no-common-shape-of-one", f"https://ada:{SECRET}@hub.example/x"])
def test_a_crash_s_traceback_shows_neither_tokens_nor_control_characters(
    kill_server: KillServer, told: str, tmp_path: Path
):
    """Also for causes and threads, because users paste tracebacks into bug reports."""
    code = f"""
import threading
def broken(*args, **options):
    def within(): raise RuntimeError("in a thread: " + {told!r})
    thread = threading.Thread(target=within); thread.start(); thread.join()
    try: raise ValueError("at first: " + {told!r})
    except ValueError as error: raise RuntimeError("then: " + {told + ESC!r}) from error
inspect.inspect_command.callback = broken
"""
    (tmp_path / "a.conll").write_text("ada\tO\n", encoding="utf-8")
    done = crashing(kill_server, code, tmp_path, "inspect", "a.conll")
    assert done.returncode == 1
    for part in ("in a thread: ", "at first: ", "then: ", "Traceback"):
        assert part in done.stderr
    assert "***" in done.stderr
    assert SECRET not in done.stderr
    assert "no-common-shape-of-one" not in done.stderr
    assert_harmless(done.stderr)


def test_messages_and_logs_show_no_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tf_tokclf.report.terminal import set_up_logging

    monkeypatch.setenv("HF_TOKEN", "no-common-shape-of-one")
    for named in (SECRET, "no-common-shape-of-one", f"https://ada:{SECRET}@hub.example"):
        for args in (["inspect", named], ["predict", named], ["evaluate", named], ["fit", f"--set={named}"]):
            result = CliRunner().invoke(cli, args, input="")
            assert result.exit_code in (1, 2)  # 1 if the Hub is contacted, which does not respond
            assert SECRET not in result.output, args
            assert "no-common-shape-of-one" not in result.output, args

    def logging_command(*args: object, **options: object) -> None:
        logging.getLogger("tf_tokclf").warning("answered %s to %s", 403, SECRET)

    monkeypatch.setattr("tf_tokclf.cli.inspect.inspect_command.callback", logging_command)
    result = CliRunner().invoke(cli, ["inspect", "a.conll"])
    set_up_logging()
    assert "Warning: answered 403 to ***" in result.stderr
