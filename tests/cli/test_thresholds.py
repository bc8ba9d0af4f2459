"""`tf-tokclf thresholds`, and the commands that use what it stores."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shutil
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result

import tf_tokclf
from tests.local_hub import LocalHub
from tests.publishing.running import contents
from tests.training.test_train import config_for
from tests.waiting import wait_until
from tf_tokclf.cli.main import cli
from tf_tokclf.config.loading import load_config
from tf_tokclf.errors import JobError
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.labels.spans import spans_of
from tf_tokclf.labels.validation import violations
from tf_tokclf.publishing.hub_repository import HubRepository
from tf_tokclf.publishing.run_callbacks import RunPushes
from tf_tokclf.publishing.run_card import run_card
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_record import damage, read_record
from tf_tokclf.scoring.measures import MEASURES
from tf_tokclf.scoring.operating_points import CURVE
from tf_tokclf.serving.limits import Limits
from tf_tokclf.serving.schema import PredictOptions
from tf_tokclf.serving.service import Service

if TYPE_CHECKING:
    from tf_tokclf.training.plan import RunPlan

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("untraced")]

TEXT = "ada lovelace visited london ."
TARGETS = ("--target", "PER.recall>=0.6", "--target", "default.precision>=0.5", "--confidence", "0.8")


def ran(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def done(*arguments: object) -> str:
    result = ran(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def plain_run(conll_files: dict[str, str], tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run of one epoch, so that the model still makes errors and is uncertain."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    return tf_tokclf.fit(config_for(conll_files, tiny_bert, folder, **{"training.num_train_epochs": 2})).run


@pytest.fixture
def run(plain_run: RunDir, tmp_path: Path) -> RunDir:
    return RunDir(shutil.copytree(plain_run.root, tmp_path / "run"))


@pytest.fixture
def chosen(run: RunDir, conll_files: dict[str, str]) -> dict[str, Any]:
    """What the command printed. The run has thresholds now."""
    text = done("thresholds", run.root, "--file", conll_files["train_file"], *TARGETS, "--format", "json")
    return json.loads(text)


def set_thresholds(run: RunDir, **thresholds: float) -> None:
    path = run.model / "thresholds.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    for name, threshold in thresholds.items():
        stored["types"][name]["threshold"] = threshold
    path.write_text(json.dumps(stored), encoding="utf-8")


def predicted(run: RunDir, tmp_path: Path, *options: object, text: str = TEXT) -> dict[str, Any]:
    source = tmp_path / "source.txt"
    source.write_text(f"{text}\n", encoding="utf-8")
    return json.loads(done("predict", run.root, source, *options))


def test_thresholds_are_stored_with_what_they_were_made_for(run: RunDir, chosen: dict[str, Any]):
    stored = json.loads((run.model / "thresholds.json").read_text(encoding="utf-8"))
    assert stored["confidence"] == chosen["confidence"] == 0.8
    assert set(stored["types"]) == set(chosen["thresholds"]) == {"LOC", "PER"}
    for name, one in chosen["thresholds"].items():
        assert stored["types"][name]["threshold"] == one["threshold"]
    assert stored["types"]["PER"]["target"] == {"measure": "recall", "least": 0.6}
    assert stored["types"]["LOC"]["target"] == {"measure": "precision", "least": 0.5}
    assert stored["data"] == {**chosen["data"], "name": "train.conll", "n_sentences": 32}
    assert set(stored["labels"]) == {"O", "B-LOC", "B-PER", "I-PER"}
    assert [row["threshold"] for row in chosen["curves"]["overall"]] == list(CURVE)
    record = read_record(run)
    assert record is not None
    assert "model/thresholds.json" in record.files
    assert damage(run, record) == {}


def test_the_promise_is_the_bound_of_the_counts(chosen: dict[str, Any]):
    met = [one for one in chosen["thresholds"].values() if one["met"]]
    assert met
    for one in met:
        least = float(one["target"].partition(">=")[2])
        assert least <= one["low"] <= one["value"]


def by_listing_all(tagger: Tagger, words: tuple[str, ...]) -> dict[tuple[int, int, str], float]:
    """The probability of each span over all label sequences that the scheme allows."""
    (tagged,) = tagger.tag([Sentence(words)])
    names, weights = tagger.labels.names, {}
    total = 0.0
    for ids in product(range(len(names)), repeat=len(words)):
        labels = [names[i] for i in ids]
        if not violations(labels, Scheme.IOB2):
            weight = np.exp(tagged.log_probabilities[range(len(ids)), list(ids)].astype(float).sum())
            total += weight
            for span in spans_of(labels, Scheme.IOB2):
                weights[span] = weights.get(span, 0) + weight
    return {(span.start, span.end, span.type): weight / total for span, weight in weights.items()}


def test_predict_writes_the_spans_that_reach_their_thresholds(run: RunDir, chosen: dict[str, Any], tmp_path: Path):
    set_thresholds(run, LOC=0.01, PER=0.999)
    expected = by_listing_all(tf_tokclf.load(run.root, thresholds=False), tuple(TEXT.split()))
    record = predicted(run, tmp_path)
    got = {(one["first_word"], one["end_word"], one["type"]): one["score"] for one in record["spans"]}
    assert got
    assert not [span for span in got if span[2] == "PER" and got[span] < 0.999]
    for span, score in got.items():
        assert score == pytest.approx(expected[span], abs=1e-5)
    # Every other span is below the threshold, or overlaps a more probable one.
    limits = {"LOC": 0.01, "PER": 0.999}
    for span in expected.keys() - got.keys():
        rivals = [one for one in expected if one[0] < span[1] and span[0] < one[1] and expected[one] > expected[span]]
        assert expected[span] < limits[span[2]] or rivals
    for start, end, type_ in got:
        assert record["labels"][start:end] == [f"B-{type_}", *[f"I-{type_}"] * (end - start - 1)]


def test_options_switch_thresholds_off(run: RunDir, plain_run: RunDir, chosen: dict[str, Any], tmp_path: Path):
    set_thresholds(run, LOC=1.0, PER=1.0)
    plain = predicted(plain_run, tmp_path)
    assert plain["spans"]
    assert predicted(run, tmp_path)["spans"] == []
    assert predicted(run, tmp_path, "--no-thresholds") == plain
    assert predicted(run, tmp_path, "--threshold", "0") == plain
    assert tf_tokclf.load(run.root)(TEXT) == []
    assert tf_tokclf.load(run.root, thresholds=False)(TEXT) == tf_tokclf.load(plain_run.root)(TEXT)


def test_the_server_uses_thresholds_unless_a_request_has_one(run: RunDir, chosen: dict[str, Any], tmp_path: Path):
    set_thresholds(run, LOC=0.01, PER=1.0)
    expected = predicted(run, tmp_path)
    service = Service(tf_tokclf.load(run.root), "mine", Limits())
    service.start()
    try:
        (answer,) = asyncio.run(service.predict([TEXT], PredictOptions()))
        (other,) = asyncio.run(service.predict([TEXT], PredictOptions(threshold=0.0)))
    finally:
        service.close()
    assert answer["spans"] == expected["spans"]
    assert other["spans"] == predicted(run, tmp_path, "--no-thresholds")["spans"] != answer["spans"]


def test_thresholds_can_be_removed(run: RunDir, plain_run: RunDir, chosen: dict[str, Any], tmp_path: Path):
    set_thresholds(run, LOC=1.0, PER=1.0)
    done("thresholds", run.root, "--remove")
    assert not (run.model / "thresholds.json").exists()
    assert predicted(run, tmp_path) == predicted(plain_run, tmp_path)
    record = read_record(run)
    assert record is not None
    assert damage(run, record) == {}


def test_an_export_keeps_the_thresholds(run: RunDir, chosen: dict[str, Any], tmp_path: Path):
    done("export", run.root, "--format", "savedmodel", "--output", tmp_path / "export")
    stored, exported = (folder / "thresholds.json" for folder in (run.model, tmp_path / "export"))
    assert json.loads(exported.read_text(encoding="utf-8")) == json.loads(stored.read_text(encoding="utf-8"))


def test_the_model_card_lists_the_thresholds(run: RunDir, chosen: dict[str, Any]):
    set_thresholds(run, LOC=0.125, PER=0.875)
    card = run_card(run)
    assert "0.125 (precision>=0.5" in card.replace("&gt;", ">")
    assert "32 sentences of `train.conll` with a confidence of 0.8" in card


def test_evaluate_uses_thresholds_only_if_asked(run: RunDir, plain_run: RunDir, chosen: dict[str, Any]):
    set_thresholds(run, LOC=1.0, PER=1.0)
    plain = json.loads(done("evaluate", run.root, "--format", "json"))
    assert plain == json.loads(done("evaluate", plain_run.root, "--format", "json"))
    at_thresholds = json.loads(done("evaluate", run.root, "--thresholds", "--format", "json"))
    assert at_thresholds["overall"]["recall"] == 0 < plain["overall"]["recall"]
    assert at_thresholds["thresholds"].startswith("1 (")
    assert "probability of at least 1 (" in done("evaluate", run.root, "--thresholds")
    missing = ran("evaluate", plain_run.root, "--thresholds")
    assert (missing.exit_code, "has no thresholds" in missing.output) == (2, True)


def test_counts_before_are_those_of_evaluate(run: RunDir, chosen: dict[str, Any], conll_files: dict[str, str]):
    scored = json.loads(done("evaluate", run.root, "--file", conll_files["train_file"], "--format", "json"))
    at = json.loads(done("evaluate", run.root, "--file", conll_files["train_file"], "--thresholds", "--format", "json"))
    for name, one in chosen["thresholds"].items():
        for measure in ("precision", "recall", "f1"):
            assert one["without_thresholds"][measure] == pytest.approx(scored["by_type"][name][measure])
            assert one["at_threshold"][measure] == pytest.approx(at["by_type"].get(name, {}).get(measure, 0))


def test_tables_and_picture(run: RunDir, tmp_path: Path):
    out, picture = tmp_path / "out.json", tmp_path / "curves.svg"
    given = ("thresholds", run.root, *TARGETS, "--dry-run")
    table = done(*given, "--output", out, "--plot", picture)
    assert "plain decoding → with the threshold" in table
    assert not (run.model / "thresholds.json").exists()
    as_json = json.loads(out.read_text(encoding="utf-8"))
    assert as_json["thresholds"].keys() == {"LOC", "PER"}
    charts = ElementTree.parse(picture).getroot().findall("{http://www.w3.org/2000/svg}svg")
    assert len(charts) == 3
    assert all(len(chart.findall("{http://www.w3.org/2000/svg}polyline")) == 3 for chart in charts)
    rows = done(*given, "--curve", "--format", "csv").splitlines()
    assert len(rows) == 1 + 3 * len(CURVE)
    assert done(*given, "--format", "markdown").count("\n| ") >= 3
    assert "\\toprule" in done(*given, "--format", "latex")
    assert "the file exists" in ran(*given, "--plot", picture).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "NAME.recall>=0.9"), "no type 'NAME'"),
        (("--target", "PER.f1>=0.9"), "TYPE.recall or TYPE.precision"),
        (("--target", "PER.recall>=0.9", "--split", "train"), "promise nothing"),
        (("--target", "PER.recall>=0.9", "--confidence", "1"), "1.0 is not in the range"),
        ((), "either --target or --remove"),
        (("--target", "PER.recall>=0.9", "--remove"), "either --target or --remove"),
        (("--remove",), "has no thresholds"),
    ],
)
def test_mistakes_are_one_message(plain_run: RunDir, arguments: tuple[str, ...], message: str):
    result = ran("thresholds", plain_run.root, *arguments)
    assert (result.exit_code, message in result.output) == (2, True), result.output


def test_thresholds_of_another_model_are_refused(run: RunDir, chosen: dict[str, Any], tmp_path: Path):
    path = run.model / "thresholds.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**stored, "labels": ["O", "B-X"]}), encoding="utf-8")
    source = tmp_path / "source.txt"
    source.write_text("ada\n", encoding="utf-8")
    result = ran("predict", run.root, source)
    assert (result.exit_code, "made for other labels" in result.output) == (2, True)
    assert ran("predict", run.root, source, "--no-thresholds").exit_code == 0
    # A new temperature changes all probabilities.
    path.write_text(json.dumps({**stored, "temperature": 1.5}), encoding="utf-8")
    assert "made for the temperature 1.5" in ran("predict", run.root, source).output


def test_a_new_temperature_says_that_the_thresholds_do_not_fit(
    run: RunDir, chosen: dict[str, Any], conll_files: dict[str, str], tmp_path: Path
):
    # The model is right about all training sentences, so some get other labels.
    sentences = Path(conll_files["train_file"]).read_text(encoding="utf-8").strip().split("\n\n")
    sentences[::3] = [re.sub(r"[BI]-\w+", "O", one) for one in sentences[::3]]
    (tmp_path / "other.conll").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    result = ran("evaluate", run.root, "--calibrate", "--set", f"data.validation_file={tmp_path / 'other.conll'}")
    assert result.exit_code == 0, result.output
    message = " ".join(result.stderr.split())
    assert "the thresholds were made for the temperature 1, but the model has" in message
    assert "tf-tokclf thresholds MODEL --remove" in message
    for command in (
        ("export", run.root, "--format", "onnx", "--output", tmp_path / "export"),
        ("push", run.root, "--dry-run", "--hub-model-id", "me/mine"),
        ("push", run.model, "--dry-run", "--hub-model-id", "me/mine"),
    ):
        refused = ran(*command)
        message = " ".join(refused.output.split())
        assert (refused.exit_code, "made for the temperature 1, but" in message) == (2, True), message
        assert "tf-tokclf thresholds MODEL --remove" in message
        assert "writing onnx" not in message
    done("thresholds", run.root, "--remove")
    done("push", run.root, "--dry-run", "--hub-model-id", "me/mine")


def test_fitting_thresholds_are_pushed(run: RunDir, chosen: dict[str, Any]):
    assert "thresholds.json" in done("push", run.root, "--dry-run", "--hub-model-id", "me/mine")


def pushes_of(run: RunDir, strategy: str) -> RunPushes:
    """The callback that pushes while a run is trained."""
    config = load_config(run.config)
    hub = config.hub.model_copy(update={"strategy": strategy})
    tagger = Tagger.load(run.root, engine="tensorflow", thresholds=False)
    plan = SimpleNamespace(
        run=run,
        config=config.model_copy(update={"hub": hub}),
        measure=MEASURES["f1"],
        tokenizer=tagger.tokenizer,
        info=tagger.info,
    )
    pushes = RunPushes(cast("RunPlan", plan), HubRepository.prepare("mine"))
    pushes.set_model(tagger.model)
    return pushes


def test_training_publishes_thresholds_with_their_own_weights_only(
    run: RunDir, chosen: dict[str, Any], hub: LocalHub, caplog: pytest.LogCaptureFixture
):
    # The only epoch is the best one.
    run.history.write_text(run.history.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    pushes_of(run, "end").finish()
    assert "thresholds.json" in hub.files("tester/mine")
    path = run.model / "thresholds.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**stored, "weights": {"model.safetensors": "0" * 64}}), encoding="utf-8")
    commits = hub.repository("tester/mine").commits()
    pushes = pushes_of(run, "best")
    # The command that chose the thresholds has turned it off.
    logging.getLogger("tf_tokclf").propagate = True
    pushes.on_epoch_end(1)
    assert "the snapshot could not be written; training continues" in caplog.text
    assert "the thresholds were made for other weights" in caplog.text
    with pytest.raises(JobError, match=r"other weights\..*The model is complete in .*Push it with: tf-tokclf push"):
        pushes.finish()
    assert hub.repository("tester/mine").commits() == commits
    # The snapshot of other weights has no thresholds, and its card lists none. Those that were published are removed.
    assert "predicts spans from a probability of" in run_card(run)
    in_training = pushes_of(run, "every_save")
    in_training.on_epoch_end(1)
    wait_until(lambda: len(hub.repository("tester/mine").commits()) > len(commits))
    published = hub.files("tester/mine")
    assert "thresholds.json" not in published
    assert "predicts spans from a probability of" not in published["README.md"].decode()
    path.unlink()
    in_training.finish()
    assert hub.files("tester/mine").keys() == contents(run.model).keys()


def test_another_aggregation_is_a_warning(run: RunDir, chosen: dict[str, Any], tmp_path: Path):
    source = tmp_path / "source.txt"
    source.write_text("ada\n", encoding="utf-8")
    warning = "made with --aggregation first, but the scores are from max"
    assert warning in " ".join(ran("predict", run.root, source, "--aggregation", "max").stderr.split())
    assert "made with --aggregation" not in ran("predict", run.root, source).stderr
    unused = ran("predict", run.root, source, "--aggregation", "max", "--no-thresholds")
    assert "made with --aggregation" not in unused.stderr


def test_spans_below_their_threshold_can_be_marked_for_review(run: RunDir, chosen: dict[str, Any], tmp_path: Path):
    set_thresholds(run, LOC=0.01, PER=1.0)
    without = predicted(run, tmp_path)
    record = predicted(run, tmp_path, "--review", "0.02")
    marked = [one for one in record["spans"] if one["review"]]
    assert {one["type"] for one in marked} == {"PER"}
    assert all(0.02 <= one["score"] < 1 for one in marked)
    others = [{key: value for key, value in one.items() if key != "review"} for one in record["spans"]]
    assert [one for one, whole in zip(others, record["spans"]) if not whole["review"]] == without["spans"]
    # Labels are those of the other spans.
    assert record["labels"] == without["labels"]
    tasks = json.loads(done("predict", run.root, tmp_path / "source.txt", "--review", "0.02", *_TASKS))
    notes = [one.get("meta") for one in tasks[0]["predictions"][0]["result"]]
    assert notes == [{"text": ["review"]} if one["review"] else None for one in record["spans"]]


def test_review_from_above_all_thresholds_is_refused(run: RunDir, chosen: dict[str, Any], tmp_path: Path):
    set_thresholds(run, LOC=0.01, PER=0.6)
    predicted(run, tmp_path, "--review", "0.5")
    result = ran("predict", run.root, tmp_path / "source.txt", "--review", "0.6")
    assert (result.exit_code, "because no threshold is above 0.6. Name a lower" in result.output) == (2, True)


_TASKS = ("--output-format", "label-studio")


def test_spans_below_a_single_threshold_can_be_marked(plain_run: RunDir, tmp_path: Path):
    plain = predicted(plain_run, tmp_path)["spans"]
    # Printed scores are rounded.
    limit = min(one["score"] for one in plain) + 1e-5
    record = predicted(plain_run, tmp_path, "--threshold", limit, "--review", "0")
    assert record["spans"] == [{**one, "review": one["score"] < limit} for one in plain]
    assert any(one["review"] for one in record["spans"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--review", "0.1"), "there is none"),
        (
            ("--review", "0.5", "--threshold", "0.5"),
            "because no threshold is above 0.5",
        ),
        (("--review", "0.1", "--threshold", "0.5", "--output-format", "conll"), "conll output cannot mark spans"),
        (("--review", "0.1", "--threshold", "0.5", "--output-format", "spacy"), "spacy output cannot mark spans"),
    ],
)
def test_review_needs_a_threshold_and_a_format_with_marks(
    plain_run: RunDir, tmp_path: Path, options: tuple[str, ...], message: str
):
    source = tmp_path / "source.txt"
    source.write_text("ada\n", encoding="utf-8")
    result = ran("predict", plain_run.root, source, *options)
    assert (result.exit_code, message in result.output) == (2, True), result.output
