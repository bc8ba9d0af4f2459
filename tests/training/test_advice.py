"""What stands out in a run, on histories and scores that were made for it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tf_tokclf.cli.main import cli
from tf_tokclf.cli.setting_options import given_settings
from tf_tokclf.config.loading import with_settings
from tf_tokclf.config.schema import Config
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.scoring.scores import Scores, score_sentences
from tf_tokclf.training.advice import Advice, advice
from tf_tokclf.training.history import EpochRecord

GOOD = ([0.9, 0.4, 0.2], [0.5, 0.71, 0.7])


def history(losses: Sequence[float], f1: Sequence[float]) -> list[EpochRecord]:
    other = {"dev_loss": 0.1, "dev_precision": 0.5, "dev_recall": 0.5, "dev_token_accuracy": 0.9}
    other |= {"learning_rate": 1e-3, "train_seconds": 1.0, "dev_seconds": 1.0, "words_per_second": 9.0}
    pairs = enumerate(zip(losses, f1), 1)
    return [EpochRecord(epoch=epoch, train_loss=loss, dev_f1=one, **other) for epoch, (loss, one) in pairs]


def scores(*pairs: tuple[str, str], scheme: Scheme = Scheme.IOB2) -> Scores:
    """The scores of one sentence: gold and predicted label of each word."""
    return score_sentences([(tuple(gold for gold, _ in pairs), tuple(found for _, found in pairs))], scheme)


FOUND = scores(("B-PER", "B-PER"), ("O", "O"), ("B-LOC", "B-LOC"))
NOTHING = scores(("B-PER", "O"), ("O", "O"), ("B-LOC", "O"))
LOC = ("B-LOC", "O")
NO_LOC = scores(("B-PER", "B-PER"), ("O", "O"), *[LOC] * 5, ("O", "B-ORG"))
# F1 by epoch that falls after the second one.
FALLING = ([0.9, 0.4, 0.2, 0.1], [0.5, 0.71, 0.7, 0.69])


def advised(
    losses_and_f1: tuple[Sequence[float], Sequence[float]] = GOOD,
    by_split: Mapping[str, Scores] | None = None,
    n_training: int = 20,
    n_steps: int = 1000,
    **settings: object,
) -> Advice | None:
    set_ = {name.replace("__", "."): value for name, value in settings.items()}
    config = with_settings(Config(recipe="none", output_dir="runs/a b"), set_)
    by_split = by_split or {"validation": FOUND, "test": FOUND}
    counts = {name: n_training for one in by_split.values() for name in one.by_type}
    return advice(config, history(*losses_and_f1), by_split, counts, n_steps=n_steps)


def option_of(found: Advice | None) -> list[str]:
    """The option that is to be tried. The command is complete, and does not touch the run."""
    assert found is not None
    words = shlex.split(found.command(Path("runs/a b")) or "")
    assert words[:3] == ["tf-tokclf", "fit", "runs/a b"]
    assert words[5] == "--output-dir"
    assert words[6].startswith("runs/a b-")
    command = cli.get_command(None, "fit")
    context = command.make_context("fit", words[2:], obj={})
    assert given_settings(context)["output_dir"] == words[6]
    return words[3:5]


def test_nothing_stands_out_in_a_good_run():
    assert advised() is None
    assert advised(([0.5], [0.6])) is None
    # Types that are not in the gold labels do not count.
    assert advised(by_split={"validation": scores(("B-PER", "B-PER"), ("O", "B-LOC"))}) is None


def test_a_type_that_is_never_found():
    found = advised(by_split={"validation": NO_LOC, "test": FOUND})
    assert found is not None
    assert found.findings == ("F1 on validation is 0 for LOC (5 spans). A higher weight of words in spans may help.",)
    assert option_of(found) == ["--span-weight", "2"]
    assert option_of(advised(by_split={"validation": NO_LOC}, training__span_weight=2)) == ["--num-train-epochs", "6"]


def test_a_type_with_few_examples_does_not_count():
    assert advised(by_split={"validation": NO_LOC}, n_training=19) is None
    assert advised(by_split={"validation": scores(("B-PER", "B-PER"), *[LOC] * 4)}) is None


def test_settings_are_not_chosen_by_test_scores():
    found = advised(by_split={"validation": FOUND, "test": NO_LOC})
    assert found is not None
    assert found.findings == (
        "F1 on test is 0 for LOC (5 spans). The validation sentences contain fewer than 5 of each type.",
    )
    assert "To try next" not in found.text(Path("runs/mine"))
    assert found.to_json()["try"] is None
    # With enough examples, validation decides.
    enough = scores(("B-PER", "B-PER"), ("B-LOC", "B-LOC"), *[LOC] * 4)
    assert advised(by_split={"validation": enough, "test": NO_LOC}) is None


def test_a_run_that_has_converged_needs_examples_rather_than_epochs():
    found = advised(FALLING, {"validation": NO_LOC}, training__span_weight=2)
    assert found is not None
    (finding,) = found.findings
    assert "has not risen since epoch 2" in finding
    assert "Label more examples" in finding
    assert found.command(Path("runs/a b")) == "tf-tokclf evaluate 'runs/a b' --errors"


def test_a_word_class_that_is_never_found():
    found = advised(by_split={"validation": scores(("NOUN", "NOUN"), *[("X", "NOUN")] * 5, scheme=Scheme.NONE)})
    assert found is not None
    assert "F1 on validation is 0 for X (5 words)" in found.findings[0]
    assert option_of(found) == ["--num-train-epochs", "6"]


def test_many_types_are_counted():
    rare = [(f"B-T{number}", "O") for number in range(9)] * 5
    found = advised(by_split={"validation": scores(("B-PER", "B-PER"), *rare, ("B-T8", "O"))})
    assert found is not None
    assert "for T8 (6 spans), T0 (5 spans), T1 (5 spans), T2 (5 spans), T3 (5 spans) and 4 more." in found.findings[0]


def test_f1_that_is_still_rising():
    found = advised(([0.9, 0.4, 0.2], [0.1, 0.3, 0.5]), training__num_train_epochs=3)
    assert found is not None
    assert found.findings == ("Validation F1 was still rising at the end, from 30.00 to 50.00.",)
    assert option_of(found) == ["--num-train-epochs", "6"]
    assert not found.is_serious
    assert option_of(advised(([0.9, 0.2], [0.1, 0.3]), training__max_steps=70)) == ["--max-steps", "140"]
    assert advised(([0.9, 0.4, 0.2], [0.1, 0.499, 0.5])) is None
    assert advised(([0.9, 0.4, 0.2], [0.5, 0.3, 0.5])) is None


@pytest.mark.parametrize(
    ("last", "verb"), [(0.89, "hardly fell"), (0.9, "did not fall"), (1.5, "did not fall"), (math.nan, "did not fall")]
)
@pytest.mark.parametrize(("rate", "other"), [(1e-5, "5e-05"), (5e-3, "0.001")])
def test_a_loss_that_does_not_fall(last: float, verb: str, rate: float, other: str):
    found = advised(([0.9, 0.9, last], [0.2, 0.21, 0.2]), optimizer__learning_rate=rate)
    assert found is not None
    assert found.findings[0].startswith(f"The training loss {verb}: it was 0.9000 at first and ")
    assert option_of(found) == ["--learning-rate", other]


def test_a_rate_that_is_too_high_comes_first():
    found = advised(
        ([0.9, 0.95], [0.0, 0.0]), {"validation": NOTHING}, optimizer__learning_rate=0.02, optimizer__layer_decay=0.7
    )
    assert found is not None
    assert [finding.split()[:4] for finding in found.findings] == [
        ["The", "learning", "rate", "0.02"],
        ["The", "training", "loss", "did"],
        ["The", "model", "labels", "every"],
    ]
    assert option_of(found) == ["--learning-rate", "1e-3"]
    assert advised(optimizer__learning_rate=0.01) is None
    assert option_of(advised(optimizer__learning_rate=0.011)) == ["--learning-rate", "1e-4"]


def test_a_model_that_finds_nothing_is_not_told_of_each_type():
    found = advised(by_split={"validation": NOTHING, "test": NOTHING})
    assert found is not None
    assert len(found.findings) == 1
    assert "it has learned no spans" in found.findings[0]
    assert found.is_serious
    assert found.text(Path("runs/mine")).splitlines() == [
        "What stands out:",
        f"  - {found.findings[0]}",
        "To try next: tf-tokclf fit runs/mine --span-weight 2 --output-dir runs/mine-weight-2",
    ]


def test_a_model_that_stopped_learning_early_needs_a_lower_rate():
    losses, f1 = [1.3, 0.7, 0.62, 0.63, 0.62, 0.62], [0.0] * 6
    settings = {"training__span_weight": 2.0, "optimizer__learning_rate": 2e-4}
    found = advised((losses, f1), {"validation": NOTHING}, **settings)
    assert found is not None
    assert found.findings[0].endswith("The training loss has hardly fallen since epoch 3.")
    assert option_of(found) == ["--learning-rate", "0.0001"]
    falling = advised(([1.3, 0.7, 0.62, 0.6, 0.5, 0.4], f1), {"validation": NOTHING}, **settings)
    assert option_of(falling)[0] == "--num-train-epochs"
    short = advised(([1.3, 0.7, 0.7], f1[:3]), {"validation": NOTHING}, **settings)
    assert option_of(short)[0] == "--num-train-epochs"


def test_a_run_of_a_few_steps_is_not_judged_by_its_scores():
    rising = ([0.9, 0.9], [0.1, 0.3])
    found = advised(rising, {"validation": NOTHING}, n_steps=3, training__max_steps=3)
    assert found is not None
    assert found.text(Path("runs/mine")).splitlines() == [
        "What stands out:",
        "  - The model was trained for only 3 steps. Its scores do not yet show what it can learn. "
        "For a full training, leave out --max-steps.",
    ]
    assert not found.is_serious
    # If the steps are not limited, there is little data, and more epochs help.
    found = advised(rising, {"validation": NOTHING}, n_steps=6, training__num_train_epochs=2)
    assert found is not None
    assert found.findings == ("The model was trained for only 6 steps. Its scores do not yet show what it can learn.",)
    assert option_of(found) == ["--num-train-epochs", "34"]
    # A run with enough steps, and a short one in which nothing stands out.
    assert len(advised(rising, {"validation": NOTHING}, n_steps=20).findings) == 3
    assert advised(n_steps=3) is None


def test_a_run_of_a_few_steps_shows_a_rate_that_is_too_high_and_a_loss_that_is_no_number():
    found = advised(([math.nan], [0.0]), n_steps=3, optimizer__learning_rate=0.5, training__max_steps=3)
    assert found is not None
    assert [finding.split()[:3] for finding in found.findings] == [
        *(["The", "learning", "rate"], ["The", "training", "loss"], ["The", "model", "was"])
    ]
    assert found.is_serious


def test_the_command_names_the_program_as_it_was_started(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["/opt/some where/tf-tokclf"])
    assert (Advice(("found",), "--max-steps 4").command(Path("a")) or "").startswith(
        "'/opt/some where/tf-tokclf' fit a "
    )


def test_notebooks_show_the_advice_in_html():
    html = Advice(("a < b",), "--max-steps 4").to_html(Path("runs/a"))
    assert "<li>a &lt; b</li>" in html
    assert "<code>tf-tokclf fit runs/a --max-steps 4 --output-dir runs/a-steps-4</code>" in html
    assert "To try next" not in Advice(("found",), None).to_html(Path("runs/a"))


def test_without_gold_spans_nothing_can_be_found():
    assert advised(by_split={"validation": scores(("O", "O"))}) is None


@pytest.mark.parametrize("folder", [".", "..", "-x", "/"])
def test_the_command_names_a_new_folder_next_to_any_run(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here = tmp_path / "above" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    _, _, run, *_, there = shlex.split(Advice(("found",), "--max-steps 4").command(Path(folder)))
    assert Path(run).resolve() == Path(folder).resolve()
    assert not run.startswith("-x")
    assert Path(there).resolve().parent == Path(folder).resolve().parent
    assert Path(there).name == f"{Path(folder).resolve().name}-steps-4"


@pytest.mark.parametrize(
    ("whole", "part", "there"),
    [
        ("runs/a", "trials/003", "runs/a-trial-003-steps-4"),
        (".", "trials/003", "../here-trial-003-steps-4"),
        ("runs/a", "shares/0.1-seed-2", "runs/a-share-0.1-seed-2-steps-4"),
        (".", "shares/1-seed-2", "../here-share-1-seed-2-steps-4"),
    ],
)
def test_the_command_after_a_trial_or_a_share_names_a_folder_outside(
    whole: str, part: str, there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    words = shlex.split(Advice(("found",), "--max-steps 4").command(Path(whole, part)))
    assert Path(words[-1]).resolve() == Path(there).resolve()
