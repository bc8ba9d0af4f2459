"""The recipe auto: what it chooses, what wins over it, and that runs keep what it chose."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.encoders import make_bert, make_unigram_tokenizer
from tests.requirements import need_modules
from tf_tokclf import Config, fit, load_config
from tf_tokclf.cli.main import cli
from tf_tokclf.config.loading import with_settings
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.training import recipe
from tf_tokclf.training.plan import plan_run
from tf_tokclf.training.recipe import Encoder, TrainingData, follow, slow_note, wanted_epochs

pytestmark = pytest.mark.usefixtures("untraced")

SMALL = Encoder(width=384, n_layers=6, is_unigram=False, can_decay=True)
SLOW = Encoder(width=384, n_layers=12, is_unigram=True, can_decay=True)
BASE = Encoder(width=768, n_layers=12, is_unigram=False, can_decay=True)
ALBERT = Encoder(width=768, n_layers=12, is_unigram=True, can_decay=False)
SPANS = LabelSet(("O", "B-PER", "I-PER"), Scheme.IOB2)
WORD_CLASSES = LabelSet(("NOUN", "VERB"), Scheme.NONE)


def data_of(n_sentences: int, labels: LabelSet = SPANS) -> TrainingData:
    return TrainingData.of(labels, n_sentences=n_sentences, n_windows=n_sentences, n_pieces=20 * n_sentences)


def chosen(encoder: Encoder, data: TrainingData, **set_: object) -> Config:
    """The settings for this encoder and data, where the settings in `set_` ("section__key") are set explicitly."""
    config, choices = follow(with_settings(Config(), {k.replace("__", "."): v for k, v in set_.items()}), encoder, data)
    assert config.recipe == "none"
    assert config.left_to_recipe == ()
    # Every choice has a reason.
    assert all(re.fullmatch(r"[^:]+: [^:]+", choice.text) for choice in choices if choice.text)
    return config


def rates(config: Config) -> tuple[float, float, float]:
    return config.optimizer.learning_rate, config.optimizer.layer_decay, config.optimizer.warmup_ratio


def test_rates_follow_from_the_width_of_the_encoder():
    for size, narrowest in zip(recipe.SIZES, [1, *(int(size.width) + 1 for size in recipe.SIZES[:-1])]):
        for width in (narrowest, min(size.width, 5000)):
            encoder = Encoder(width=int(width), n_layers=6, is_unigram=False, can_decay=True)
            expected = (size.learning_rate, size.layer_decay, size.warmup_ratio)
            assert rates(chosen(encoder, data_of(600))) == expected
    falling = [size.learning_rate for size in recipe.SIZES]
    assert falling == sorted(falling, reverse=True)


def test_the_documentation_has_the_numbers_of_the_rule():
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "recipes.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "(" in line]
    for size in (*recipe.SIZES, recipe.SLOW):
        shown = [f"{size.layer_decay:g}", f"{size.one_rate:.0e}".replace("e-0", "e-"), f"{size.warmup_ratio or 'none'}"]
        assert [f"{size.learning_rate:.0e}".replace("e-0", "e-"), *shown] in [row[1:] for row in rows]
    text = " ".join(page.split())
    assert (
        f"about {recipe.N_STEPS:,} steps, but at least {recipe.FEWEST_EPOCHS} and at most {recipe.MOST_EPOCHS}" in text
    )
    assert f"{recipe.BATCH_SIZE} windows; {recipe.SMALL_BATCH_SIZE} with fewer than {recipe.FEW_SENTENCES}" in text
    assert f"span weight | {recipe.SPAN_WEIGHT:g} if" in text
    assert (recipe.SLOW_FACTOR, recipe.LOW_RATE) == (2, 1 / 3)  # "doubles the epochs", "below a third"


def test_an_encoder_whose_layers_are_not_numbered_gets_one_rate():
    config = chosen(ALBERT, data_of(600))
    assert rates(config)[:2] == (ALBERT.size.one_rate, 1.0)
    assert rates(chosen(BASE, data_of(600), optimizer__layer_decay=1.0))[:2] == (BASE.size.one_rate, 1.0)


def test_an_encoder_that_learns_slowly_gets_one_rate():
    assert rates(chosen(SLOW, data_of(600))) == (recipe.SLOW.learning_rate, 1.0, recipe.SLOW.warmup_ratio)


def test_a_low_rate_that_is_set_is_that_of_all_layers():
    assert rates(chosen(SMALL, data_of(600), optimizer__learning_rate=5e-5))[:2] == (5e-5, 1.0)
    assert rates(chosen(SMALL, data_of(600), optimizer__learning_rate=5e-4))[:2] == (5e-4, SMALL.size.layer_decay)


@pytest.mark.parametrize("n_sentences", [30, 300, 600, 2_000, 5_000, 14_000, 1_000_000])
def test_the_epochs_make_about_a_thousand_steps(n_sentences: int):
    training = chosen(SMALL, data_of(n_sentences)).training
    size = training.per_device_train_batch_size
    assert size == (recipe.SMALL_BATCH_SIZE if n_sentences < recipe.FEW_SENTENCES else recipe.BATCH_SIZE)
    n_epochs = training.num_train_epochs
    assert recipe.FEWEST_EPOCHS <= n_epochs <= recipe.MOST_EPOCHS
    if recipe.FEWEST_EPOCHS < n_epochs < recipe.MOST_EPOCHS:
        per_epoch = n_sentences / size
        assert abs(n_epochs * per_epoch - recipe.N_STEPS) <= per_epoch / 2


def test_the_epochs_follow_the_batches_that_are_set():
    n_epochs = {
        name: chosen(SMALL, data_of(4_000), **set_).training.num_train_epochs
        for name, set_ in {
            "windows": {"training__per_device_train_batch_size": 32},
            "tokens": {"training__max_pieces_per_batch": 32 * 20},
            "accumulated": {"training__gradient_accumulation_steps": 2},
        }.items()
    }
    assert set(n_epochs.values()) == {round(recipe.N_STEPS / (4_000 / 32))}


def test_loss_and_decoding_follow_from_the_labels():
    spans, word_classes = chosen(SMALL, data_of(600)), chosen(SMALL, data_of(600, WORD_CLASSES))
    assert (spans.training.span_weight, spans.evaluation.decoding) == (recipe.SPAN_WEIGHT, "viterbi")
    assert (word_classes.training.span_weight, word_classes.evaluation.decoding) == (1.0, "argmax")


def test_everything_that_is_set_wins():
    set_ = {
        "optimizer.learning_rate": 5e-5,
        "optimizer.layer_decay": 1.0,
        "optimizer.warmup_ratio": 0.3,
        "training.num_train_epochs": 3,
        "training.per_device_train_batch_size": 16,
        "training.span_weight": 1.0,
        "evaluation.decoding": "argmax",
    }
    assert set(set_) == set(Config().left_to_recipe)
    for name, value in set_.items():
        config, choices = follow(with_settings(Config(), {name: value}), SLOW, data_of(100))
        section, key = name.split(".")
        assert getattr(getattr(config, section), key) == value
        assert not any(name in choice.values for choice in choices)
    assert follow(with_settings(Config(), set_), SLOW, data_of(100)) == (
        with_settings(Config(), {**set_, "recipe": "none"}),
        (),
    )


def test_steps_that_are_set_win_too():
    config = chosen(BASE, data_of(100), training__max_steps=70, optimizer__warmup_steps=0)
    assert config.training.num_train_epochs == Config().training.num_train_epochs
    assert config.optimizer.warmup_ratio == 0 < BASE.size.warmup_ratio
    assert chosen(BASE, data_of(100), optimizer__lr_scheduler_type="constant").optimizer.warmup_ratio == 0
    note = slow_note(chosen(SLOW, data_of(100), training__max_steps=70), SLOW, data_of(100))
    assert note is not None
    assert "--num-train-epochs" not in note


@pytest.mark.parametrize("name", ["none", "best", None])
def test_other_recipes_choose_nothing(name: str | None):
    config = Config(recipe=name)
    assert follow(config, SLOW, data_of(100)) == (config, ())


def test_a_slow_encoder_gets_more_epochs_and_a_note():
    data = data_of(600)
    epochs = chosen(SLOW, data).training.num_train_epochs
    assert epochs == recipe.SLOW_FACTOR * chosen(SMALL, data).training.num_train_epochs
    note = slow_note(chosen(SLOW, data), SLOW, data)
    assert note is not None
    assert "learn slowly" in note
    texts = [choice.text for choice in follow(Config(), SLOW, data)[1]]
    assert "40 epochs: twice the usual 20, because this encoder probably learns slowly" in texts
    few = with_settings(Config(recipe="none"), {"training.num_train_epochs": 3})
    asked = slow_note(few, SLOW, data)
    assert asked is not None
    assert f"--num-train-epochs {wanted_epochs(few, SLOW, data)}" in asked
    assert [slow_note(few, encoder, data) for encoder in (SMALL, BASE, ALBERT)] == [None] * 3


def test_what_an_encoder_is_follows_from_its_files(tiny_bert: Path):
    config = json.loads((tiny_bert / "config.json").read_text(encoding="utf-8"))
    assert Encoder.of(config, load_tokenizer(tiny_bert)) == Encoder(32, 2, is_unigram=False, can_decay=True)
    words = make_unigram_tokenizer(["ada", "visited", "oslo", "grace"] * 5)
    e5 = {"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 12}
    assert Encoder.of(e5, words) == SLOW
    distilbert = {"model_type": "distilbert", "dim": 768, "n_layers": 6, "hidden_dim": 3072}
    assert Encoder.of(distilbert, words) == Encoder(768, 6, is_unigram=True, can_decay=True)
    assert not Encoder.of({"model_type": "albert", "hidden_size": 768}, words).can_decay
    assert not Encoder.of({"model_type": "somebodys-own"}, words).can_decay
    assert Encoder.of({"model_type": "somebodys-own"}, words).size == BASE.size


def command(*args: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, args)))


@pytest.fixture(scope="module")
def args(conll_files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command that leaves everything to the rule: 32 sentences."""
    encoder = make_bert(tmp_path_factory.mktemp("recipe") / "bert", num_hidden_layers=1)
    files = [f"--{key.replace('_', '-')}={path}" for key, path in conll_files.items()]
    return ["fit", *files, f"--model-name-or-path={encoder}", "--precision=float32", "--report-to=none"]


@pytest.fixture
def quick_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that trains 2 epochs."""
    monkeypatch.setattr(recipe, "FEWEST_EPOCHS", 2)
    monkeypatch.setattr(recipe, "MOST_EPOCHS", 2)


@pytest.fixture
def another_rule(quick_rule: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Changes the rule, as a later version could."""

    def change() -> None:
        monkeypatch.setattr(recipe, "MOST_EPOCHS", 3)
        monkeypatch.setattr(recipe, "FEWEST_EPOCHS", 3)
        monkeypatch.setattr(recipe, "SPAN_WEIGHT", 5.0)

    return change


SIZE = recipe.SIZES[0]
EXPECTED = {
    "optimizer": {
        "learning_rate": SIZE.learning_rate,
        "layer_decay": SIZE.layer_decay,
        "warmup_ratio": SIZE.warmup_ratio,
    },
    "training": {
        "num_train_epochs": 2,
        "per_device_train_batch_size": recipe.SMALL_BATCH_SIZE,
        "span_weight": recipe.SPAN_WEIGHT,
    },
    "evaluation": {"decoding": "viterbi"},
}


def saved(folder: Path) -> dict:
    """The settings of the recipe in the configuration of a run."""
    tree = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert tree["recipe"] == "none"
    return {section: {key: tree[section][key] for key in keys} for section, keys in EXPECTED.items()}


def test_the_plan_says_what_was_chosen_and_why(args: list[str], tmp_path: Path):
    done = command(*args, f"--output-dir={tmp_path / 'run'}", "--span-weight=3", "--dry-run")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    rate, decay, n_epochs = SIZE.learning_rate, SIZE.layer_decay, recipe.MOST_EPOCHS
    assert f"recipe auto: chosen from the encoder and the data learning rate {rate:g}, layer decay {decay:g}, " in said
    assert ": the hidden size is 32, and small encoders need higher rates" in said
    assert f"windows per batch: with fewer than {recipe.FEW_SENTENCES} training sentences" in said
    assert f"{n_epochs} epochs: the most that the rule uses (1,000 steps would need 250)" in said
    assert "decoding viterbi: the labels have a scheme" in said
    assert "span weight" not in said
    n_steps = 32 // recipe.SMALL_BATCH_SIZE
    assert f"({n_epochs} epochs of {n_steps} steps)" in said
    without = command(*args, f"--output-dir={tmp_path / 'run'}", "--recipe=none", "--dry-run")
    assert re.search("^recipe +none: fixed values", without.stdout, re.MULTILINE)
    best = command(*args, f"--output-dir={tmp_path / 'run'}", "--recipe=best", "--dry-run")
    assert re.search("^recipe +best: fixed learning rate", best.stdout, re.MULTILINE)
    assert "(3 epochs of 2 steps)" in without.stdout
    assert "5e-05, no warm-up" in without.stdout


def test_a_run_saves_what_was_chosen_and_keeps_it(args: list[str], tmp_path: Path, another_rule: Callable[[], None]):
    here = f"--output-dir={tmp_path / 'run'}"
    done = command(*args, here)
    assert done.exit_code == 0, done.output
    assert saved(tmp_path / "run") == EXPECTED
    model = json.loads((tmp_path / "run" / "model" / "tf_tokclf.json").read_text(encoding="utf-8"))
    assert model["decoding"] == "viterbi"
    card = (tmp_path / "run" / "model" / "README.md").read_text(encoding="utf-8")
    assert f"learning rate {SIZE.learning_rate:g}" in card
    another_rule()
    again = command(*args, here, "--resume")
    assert again.exit_code == 0, again.output
    assert "the run is finished, and its files are intact" in " ".join(again.stderr.split())
    other = command(*args, here, "--resume", "--learning-rate=3e-3")
    assert other.exit_code == 2
    assert f"changed: optimizer.learning_rate (was {SIZE.learning_rate}, is 0.003)" in " ".join(other.stderr.split())
    elsewhere = load_config(tmp_path / "run" / "config.yaml", options={"output_dir": str(tmp_path / "copy")})
    assert plan_run(elsewhere).config.training.num_train_epochs == 2


def test_a_stopped_run_goes_on_with_what_was_chosen(args: list[str], tmp_path: Path, another_rule: Callable[[], None]):
    """It was stopped after its first epoch, and its configuration is lost."""
    run = tmp_path / "run"
    options = [*args, f"--output-dir={run}", "--keep-checkpoints=2"]
    assert command(*options).exit_code == 0
    (run / "finished.json").unlink()
    (run / "results.json").unlink()
    (run / "config.yaml").unlink()
    last = max((run / "checkpoints").iterdir())
    assert last.name.startswith("epoch-0002")
    for path in last.iterdir():
        path.unlink()
    last.rmdir()
    another_rule()
    done = command(*options, "--resume")
    assert done.exit_code == 0, done.output
    assert "continuing from the end of epoch 1" in done.stderr
    assert saved(run) == EXPECTED


def test_a_run_of_an_earlier_version_goes_on_with_its_own_values(args: list[str], tmp_path: Path):
    run = tmp_path / "run"
    options = [*args, f"--output-dir={run}"]
    done = command(*options, "--recipe=none")
    assert done.exit_code == 0, done.output
    config = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(config.replace("recipe: none\n", ""), encoding="utf-8")
    for again in (options, ["fit", run]):
        done = command(*again, "--resume")
        assert done.exit_code == 0, done.output
        assert "the run is finished" in done.stderr
    assert len((run / "history.jsonl").read_text(encoding="utf-8").splitlines()) == 3


def test_checkpoints_elsewhere_bring_what_was_chosen_for_them(
    args: list[str], tmp_path: Path, another_rule: Callable[[], None]
):
    assert command(*args, f"--output-dir={tmp_path / 'first'}", "--keep-checkpoints=1").exit_code == 0
    another_rule()
    done = command(*args, f"--output-dir={tmp_path / 'second'}", f"--resume-from-checkpoint={tmp_path / 'first'}")
    assert done.exit_code == 0, done.output
    assert saved(tmp_path / "second") == EXPECTED


def test_all_seeds_share_what_was_chosen(args: list[str], tmp_path: Path, another_rule: Callable[[], None]):
    run = tmp_path / "run"
    options = [*args, f"--output-dir={run}", "--seeds=1,2"]
    done = command(*options)
    assert done.exit_code == 0, done.output
    assert [saved(folder) for folder in (run, run / "seed-1", run / "seed-2")] == [EXPECTED] * 3
    another_rule()
    again = command(*options, "--resume")
    assert again.exit_code == 0, again.output
    assert again.stdout == done.stdout
    more = command(*args, f"--output-dir={run}", "--seeds=1,2,3", "--resume")
    assert more.exit_code == 0, more.output
    assert saved(run / "seed-3") == EXPECTED


def test_swept_values_win_and_trials_keep_what_was_chosen(
    args: list[str], tmp_path: Path, another_rule: Callable[[], None]
):
    need_modules("optuna", extra="sweep")
    run = tmp_path / "run"
    swept = ["--sweep=training.span_weight=1,3", "--learning-rate=2e-3"]
    options = [*args, f"--output-dir={run}", *swept]
    done = command(*options)
    assert done.exit_code == 0, done.output
    expected = {**EXPECTED, "optimizer": {**EXPECTED["optimizer"], "learning_rate": 2e-3}}
    for name, weight in (("000", 1.0), ("001", 3.0)):
        assert saved(run / "trials" / name) == {**expected, "training": {**EXPECTED["training"], "span_weight": weight}}
    assert saved(run) in [saved(run / "trials" / name) for name in ("000", "001")]
    another_rule()
    for again in (options, ["fit", run]):
        more = command(*again, "--resume")
        assert more.exit_code == 0, more.output
        assert more.stdout == done.stdout
    other = command(*options, "--resume", "--recipe=none")
    assert other.exit_code == 2
    assert "changed: " in other.stderr


@pytest.mark.usefixtures("quick_rule")
def test_python_gets_the_same_recipe(args: list[str], tmp_path: Path):
    files = SimpleNamespace(**{arg.partition("=")[0][2:].replace("-", "_"): arg.partition("=")[2] for arg in args[1:]})
    config = Config(
        output_dir=str(tmp_path / "run"),
        data={"train_file": files.train_file, "validation_file": files.validation_file},
        model={"name_or_path": files.model_name_or_path},
        training={"precision": "float32", "report_to": ()},
    )
    result = fit(config)
    assert len(result.history) == 2
    assert saved(tmp_path / "run") == EXPECTED


def test_what_init_writes_leaves_the_choice_to_the_recipe(args: list[str], tmp_path: Path):
    files = {arg.partition("=")[0]: arg.partition("=")[2] for arg in args[1:]}
    for amount in ([], ["--minimal"], ["--full"]):
        path = tmp_path / "mine.yaml"
        words = ["--data", files["--train-file"], "--model", files["--model-name-or-path"], *amount]
        assert command("init", *words, "--force", "-o", path).exit_code == 0
        assert load_config(path).left_to_recipe == Config().left_to_recipe
        text = path.read_text(encoding="utf-8")
        assert (
            ("recipe: auto" in text)
            == ("# learning_rate:  # chosen by the recipe" in text)
            == (amount != ["--minimal"])
        )
        # The tiny encoder reads only 64 subword tokens, so the default overlap does not fit.
        done = command("fit", path, "--dry-run", "--overlap=8")
        assert done.exit_code == 0, done.output
        assert f"({recipe.MOST_EPOCHS} epochs of" in done.stdout


def test_config_fill_and_diff_do_not_fix_what_the_recipe_chooses(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("training: {num_train_epochs: 3}\n")
    filled = tmp_path / "filled.yaml"
    filled.write_text(command("config", "fill", path).stdout)
    assert load_config(filled).left_to_recipe == load_config(path).left_to_recipe
    assert command("config", "diff", path).stdout == "training.num_train_epochs: auto -> 3\n"
    said = command("config", "diff", path, filled)
    assert (said.stdout, "No settings differ." in said.stderr) == ("", True)
