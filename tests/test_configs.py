"""Every shipped configuration loads, states its cost and its result, and its run can be planned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tf_tokclf.cli.main import cli
from tf_tokclf.config.loading import load_config
from tf_tokclf.config.shipped import SHIPPED, shipped_config

SAMPLES = Path(__file__).parent / "data" / "samples"
CONFIG_NAMES = sorted(path.stem for path in (SHIPPED / "configs").glob("*.yaml"))
SNIPS = "package:tf_tokclf/shipped/snips/dev"

# What stands in for the data that a configuration names: a file of the same format with the same columns.
STAND_INS = {
    "quickstart": SNIPS,
    "snips": SNIPS,
    "wnut17-offline": str(SAMPLES / "lone_tabs_between_sentences.conll"),
    "conll2003-ner-offline": str(SAMPLES / "four_columns.conll"),
    "conll2003-pos-offline": str(SAMPLES / "four_columns.conll"),
    "conll2003-chunk-offline": str(SAMPLES / "four_columns.conll"),
    "ud-pos": str(SAMPLES / "ranges_and_empty_nodes.conllu"),
    "long-documents": str(SAMPLES / "header_and_metadata.tsv"),
    "spans-jsonl": str(SAMPLES / "doccano_triples.jsonl"),
}


@pytest.fixture(scope="module")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with the columns of CoNLL-2003 and WNUT-17 on the Hub, written by save_to_disk."""
    import datasets

    names = {
        "ner_tags": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
        "pos_tags": ["NNP", "VBD", "."],
        "chunk_tags": ["O", "B-NP", "B-VP"],
    }
    rows = {
        "tokens": [["Ada", "visited", "London", "."]] * 20,
        "ner_tags": [[1, 0, 3, 0]] * 20,
        "pos_tags": [[0, 1, 0, 2]] * 20,
        "chunk_tags": [[1, 2, 1, 0]] * 20,
    }
    features = {column: datasets.List(datasets.ClassLabel(names=labels)) for column, labels in names.items()}
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), **features})
    split = datasets.Dataset.from_dict(rows, features=features)
    folder = tmp_path_factory.mktemp("hub") / "set"
    datasets.DatasetDict(dict.fromkeys(("train", "validation", "test"), split)).save_to_disk(str(folder))
    return folder


@pytest.mark.parametrize("name", CONFIG_NAMES)
def test_its_head_says_command_cost_and_result(name: str):
    path = shipped_config(Path(name))
    assert path is not None
    head = path.read_text(encoding="utf-8").partition("\ntask:")[0]
    assert f"#   tf-tokclf fit configs/{name}.yaml" in head
    assert "# Cost: " in head
    assert "# Result: " in head
    assert "to be measured" not in head


@pytest.mark.parametrize("name", CONFIG_NAMES)
def test_its_run_goes_into_a_folder_of_its_name(name: str):
    assert load_config(name).output_dir == f"runs/{name}"


@pytest.mark.parametrize("name", CONFIG_NAMES)
def test_a_dry_run_plans_it(name: str, dataset_folder: Path, tiny_bert: Path):
    config = load_config(name)
    settings = {"model.name_or_path": str(tiny_bert), "training.precision": "float32"}
    if config.data.dataset_name:
        settings |= {"data.dataset_name": str(dataset_folder), "data.dataset_revision": "null"}
    else:
        data = STAND_INS.get(name) or STAND_INS[name.removesuffix("-offline")]
        settings |= {f"data.{part}_file": data for part in ("train", "validation", "test")}
    if config.alignment.max_length:
        settings |= {"alignment.max_length": "32", "alignment.overlap": "8"}
    assignments = [f"--set={key}={value}" for key, value in settings.items()]
    result = CliRunner().invoke(cli, ["fit", name, *assignments, "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "learning rate" in result.stdout


@pytest.mark.parametrize(
    ("name", "label"),
    [("conll2003-ner", "B-PER"), ("conll2003-pos", "VBD"), ("conll2003-chunk", "B-VP")],
)
def test_the_task_chooses_the_column(name: str, label: str, dataset_folder: Path):
    from tf_tokclf.data.splits import load_splits

    config = load_config(name, options={"data.dataset_name": str(dataset_folder)})
    assert label in load_splits(config.data, task=config.task).labels.names


@pytest.mark.parametrize(
    ("name", "type_"),
    [("conll2003-ner-offline", "ORG"), ("conll2003-pos-offline", "NNP"), ("conll2003-chunk-offline", "NP")],
)
def test_the_licensed_sets_run_on_files_of_their_layout(name: str, type_: str, tiny_bert: Path, tmp_path: Path):
    """The text of CoNLL-2003 cannot be shipped, so the sample only has its columns, document lines and empty lines."""
    document = (SAMPLES / "four_columns.conll").read_text(encoding="utf-8").rstrip() + "\n\n"
    for part in ("eng.train", "eng.testa", "eng.testb"):
        (tmp_path / part).write_text(document * 4, encoding="utf-8")
    parts = {"train": "eng.train", "validation": "eng.testa", "test": "eng.testb"}
    settings = {f"data.{part}_file": str(tmp_path / file) for part, file in parts.items()}
    settings |= {"model.name_or_path": str(tiny_bert), "output_dir": str(tmp_path / "run"), "alignment.overlap": "8"}
    assignments = [f"--set={key}={value}" for key, value in settings.items()]
    result = CliRunner().invoke(cli, ["fit", name, *assignments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["splits"]["test"]
    assert type_ in json.dumps(scores["by_type"])
