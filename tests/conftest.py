"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.killing import KillServer
from tests.requirements import need, need_program

if TYPE_CHECKING:
    from tests.browser import Browser
    from tests.local_hub import LocalHub

# How long a case takes depends on what else the machine does.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
settings.register_profile("slow", settings.get_profile("tests"), max_examples=500)
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --slow, which also runs tests that take minutes."""
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_configure(config: pytest.Config) -> None:
    """Draw more cases of each property with --slow."""
    if config.getoption("--slow"):
        settings.load_profile("slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the long files first, so that no worker is left alone with one at the end; skip slow tests."""
    # pytest-randomly has shuffled by now. Sorting is stable: the order stays random within the two groups.
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    if config.getoption("--slow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run it with --slow"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real data sets: next to the checkout, or TF_TOKCLF_SHARED_DATA."""
    beside = Path(__file__).parent.parent.parent / "shared" / "data"
    folder = Path(os.environ.get("TF_TOKCLF_SHARED_DATA", beside))
    need("the shared data sets", folder.is_dir(), f"{folder} is no folder; name theirs in TF_TOKCLF_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The command of the browser."""
    return need_program("chromium", "chromium-browser", "google-chrome", remedy="apt-get install chromium")


@pytest.fixture(scope="session")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The only browser of all tests, because starting one takes seconds. It keeps nothing but the last page."""
    from tests.browser import Browser

    with Browser(chromium, tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny BERT encoder that knows the words of the small files here."""
    from tests.encoders import make_bert

    return make_bert(tmp_path_factory.mktemp("encoders") / "bert", WORDS)


@pytest.fixture(scope="session")
def tiny_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny RoBERTa encoder."""
    from tests.encoders import make_roberta

    return make_roberta(tmp_path_factory.mktemp("encoders") / "roberta", WORDS)


@pytest.fixture(scope="session")
def kill_server() -> Iterator[KillServer]:
    """Runs commands in processes that have already imported TensorFlow."""
    with KillServer() as started:
        yield started


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """The local Hub for this process."""
    from tests.local_hub import LocalHub

    with LocalHub(tmp_path / "hub") as hub:
        hub.use_here(monkeypatch, tmp_path / "home")
        yield hub


@pytest.fixture(scope="module")
def untraced() -> Iterator[None]:
    """Let TensorFlow run functions eagerly: tracing their graphs takes half of the time of a short run.

    For modules whose subject is not the computation. It makes long runs slower.
    """
    from tf_tokclf.model.backend import tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


PEOPLE = ("ada", "grace", "alan", "edsger")
PLACES = ("london", "paris", "oslo", "rome")
VERBS = ("visited", "left", "likes", "saw")
WORDS = (*PEOPLE, *PLACES, *VERBS, "and", ".")


@pytest.fixture(scope="session")
def people_and_places() -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Sentences that a tiny encoder learns within seconds: words and IOB2 labels."""
    sentences = []
    for i, person in enumerate(PEOPLE):
        for j, place in enumerate(PLACES):
            words = (person, "lovelace", VERBS[(i + j) % 4], place, ".")
            sentences.append((words, ("B-PER", "I-PER", "O", "B-LOC", "O")))
            sentences.append(((place, VERBS[j], person), ("B-LOC", "O", "B-PER")))
    return sentences


@pytest.fixture(scope="session")
def conll_files(
    tmp_path_factory: pytest.TempPathFactory, people_and_places: list[tuple[tuple[str, ...], tuple[str, ...]]]
) -> dict[str, str]:
    """The same sentences as CoNLL files for training, validation and test, by the names of the settings."""
    folder = tmp_path_factory.mktemp("conll")
    files = {}
    for name, part in (
        ("train", people_and_places),
        ("validation", people_and_places[::3]),
        ("test", people_and_places[1::4]),
    ):
        path = folder / f"{name}.conll"
        path.write_text(
            "\n".join("".join(f"{word}\t{label}\n" for word, label in zip(*sentence)) for sentence in part),
            encoding="utf-8",
        )
        files[f"{name}_file"] = str(path)
    return files


@pytest.fixture(scope="session")
def tiny_classifier(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    """The folder of an untrained classifier. Its labels are meaningless, but always the same."""
    from tf_tokclf.encoding.model_info import ModelInfo
    from tf_tokclf.encoding.tokenizers import load_tokenizer
    from tf_tokclf.encoding.windows import WindowSettings
    from tf_tokclf.labels.label_set import LabelSet
    from tf_tokclf.labels.schemes import Scheme
    from tf_tokclf.model.backend import keras
    from tf_tokclf.model.loading import new_classifier
    from tf_tokclf.model.precision import Precision
    from tf_tokclf.model.saving import save_model_folder

    labels = LabelSet(("O", "B-LOC", "I-LOC", "B-PER", "I-PER"), Scheme.IOB2)
    keras.utils.set_random_seed(11)
    model = new_classifier(tiny_bert, labels.names, precision=Precision("float32", "test"))
    # An untrained head gives all labels similar scores.
    model.classifier.kernel.assign(model.classifier.kernel * 60)
    info = ModelInfo(WindowSettings("first", max_length=64, overlap=8), labels)
    folder = tmp_path_factory.mktemp("classifier") / "model"
    save_model_folder(model, load_tokenizer(tiny_bert), info, folder)
    return folder
