"""Cross-fitting: for each of k folds, train on the other folds, and store what that model says about the fold.

The folder contains `folds.json` with what the folds depend on, and `fold-N.npz` with the probabilities of each finished
fold. The run of an unfinished fold is in `fold-N`, and is removed when its probabilities are stored. So a command that
was stopped or killed continues with the same folder.

Nothing is chosen by the labels of the held-out fold: each model is that of its last epoch.
"""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.config.loading import with_settings
from tf_tokclf.config.schema import Config, DataConfig, HubConfig
from tf_tokclf.data.folds import draw_folds
from tf_tokclf.data.split_cache import content_hash
from tf_tokclf.data.splits import Split, Splits, load_splits
from tf_tokclf.data.write import write_sentences
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.encoding.model_folders import local_model_folder
from tf_tokclf.errors import Stopped, UserError
from tf_tokclf.files import remove, whole_path, write_json
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.backend import keras
from tf_tokclf.run_dir import RunDir
from tf_tokclf.runs.single import fit_single
from tf_tokclf.scoring.label_issues import Judged, known_types
from tf_tokclf.training.run_identity import encoder_hash, settings_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldsDir:
    """The files of cross-fitting. Only this class contains their names. Folds are numbered from 1."""

    root: Path

    @property
    def identity(self) -> Path:
        """What the folds depend on."""
        return self.root / "folds.json"

    def probabilities(self, number: int) -> Path:
        """The probabilities of a finished fold."""
        return self.root / f"fold-{number}.npz"

    def run(self, number: int) -> RunDir:
        """The run of an unfinished fold."""
        return RunDir(self.root / f"fold-{number}")

    def data(self, number: int, name: str) -> Path:
        """The sentences to train on, or those of the fold, as JSON lines."""
        return self.root / f"fold-{number}.{name}.jsonl"

    def files(self) -> Iterator[Path]:
        """Everything that cross-fitting has written."""
        yield self.identity
        yield from self.root.glob("fold-*")


@dataclass(frozen=True)
class CrossFit:
    """The training sentences, the fold of each (from 1), and what the model of the other folds says about it."""

    splits: Splits
    folds: np.ndarray
    judged: tuple[Judged, ...]


def training_data(config: Config) -> Splits:
    """All training sentences of a configuration; none is drawn for other splits. Raises UserError if there are no
    labelled spans in them.
    """
    data = config.data.model_copy(update={"validation_file": None, "test_file": None, "test_fraction": None})
    splits = load_splits(data, task=config.task, draw=False)
    if not splits.trained_labels.types:
        hint = "Name the column of labels with --label-column-name, or check that it is the right file."
        raise UserError("the training data contains no labelled spans.", path=splits["train"].place, hint=hint)
    return splits


def cross_fit(config: Config, splits: Splits, folder: FoldsDir, n_folds: int, *, force: bool = False) -> CrossFit:
    """Train or continue the runs of all folds. Finished folds are kept.

    splits: those of `training_data`. force: remove the folds in `folder` if they belong to other data or settings.
    Raises UserError, without `force`, if they do.
    """
    train = splits["train"]
    folds = draw_folds(train, n_folds, config.data) + 1
    _claim(folder, _identity(config, train, n_folds), force=force)
    sentences = list(train)
    judged: list[Judged | None] = [None] * len(sentences)
    for number in range(1, n_folds + 1):
        if not folder.probabilities(number).is_file():
            log.info("fold %d of %d", number, n_folds)
            _fit_fold(config, folder, number, n_folds, splits, sentences, folds == number)
        else:
            log.info("fold %d of %d is finished", number, n_folds)
        members = np.flatnonzero(folds == number)
        for index, one in zip(members, _stored(folder.probabilities(number), members, sentences, splits)):
            judged[index] = one
    return CrossFit(splits, folds, tuple(one for one in judged if one is not None))


def _identity(config: Config, train: Split, n_folds: int) -> dict[str, Any]:
    encoder = local_model_folder(
        config.model.name_or_path or "",
        revision=config.model.revision,
        trust_remote_code=config.model.trust_remote_code,
    )
    contents = {"data": content_hash(train), "encoder": encoder_hash(encoder)}
    # As JSON, so that they can be compared with the content of the file.
    found: dict[str, Any] = json.loads(json.dumps({"folds": n_folds, **contents, "settings": settings_of(config)}))
    return found


def _claim(folder: FoldsDir, identity: Mapping[str, Any], *, force: bool) -> None:
    """Write the identity into the folder, or check that it is the same as before."""
    if folder.identity.is_file():
        before = None
        with suppress(ValueError):
            before = json.loads(folder.identity.read_text(encoding="utf-8"))
        if before == identity:
            return
        if not force:
            problem = f"contains folds with {_difference(before, identity)}."
            raise UserError(problem, path=folder.root, hint="Name another --output, or replace them with --force.")
        for path in folder.files():
            remove(path)
    elif any(entry.name != RunDir(folder.root).lock.name for entry in folder.root.iterdir()):
        raise UserError("contains other files.", path=folder.root, hint="Name a new or empty folder with --output.")
    write_json(folder.identity, identity)


def _difference(before: Any, now: Mapping[str, Any]) -> str:
    if not isinstance(before, dict) or not isinstance(before.get("settings"), dict):
        return "other settings"
    for name, phrase in (("data", "other data"), ("encoder", "another encoder"), ("folds", "another --folds")):
        if before.get(name) != now[name]:
            return phrase
    settings = now["settings"]
    changed = [name for name in settings if before["settings"].get(name) != settings[name]]
    return f"other settings ({', '.join(changed[:3])})" if changed else "other settings"


def _fit_fold(
    config: Config,
    folder: FoldsDir,
    number: int,
    n_folds: int,
    splits: Splits,
    sentences: Sequence[Sentence],
    is_held_out: np.ndarray,
) -> None:
    """Train on the other folds, and store the probabilities of the held-out one."""
    writing = Writing(config.task, splits.scheme, splits.labels.names)
    parts = {"train": ~is_held_out, "held-out": is_held_out}
    for name, mask in parts.items():
        members = (sentences[i] for i in np.flatnonzero(mask).tolist() if sentences[i].words)
        write_sentences(members, folder.data(number, name), "jsonl", writing, force=True)
    run = folder.run(number)
    own = _fold_config(config, folder, number, splits, writing)
    try:
        fit_single(own, resume=run.config.is_file())
    except Stopped as stopped:
        message = f"stopped in fold {number} of {n_folds}. Run the same command again to continue."
        raise Stopped(message, exit_code=stopped.exit_code) from stopped
    finally:
        # Free the memory of this run before the next one.
        keras.backend.clear_session()
    held_out = [sentences[i] for i in np.flatnonzero(is_held_out).tolist()]
    tagger = Tagger.load(run.model, thresholds=False, engine="tensorflow")
    _store(folder.probabilities(number), tagger, held_out)
    del tagger
    keras.backend.clear_session()
    for path in (run.root, *(folder.data(number, name) for name in parts)):
        remove(path)


def _fold_config(config: Config, folder: FoldsDir, number: int, splits: Splits, writing: Writing) -> Config:
    """The configuration of a fold's run. Its validation set is the held-out fold, which is only scored."""
    data = DataConfig(
        train_file=str(folder.data(number, "train")),
        validation_file=str(folder.data(number, "held-out")),
        format="jsonl",
        text_column_name="tokens",
        label_column_name=writing.label_column,
        scheme=splits.scheme.value,
        label_spelling="keep",
        use_cache=config.data.use_cache,
        cache_size_gb=config.data.cache_size_gb,
    )
    training: dict[str, Any] = {"eval_strategy": "no", "eval_steps": None, "patience": None, "extra_weight": 1.0}
    values = {f"training.{name}": value for name, value in training.items()}
    changed = config.model_copy(update={"data": data, "hub": HubConfig()})
    return with_settings(changed, {**values, "output_dir": str(folder.run(number).root), "overwrite": True})


def _store(path: Path, tagger: Tagger, sentences: Sequence[Sentence]) -> None:
    """Store the labels and the log-probabilities of sentences, completely or not at all."""
    tagged = list(tagger.tag(sentences))
    known = tagger.labels.id_by_label
    width = len(tagger.labels)
    rows = [one.log_probabilities.reshape(-1, width) for one in tagged]
    with whole_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            names=np.array(tagger.labels.names),
            lengths=np.array([len(one.sentence) for one in tagged], np.int64),
            predicted=np.array([known[label] for one in tagged for label in one.labels], np.int64),
            log_probabilities=np.concatenate([np.empty((0, width), np.float32), *rows]).astype(np.float32),
        )


def _stored(path: Path, members: np.ndarray, sentences: Sequence[Sentence], splits: Splits) -> Iterator[Judged]:
    """What is stored about the sentences `members`. Raises UserError if the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = arrays["names"].tolist()
            lengths, predicted, rows = (arrays[name] for name in ("lengths", "predicted", "log_probabilities"))
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path) from error
    wanted = [len(sentences[i]) for i in members]
    if lengths.tolist() != wanted or rows.shape != (sum(wanted), len(names)) or predicted.shape != rows.shape[:1]:
        raise _damaged(path)
    columns = [splits.trained_labels.id_by_label[name] for name in names]
    known = known_types(names, splits.scheme)
    at = 0
    for index, length in zip(members, wanted):
        own = slice(at, at + length)
        probabilities = np.zeros((length, len(splits.trained_labels)))
        probabilities[:, columns] = np.exp(rows[own].astype(np.float64))
        confidence = np.exp(rows[own][np.arange(length), predicted[own]].astype(np.float64))
        labels = tuple(names[i] for i in predicted[own])
        yield Judged(sentences[index], probabilities, labels, confidence, known)
        at += length


def _damaged(path: Path) -> UserError:
    return UserError("is damaged.", path=path, hint="Remove it, and run the same command again.")
