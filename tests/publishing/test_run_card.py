"""The contents of the model card, and its metadata in the form that the Hub's classes accept."""

from __future__ import annotations

import json

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData

from tf_tokclf.config.loading import check_config
from tf_tokclf.errors import UserError
from tf_tokclf.publishing.publish import prepare_repository, write_card
from tf_tokclf.publishing.run_card import run_card
from tf_tokclf.run_dir import RunDir

SCORED = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": 4}
SPLIT = {
    "scheme": "IOB2",
    "mode": "conlleval",
    "unit": "span",
    "overall": SCORED,
    "macro": SCORED,
    "weighted": SCORED,
    "by_type": {"LOC": SCORED},
    "token_accuracy": 0.75,
    "n_sentences": 2,
    "n_words": 10,
    "n_truncated_words": 3,
    "modes": {"conlleval": SCORED, "strict": SCORED},
    "f1_interval": {"overall": [0.1, 0.5], "by_type": {"LOC": [0.2, 0.6]}},
}


@pytest.fixture
def run(tmp_path):
    """The files that a card is created from, as fit writes them."""
    run = RunDir(tmp_path / "run")
    run.model.mkdir(parents=True)
    write_config(run)
    labels = {"0": "O", "1": "B-LOC", "2": "I-LOC"}
    (run.model / "config.json").write_text(json.dumps({"model_type": "bert", "id2label": labels}))
    reading = {
        "strategy": "first",
        "max_length": 128,
        "overlap": 64,
        "truncate": False,
        "context_sentences": 0,
    }
    (run.model / "tf_tokclf.json").write_text(json.dumps({"scheme": "IOB2", "reading": reading}))
    record = {"epoch": 1, "train_loss": 0.5, "dev_loss": 0.4, "dev_f1": 0.3}
    run.history.write_text(json.dumps(record) + "\n")
    write_results(run, seed=42)
    run.predictions.mkdir()
    lines = [
        {"words": ["she", "left", "new", "york"], "gold": ["O", "O", "B-LOC", "I-LOC"]},
        {"words": ["rome", "is", "old", "indeed"], "gold": ["B-LOC", "O", "O", "O"]},
    ]
    text = "".join(json.dumps({**line, "predicted": line["gold"]}) + "\n" for line in lines)
    run.predictions_for("test").write_text(text)
    return run


def write_config(run, **settings):
    settings = {
        "model": {"name_or_path": "distilbert-base-cased"},
        "data": {"train_file": "wnut/a.conll"},
        **settings,
    }
    run.config.write_text(yaml.safe_dump(settings))


def write_results(run, *, seed, f1=1 / 3):
    results = {
        "splits": {"validation": SPLIT, "test": {**SPLIT, "overall": {**SCORED, "f1": f1}}},
        "data": {"train": {"n_sentences": 9, "n_words": 99, "fingerprint": "abc"}},
        "notes": ["labels only in test: I-LOC"],
        "repairs": {"I after O": 7},
        "best_epoch": 1,
        "n_epochs": 1,
        "seed": seed,
        "precision": {"training": "mixed_bfloat16", "scoring": "float32"},
        "seconds": 61.2,
        "versions": {"tensorflow": "2.21.0"},
        "machine": {"processor": "x86_64", "system": "Linux"},
    }
    run.root.mkdir(exist_ok=True)
    run.results.write_text(json.dumps(results))


def metadata_of(card: str) -> dict:
    return yaml.safe_load(card.split("---")[1])


@pytest.mark.parametrize(
    "fact",
    [
        "[distilbert-base-cased](https://huggingface.co/distilbert-base-cased)",
        "named entity recognition",
        "train: 9 sentences, 99 words, fingerprint `abc`",
        "3 labels, label scheme IOB2: `O`, `B-LOC`, `I-LOC`.",
        "alignment `first`",
        "window: at most 128 subword tokens",
        "seqeval, conlleval mode, label scheme IOB2",
        "F1 in strict mode: 33.33",
        "| **all** | 50.00 | 25.00 | 33.33 | 10.00 to 50.00 | 4 |",
        "| LOC | 50.00 | 25.00 | 33.33 |",
        "**F1 on test: 33.33 (95 % interval 10.00 to 50.00)**",
        "| LOC | 50.00 | 25.00 | 33.33 | 20.00 to 60.00 | 4 |",
        "3 words beyond the model's length limit, which it did not see",
        "labels only in test: I-LOC",
        "seed: 42",
        "learning rate 5e-05",
        "precision: mixed_bfloat16 in training, float32 in evaluation",
        "hardware: x86_64, Linux",
        "training time: 1 min 1 s",
        "tensorflow 2.21.0",
        "licence of the data: not stated",
        "TFAutoModelForTokenClassification.from_pretrained",
        "tf-tokclf predict me/mine",
        "The scores of types with fewer than 50 spans in test are uncertain: LOC.",
    ],
)
def test_card_says(run, fact):
    assert fact in run_card(run, reference="me/mine")


def test_control_characters_are_replaced_wherever_a_name_appears(run):
    """A label with U+202E, which reverses the text after it, was written unchanged."""
    hostile = "PER\u202eGRO\x1b[2J"
    (run.model / "config.json").write_text(json.dumps({"id2label": {"0": "O", "1": f"B-{hostile}"}}))
    results = json.loads(run.results.read_text())
    split = {**SPLIT, "by_type": {hostile: SCORED}, "f1_interval": {"overall": [0.1, 0.5], "by_type": {}}}
    notes = [f"labels only in test: {hostile}"]
    run.results.write_text(json.dumps({**results, "splits": {"test": split}, "notes": notes}))
    line = {"words": ["she", "left", "new", hostile], "gold": ["O", "O", "O", "B-LOC"]}
    run.predictions_for("test").write_text(json.dumps({**line, "predicted": line["gold"]}) + "\n")
    write_config(run, model={"name_or_path": f"./{hostile}"}, data={"dataset_name": "leondz/wnut_17"})
    card = run_card(run)
    assert [name for name in ("\u202e", "\x1b") if name in card] == []
    for text in (
        "`B-PER\N{REPLACEMENT CHARACTER}GRO",
        "| PER\N{REPLACEMENT CHARACTER}GRO",
        "test: PER\N{REPLACEMENT CHARACTER}GRO",
        "new PER\N{REPLACEMENT CHARACTER}GRO",
    ):
        assert text in card


def test_names_are_shown_as_they_are(run):
    """Names with characters that mean something in Markdown; the row of all types stays bold."""
    odd = "__a*b__"
    results = json.loads(run.results.read_text())
    split = {**SPLIT, "by_type": {odd: SCORED, "my_type": SCORED}, "f1_interval": {"overall": None, "by_type": {}}}
    run.results.write_text(json.dumps({**results, "splits": {"test": split}, "notes": [f"only in test: {odd} [x](y)"]}))
    write_config(run, data={"train_file": f"{odd}/a.conll"})
    card = run_card(run, reference=f"me/{odd}")
    shown = "\\_\\_a\\*b\\_\\_"
    assert "| **all** |" in card
    for text in (
        f"| {shown} |",
        "| my_type |",
        f"\n# {shown}\n",
        f" on {shown}.",
        f"data set: {shown} (local files)",
        f"only in test: {shown} \\[x\\](y)",
        f"are uncertain: {shown}, my_type.",
    ):
        assert text in card


def test_metadata_is_what_the_hubs_classes_take(run):
    write_config(
        run,
        data={"dataset_name": "leondz/wnut_17", "dataset_revision": "abc123"},
        hub={"card": {"license": "mit", "language": ["en"], "tags": ["tweets"], "examples": ["I saw Rome."]}},
    )
    card = ModelCard(run_card(run, reference="me/mine"))
    data = ModelCardData(**metadata_of(str(card)))
    assert data.to_dict() == card.data.to_dict()
    assert card.data.base_model == "distilbert-base-cased"
    assert card.data.datasets == ["leondz/wnut_17"]
    assert card.data.license == "mit"
    assert metadata_of(str(card))["widget"] == [{"text": "I saw Rome."}]
    results = {(result.dataset_split, result.metric_type): result for result in card.data.eval_results}
    assert len(results) == 8
    f1 = results["test", "f1"]
    assert (f1.metric_value, f1.dataset_revision, f1.metric_name) == (0.333333, "abc123", "F1 (conlleval)")


def test_the_same_run_gives_the_same_card(run):
    assert run_card(run) == run_card(run)


def test_local_paths_are_nobodys_business(run, tmp_path):
    write_config(run, model={"name_or_path": str(tmp_path)}, data={"train_file": str(tmp_path / "mine" / "a.conll")})
    assert str(tmp_path) not in run_card(run)


def test_sentences_of_ones_own_files_are_not_published(run):
    assert "widget" not in metadata_of(run_card(run))


def test_sentences_of_public_data_are_the_widgets_examples(run):
    write_config(run, data={"dataset_name": "leondz/wnut_17"})
    assert {"text": "she left new york"} in metadata_of(run_card(run))["widget"]


def test_spread_over_seeds(run, tmp_path):
    other = RunDir(tmp_path / "other")
    write_results(other, seed=43, f1=0.5)
    card = run_card(run, other_seeds=[other])
    assert "F1 over 2 seeds: mean 41.67, standard deviation 11.79. Runs: 33.33 (seed 42), 50.00 (seed 43)." in card


def test_spread_needs_other_seeds(run):
    with pytest.raises(UserError, match="the same seed"):
        run_card(run, other_seeds=[run])


def test_a_template_includes_no_other_files(run, tmp_path):
    (tmp_path / "secret.txt").write_text("s3cr3t", encoding="utf-8")
    template = tmp_path / "card.jinja"
    template.write_text('{% include "secret.txt" %}', encoding="utf-8")
    write_config(run, hub={"card": {"template": str(template)}})
    with pytest.raises(UserError, match=r"secret\.txt"):
        run_card(run)


def test_card_of_a_training_that_goes_on(run):
    run.results.unlink()
    assert "these are the weights after epoch 1 of 3" in run_card(run)


def test_own_sections_come_last(run):
    write_config(run, hub={"card": {"sections": {"Thanks": "To *everybody*."}}})
    assert run_card(run).rstrip().endswith("## Thanks\n\nTo *everybody*.")


def test_own_template_replaces_a_block(run, tmp_path):
    template = tmp_path / "card.jinja"
    template.write_text(
        '{% extends "model_card.md.jinja" %}{% block limits %}\n## Mine\n{{ card.task }}\n{% endblock %}'
    )
    write_config(run, hub={"card": {"template": str(template)}})
    card = run_card(run)
    assert "## Mine\nnamed entity recognition" in card
    assert "## Limits" not in card


def test_broken_template_is_told_with_its_line(run, tmp_path):
    template = tmp_path / "card.jinja"
    template.write_text("one\n{% if %}")
    write_config(run, hub={"card": {"template": str(template)}})
    with pytest.raises(UserError, match=r"card.jinja, line 2"):
        run_card(run)


def test_broken_template_is_told_before_training(tmp_path):
    config = check_config({"hub": {"card": {"template": str(tmp_path / "absent.jinja")}}})
    with pytest.raises(UserError, match="this template does not exist"):
        prepare_repository(config)


def test_unknown_name_in_a_template(run, tmp_path):
    template = tmp_path / "card.jinja"
    template.write_text("{{ card.nonsense }}")
    write_config(run, hub={"card": {"template": str(template)}})
    with pytest.raises(UserError, match="nonsense"):
        run_card(run)


def test_word_labels_have_no_spans(run):
    plain = {**SPLIT, "unit": "word", "mode": None, "scheme": "none", "modes": None}
    results = json.loads(run.results.read_text())
    run.results.write_text(json.dumps({**results, "splits": {"test": plain}}))
    run.predictions_for("test").unlink()
    card = run_card(run)
    assert "**Accuracy on test: 75.00**" in card
    assert "the labels of words, which form no spans" in card


def test_revision_and_licence_of_the_data_come_from_the_hub(run, hub):
    repository = hub.create("leondz/wnut_17", kind="datasets")
    sha = repository.commit({"README.md": b"---\nlicense: cc-by-4.0\n---\n"})
    write_config(run, data={"dataset_name": "leondz/wnut_17"})
    write_card(run, reference="me/mine")
    card = (run.model / "README.md").read_text()
    assert f"not pinned (newest at publication: `{sha}`)" in card
    assert "licence of the data: cc-by-4.0" in card
