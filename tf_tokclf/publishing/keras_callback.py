"""`PushToHubCallback` for Keras, a replacement for the one in transformers that uses HTTP and verifies uploads."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_tokclf.encoding.tokenizers import save_tokenizer
from tf_tokclf.errors import UserError
from tf_tokclf.files import copy_folder
from tf_tokclf.model.backend import keras
from tf_tokclf.model.portable_weights import save_portable_weights
from tf_tokclf.model.saving import save_config
from tf_tokclf.publishing.background_push import Publisher
from tf_tokclf.publishing.card import Card, render
from tf_tokclf.publishing.hub_repository import HubRepository

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STRATEGIES = ("end", "every_save", "checkpoint", "all_checkpoints", "best")


class PushToHubCallback(keras.callbacks.Callback):
    """Saves the model in `output_dir` and pushes it to a repository on the Hub.

    The arguments are those of `transformers.PushToHubCallback`, which this callback replaces:

        callback = PushToHubCallback("my-model", tokenizer=tokenizer, hub_model_id="me/my-model")
        model.fit(train_set, callbacks=[callback])

    Before training, the repository is created and write access is checked. The model is saved after each epoch and
    pushed in the background. Training never waits for the Hub and never fails because of it. At the end the model is
    saved, pushed and verified; if that fails, the JobError contains the command that pushes it.

    Args:
        output_dir: Folder in which the model is saved.
        save_strategy: When to save: "epoch", "steps" (every `save_steps` steps), or "no" (only at the end).
        save_steps: Number of steps between saves.
        tokenizer: Tokenizer to save with the model.
        hub_model_id: Repository, such as "me/my-model". The default is the name of `output_dir`.
        hub_token: Token for the Hub. It is kept in memory only.
        checkpoint: Whether to push the checkpoint that `model.load_repo_checkpoint` needs.
        private: Whether a new repository is private.
        revision: Branch of the repository.
        strategy: Which saves to push. "end": only the last. "every_save": each one, except those that are replaced by a
            newer one while they wait. "checkpoint": the same, with the latest checkpoint. "all_checkpoints": each one
            with its checkpoint. "best": each one that is better by `monitor` than all before it; `output_dir` then
            contains the best.
        monitor: The metric of "best".
        save: Function that writes a model into a folder. The default is `save_portable_model`.
        **card: `language`, `license`, `tags`, `finetuned_from`, `dataset` etc. for the model card.

    Raises:
        UserError: The repository cannot be created or written to.
    """

    def __init__(
        self,
        output_dir: str | Path,
        save_strategy: str = "epoch",
        save_steps: int | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        hub_model_id: str | None = None,
        hub_token: str | None = None,
        checkpoint: bool = False,
        *,
        private: bool = False,
        revision: str | None = None,
        strategy: str | None = None,
        monitor: str = "val_loss",
        save: Callable[[keras.Model, Path], object] | None = None,
        **card: Any,
    ) -> None:
        super().__init__()
        self.save_strategy = str(getattr(save_strategy, "value", save_strategy)).lower()
        self.strategy = strategy or ("checkpoint" if checkpoint else "every_save")
        self._check_arguments(save_steps, checkpoint, card)
        self.output_dir = Path(output_dir)
        self.save_steps = save_steps
        self.tokenizer = tokenizer
        self.monitor = monitor
        self._save = save or (lambda model, folder: save_portable_model(model, folder, tokenizer))
        self._card_arguments = CardArguments(**card)
        repository = HubRepository.prepare(
            hub_model_id or self.output_dir.absolute().name,
            token=hub_token,
            private=private,
            revision=revision,
        )
        self.hub_model_id = repository.repo_id
        self._publisher = Publisher(repository, keep_all=self.strategy == "all_checkpoints")
        self._history: list[dict[str, float]] = []
        self._best: float | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Start the history for the card."""
        self._history = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Save and push every `save_steps` steps."""
        if self.save_strategy == "steps" and self.save_steps and (batch + 1) % self.save_steps == 0:
            self._save_and_push(f"Training in progress, step {batch + 1}", len(self._history), logs or {})

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save and push after the epoch."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        self._history.append({"epoch": epoch + 1, **values})
        if self.save_strategy == "epoch":
            self._save_and_push(f"Training in progress, epoch {epoch + 1}", epoch, values)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Save the model, push it and verify the upload."""
        if self.strategy != "best" or self._best is None:
            self._save_here(self.output_dir)
        else:
            self._write_card(self.output_dir)
        repository = self._publisher.repository
        command = ["tf-tokclf", "push", str(self.output_dir), "--hub-model-id", self.hub_model_id]
        command += [] if repository.revision == "main" else ["--revision", repository.revision]
        self._publisher.finish(self.output_dir, "End of training", command=shlex.join(command))

    def _save_and_push(self, message: str, epoch: int, logs: dict[str, float]) -> None:
        if self.strategy == "end" or (self.strategy == "best" and not self._is_best(logs)):
            return

        def fill(folder: Path) -> None:
            self._save_here(folder)
            copy_folder(folder, self.output_dir)
            if self.strategy in ("checkpoint", "all_checkpoints"):
                name = "checkpoint" if self.strategy == "checkpoint" else f"checkpoints/epoch-{epoch + 1}"
                (folder / name).parent.mkdir(exist_ok=True)
                self.model._save_checkpoint(str(folder / name), epoch)

        self._publisher.offer(fill, message)

    def _save_here(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._save(self.model, folder)
        self._write_card(folder)

    def _write_card(self, folder: Path) -> None:
        card = keras_card(self.model, self.hub_model_id, self._history, self._card_arguments)
        (folder / "README.md").write_text(card, encoding="utf-8")

    def _is_best(self, logs: dict[str, float]) -> bool:
        value = logs.get(self.monitor)
        if value is None:
            known = ", ".join(logs) or "none"
            problem = f"Keras did not report {self.monitor!r}, by which the best model is chosen."
            raise UserError(problem, hint=f"Set monitor to one of the reported values: {known}.")
        value = -value if self.monitor.endswith("loss") else value
        if self._best is not None and value <= self._best:
            return False
        self._best = value
        return True

    def _check_arguments(self, save_steps: int | None, checkpoint: bool, card: dict[str, Any]) -> None:
        if self.save_strategy not in ("no", "epoch", "steps"):
            raise UserError(f"save_strategy is {self.save_strategy!r}.", hint="Choose 'no', 'epoch' or 'steps'.")
        if self.save_strategy == "steps" and (not isinstance(save_steps, int) or save_steps <= 0):
            raise UserError("save_strategy is 'steps' without save_steps.", hint="Set save_steps to a positive number.")
        if self.strategy not in STRATEGIES:
            raise UserError(f"strategy is {self.strategy!r}.", hint=f"Choose one of {', '.join(STRATEGIES)}.")
        if self.save_strategy != "epoch" and (checkpoint or "checkpoint" in self.strategy):
            raise UserError("checkpoints are saved only after epochs.", hint="Set save_strategy to 'epoch'.")
        unknown = sorted(set(card) - set(inspect.signature(CardArguments).parameters))
        if unknown:
            raise TypeError(f"PushToHubCallback got an unexpected keyword argument {unknown[0]!r}")


def save_portable_model(model: keras.Model, folder: Path, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
    """Write a TensorFlow model and its tokenizer so that transformers can load both in TensorFlow and in PyTorch."""
    folder.mkdir(parents=True, exist_ok=True)
    save_config(model, folder)
    save_portable_weights(model, folder / "model.safetensors")
    if tokenizer is not None:
        save_tokenizer(tokenizer, folder)


@dataclass(frozen=True)
class CardArguments:
    """The arguments of the Keras callback for the model card, with the names of transformers' callback."""

    model_name: str | None = None
    language: str | Sequence[str] | None = None
    license: str | None = None
    tags: str | Sequence[str] | None = None
    finetuned_from: str | None = None
    tasks: str | Sequence[str] | None = None
    dataset: str | Sequence[str] | None = None
    dataset_tags: str | Sequence[str] | None = None
    dataset_args: str | Sequence[str] | None = None


def keras_card(model: Any, reference: str, history: Sequence[Mapping[str, float]], arguments: CardArguments) -> str:
    """The card of a model that was trained with Keras, without a run folder."""
    base_model = arguments.finetuned_from or getattr(model.config, "_name_or_path", "") or ""
    labels = model.config.id2label or {}
    optimizer = getattr(model, "optimizer", None)
    settings = optimizer.get_config() if optimizer is not None else {}
    training = [f"optimizer: {type(optimizer).__name__}"] if optimizer is not None else []
    training += [f"{name}: {value}" for name, value in settings.items() if isinstance(value, (int, float))]
    dataset_names, tags = _several(arguments.dataset), _several(arguments.tags)
    card = Card(
        reference=reference,
        base_model=base_model,
        dataset_name=", ".join(dataset_names),
        dataset_id=next(iter(_several(arguments.dataset_tags)), ""),
        labels=tuple(str(name) for name in labels.values()),
        training=tuple(training),
        history=tuple(dict(row) for row in history),
        limits=("tf-tokclf did not evaluate it on a test set. The table above contains the values reported by Keras.",),
        license=arguments.license,
        language=_several(arguments.language),
        tags=(*tags, *_several(arguments.tasks)),
    )
    return render(card)


def _several(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)
