"""The same jobs as the commands', as functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tf_tokclf.config.loading import load_config
from tf_tokclf.config.schema import Config, DataConfig
from tf_tokclf.data.model_info import ModelInfo
from tf_tokclf.data.splits import Splits, load_splits
from tf_tokclf.errors import UserError
from tf_tokclf.inference.evaluating import evaluate_sentences
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.error_analysis import ErrorAnalyst, training_of
from tf_tokclf.scoring.evaluation import Evaluation


def load(reference: str | Path, **options: Any) -> Tagger:
    """The classifier in a run, a model folder, on the Hub, or in an installed package (package:NAME/PATH).

    options: those of `Tagger.load`.
    """
    return Tagger.load(reference, **options)


def evaluate(
    reference: str | Path,
    *,
    split: str = "test",
    data: DataConfig | None = None,
    mode: Literal["conlleval", "strict"] = "conlleval",
    predictions: Path | None = None,
    errors: bool = False,
    **options: Any,
) -> Evaluation:
    """Score a model on labelled data, word by word.

    reference: as for `load`. data: where `split` is; by default the data of the run that `reference` is. predictions:
    a file to write words, labels and scores to. errors: analyse them as well. options: those of `Tagger.load`.
    """
    if data is None:
        own_config(reference)  # before the model is loaded
    tagger = Tagger.load(reference, **options)
    splits = labelled_splits(reference, split, data, tagger.info)
    analyst = None
    if errors:
        training = training_of(splits.train, splits.scheme) if splits.train else None
        analyst = ErrorAnalyst(splits.scheme, mode, training)
    return evaluate_sentences(
        tagger,
        splits[split],
        mode=mode,
        scheme=splits.scheme,
        predictions=predictions,
        analyst=analyst,
        n_repaired=splits.repairs.get(split, 0),
    )


def labelled_splits(reference: str | Path, split: str, data: DataConfig | None, info: ModelInfo) -> Splits:
    """The data with the split to score on: `data`, or that of the run that `reference` is.

    info: the model's, by whose rule texts fall into words unless `data` names one.
    """
    config = Config(data=with_word_rule(data, info)) if data else own_config(reference)
    seed, cut = config.training.seed, split != "test"
    return load_splits(config.data, task=config.task, seed=seed, required=(split,), cut_validation=cut)


def own_config(reference: str | Path) -> Config:
    """The configuration of the run that `reference` is. Raises UserError where it is none."""
    run = run_of(reference)
    if run is None:
        raise UserError(
            f"{reference} is no run, so it does not say what to score on.", hint="Name a file with --file."
        )
    return load_config(run.config)


def with_word_rule(data: DataConfig, info: ModelInfo) -> DataConfig:
    """`data` with the model's rule by which texts fall into words, unless it names one itself."""
    given = "word_splitting" in data.model_fields_set
    return data if given else data.model_copy(update={"word_splitting": info.word_splitting})


def run_of(reference: str | Path) -> RunDir | None:
    """The run that `reference` names, by its folder or its model folder; None for models without a run."""
    for folder in (Path(reference), Path(reference).parent):
        run = RunDir(folder)
        if run.config.is_file() and (run.model / "config.json").is_file() and Path(reference) in (folder, run.model):
            return run
    return None
