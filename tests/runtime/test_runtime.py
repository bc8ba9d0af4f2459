"""The installation without TensorFlow: it labels, scores and serves like the main one, and other commands say what is
missing.

scripts/test_runtime makes the environments. Everything that it writes is compared byte by byte.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.inference.sources import sample_texts, write_source
from tests.requirements import need_modules, need_runtime_environments
from tests.serving.running import ask
from tests.waiting import LIMIT_S
from tf_tokclf.cli.main import COMMANDS

ENVIRONMENTS = need_runtime_environments()
need_modules("onnx", "onnxruntime", "tf2onnx", extra="export")
pytestmark = pytest.mark.filterwarnings("ignore")

ABSENT = {
    *("tensorflow", "tf_keras", "keras", "transformers", "datasets", "torch"),
    *("pyarrow", "pandas", "scipy", "sklearn", "seqeval", "tensorboard", "sentencepiece"),
}
MOST_MEGABYTES = 250
# What the main environment prints and writes, by the arguments of a command.
EXPECTED: dict[tuple[str, ...], tuple[str | bytes, ...]] = {}
GOLD = """ada B-PER
visited O
london B-LOC
. O

grace I-PER
and O
ada I-PER
x B-LOC

london O
. O
"""


@pytest.fixture(scope="module", params=ENVIRONMENTS, ids=lambda folder: folder.name)
def python(request: pytest.FixtureRequest) -> Path:
    """The interpreter of an environment without TensorFlow."""
    return request.param / "bin" / "python"


@pytest.fixture(scope="module")
def model(tiny_classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier with its weights and its export."""
    from tf_tokclf.encoding.onnx_record import weights_sha256
    from tf_tokclf.model.loading import load_classifier
    from tf_tokclf.model.precision import Precision
    from tf_tokclf.publishing.export.formats import write_export
    from tf_tokclf.publishing.export.onnx_files import write_record_of

    folder = Path(shutil.copytree(tiny_classifier, tmp_path_factory.mktemp("model") / "model"))
    path = write_export(load_classifier(folder, precision=Precision("float32", "test")), folder, "onnx", None)
    write_record_of(path, folder, precision="float32", weights=weights_sha256(folder))
    return folder


@pytest.fixture(scope="module")
def export(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export alone, without weights."""
    place = tmp_path_factory.mktemp("export") / "export"
    return Path(shutil.copytree(model, place, ignore=shutil.ignore_patterns("*.safetensors")))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with files to label and to score."""
    for name in ("a.txt", "b.txt.gz", "c.jsonl", "d.csv", "e.conll"):
        write_source(name, tmp_path)
    (tmp_path / "long.txt").write_text(" ".join(sample_texts()) + "\n\u200b x \u4e2d Zz's\n", encoding="utf-8")
    (tmp_path / "gold.conll").write_text(GOLD, encoding="utf-8")
    (tmp_path / "other.conll").write_text(GOLD.replace("-", "_"), encoding="utf-8")
    return tmp_path


def run(python: Path | str, folder: Path, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command of tf-tokclf in a folder. The package is the installed one, not the one of this checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if python == sys.executable:
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        [str(python), "-m", "tf_tokclf", *map(str, arguments)],
        cwd=folder,
        env={**environment, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == code, done.stderr
    return done


def written_by_both(python: Path, here: Path, *arguments: str, outputs: tuple[str, ...]) -> str:
    """Run a command in both environments. What it prints and writes must be the same; return what it prints."""

    def result(one: Path | str) -> tuple[str | bytes, ...]:
        printed = run(one, here, *arguments).stdout
        return printed, *(_content(here / name) for name in outputs)

    if arguments not in EXPECTED:
        EXPECTED[arguments] = result(sys.executable)
        for name in outputs:
            (here / name).unlink()
    assert result(python) == EXPECTED[arguments]
    return str(EXPECTED[arguments][0])


def _content(path: Path) -> bytes:
    """The bytes of a file. Versions of Python write another header of gzip files."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_only_what_is_needed_is_installed(python: Path, tmp_path: Path):
    code = (
        "import sys\n"
        "from importlib.util import find_spec\n"
        f"there = [name for name in {sorted(ABSENT)} if find_spec(name)]\n"
        "assert not there, there\n"
        "import tf_tokclf\n"
        "print(tf_tokclf.__file__)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    packages = Path(done.stdout.strip()).parents[1]
    assert packages.is_relative_to(python.parents[1])
    # Not in the clone, which may contain the requirements of an editable installation.
    done = subprocess.run([python, "-m", "pip", "check"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    # venv itself installs pip and, up to Python 3.11, setuptools.
    own = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}
    sizes = {path.name: _megabytes(path) for path in packages.iterdir() if path.name.partition("-")[0] not in own}
    assert sum(sizes.values()) < MOST_MEGABYTES, sorted(sizes.items(), key=lambda item: -item[1])[:10]


def _megabytes(path: Path) -> float:
    """The space on disk, in MiB as `du -m` counts it."""
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    return sum(file.lstat().st_blocks * 512 for file in files) / 2**20


@pytest.mark.parametrize(
    ("source", "output", "options"),
    [
        ("a.txt", "o.jsonl", ("--top-k", "3")),
        ("long.txt", "o.jsonl", ("--decoding", "viterbi", "--aggregation", "average")),
        ("b.txt.gz", "o.jsonl.gz", ("--threshold", "0.4")),
        ("c.jsonl", "o.jsonl", ()),
        ("d.csv", "o.csv", ()),
        ("e.conll", "o.conll", ("--scores",)),
        ("a.txt", "o.json", ("--output-format", "label-studio")),
    ],
)
def test_predictions_are_the_same(
    python: Path, export: Path, here: Path, source: str, output: str, options: tuple[str, ...]
):
    arguments = ("predict", str(export), source, "-o", output, *options)
    written_by_both(python, here, *arguments, outputs=(output,))


def test_what_is_printed_is_the_same(python: Path, model: Path, here: Path):
    """A model folder with weights and an export, as in the folder of a run."""
    printed = written_by_both(python, here, "predict", str(model), "a.txt", outputs=())
    assert len(printed.splitlines()) == len(sample_texts())


@pytest.mark.parametrize(
    "options",
    [
        ("--file", "gold.conll"),
        ("--file", "gold.conll", "--mode", "strict", "--errors", "--by", "length"),
        ("--file", "other.conll", "--set", "data.repair=conlleval"),
        ("--file", "gold.conll", "--decoding", "viterbi", "--require", "f1>=0", "--format", "conlleval"),
    ],
)
def test_scores_are_the_same(python: Path, export: Path, here: Path, options: tuple[str, ...]):
    arguments = ("evaluate", str(export), *options, "--output", "s.json", "--output-predictions", "p.jsonl")
    written_by_both(python, here, *arguments, outputs=("s.json", "p.jsonl"))


def test_predictions_in_a_file_are_scored_the_same(python: Path, export: Path, here: Path):
    run(python, here, "evaluate", export, "--file", "gold.conll", "--output-predictions", "p.jsonl")
    given = ("evaluate", "--predictions", "p.jsonl", "--errors")
    printed = written_by_both(python, here, *given, "--format", "json", outputs=())
    assert json.loads(printed)["overall"]["support"] == 5
    written_by_both(python, here, "compare", "p.jsonl", "p.jsonl", outputs=())


def test_responses_are_the_same(python: Path, export: Path, here: Path):
    texts = [text for text in sample_texts(12) if text]
    asked: list[Any] = [{"inputs": texts}, {"inputs": "ada visited london"}, {"inputs": [["ada", "left"]]}]
    answers = []
    for one in (sys.executable, python):
        with Server(one, export, here) as port:
            found = [ask(port, "/predict", body) for body in asked]
            assert [answer.status for answer in found] == [200] * len(asked)
            assert ask(port, "/").status == ask(port, "/metrics").status == ask(port, "/docs").status == 200
            answers.append([answer.json["predictions"] for answer in found])
    assert answers[0] == answers[1]


class Server:
    """`tf-tokclf serve` on a free port. It must end with code 0 after SIGTERM."""

    def __init__(self, python: Path | str, model: Path, folder: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if python == sys.executable:
            environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        command = [str(python), "-m", "tf_tokclf", "serve", str(model), "--port", "0"]
        self._process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> int:
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                return int(found[1])
        pytest.fail("".join(said))

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=LIMIT_S)
        assert self._process.returncode == 0 or error[0]


def test_every_command_has_a_help(python: Path, here: Path):
    assert "tf-tokclf predict" in run(python, here, "--help").stdout
    for name in COMMANDS:
        assert run(python, here, name, "--help").stdout.startswith(f"Usage: tf-tokclf {name} ")


@pytest.mark.parametrize(
    ("arguments", "needed", "install"),
    [
        (("fit", "--train-file", "gold.conll"), "tensorflow, tf_keras, transformers and datasets", "tf-tokclf"),
        (("export", "MODEL", "--format", "onnx", "-o", "o"), "tensorflow, tf_keras", "tf-tokclf"),
        (("push", "MODEL", "--hub-model-id", "me/mine"), "tensorflow, tf_keras", "tf-tokclf"),
        (("select", "MODEL", "a.txt"), "tensorflow, tf_keras", "tf-tokclf"),
        (("predict", "MODEL", "a.txt", "--engine", "tensorflow"), "tensorflow, tf_keras", "tf-tokclf"),
        (("predict", "MODEL", "a.txt", "--precision", "mixed_bfloat16"), "tensorflow, tf_keras", "tf-tokclf"),
        (("predict", "MODEL", "a.txt", "--workers", "2", "-o", "o"), "ray", "'tf-tokclf[ray]'"),
        (("predict", "MODEL", "a.txt", "-o", "o.zst"), "pyarrow", "'tf-tokclf-runtime[arrow]'"),
        (("predict", "MODEL", "a.spacy"), "spaCy", "'tf-tokclf[spacy]'"),
        (("evaluate", "MODEL", "--file", "a.parquet"), "pyarrow", "'tf-tokclf-runtime[arrow]'"),
        (("inspect", "gold.conll"), "pyarrow", "'tf-tokclf-runtime[arrow]'"),
        (("convert", "gold.conll", "o.parquet"), "pyarrow", "'tf-tokclf-runtime[arrow]'"),
        (("split", "gold.conll", "-o", "o"), "pyarrow", "'tf-tokclf-runtime[arrow]'"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_one_message_says_which_installation_has_what_is_missing(
    python: Path, model: Path, here: Path, arguments: tuple[str, ...], needed: str, install: str
):
    (here / "a.parquet").write_bytes(b"PAR1")
    (here / "a.spacy").write_bytes(b"x")
    message = " ".join(
        run(python, here, *(str(model) if word == "MODEL" else word for word in arguments), code=2).stderr.split()
    )
    assert message.count("Error: ") == 1
    assert "Traceback" not in message
    assert needed in message.partition("Error: ")[2]
    assert re.search(rf"python -m pip install {re.escape(install)}(,|$)", message)


def test_a_model_without_an_export_is_refused(python: Path, model: Path, here: Path):
    bare = shutil.copytree(model, here / "bare", ignore=shutil.ignore_patterns("onnx"))
    for command in (("predict", bare, "a.txt"), ("evaluate", bare, "--file", "gold.conll"), ("serve", bare)):
        assert "has no ONNX export. Export the model: tf-tokclf export" in run(python, here, *command, code=2).stderr


def test_the_python_functions_too(python: Path, export: Path, tmp_path: Path):
    code = (
        "import sys, tf_tokclf\n"
        "from tf_tokclf.errors import UserError\n"
        "assert tf_tokclf.load(sys.argv[1])('ada visited london')\n"
        "try:\n"
        "    tf_tokclf.fit\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", code, export], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"this needs \w+, which tf-tokclf-runtime does not install\. .+\n", done.stdout)
