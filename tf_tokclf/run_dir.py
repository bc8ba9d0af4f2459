"""The names of the files in a run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunDir:
    """The folder of a run. Only this class contains the names of its files."""

    root: Path

    @classmethod
    def of(cls, output_dir: str | None) -> RunDir:
        """The output folder of a configuration, by default the current folder."""
        return cls(Path(output_dir or "."))

    @property
    def config(self) -> Path:
        """The settings that the user chose in the configuration file and by options."""
        return self.root / "config.yaml"

    @property
    def model(self) -> Path:
        """The model folder, complete in itself: best weights, tokenizer, model card and `tf_tokclf.json`."""
        return self.root / "model"

    @property
    def restored_model(self) -> Path:
        """A temporary model folder from which damaged files are restored."""
        return self.root / "model.restored"

    @property
    def checkpoints(self) -> Path:
        """The checkpoints that `--resume` continues from."""
        return self.root / "checkpoints"

    @property
    def finished(self) -> Path:
        """The settings and inputs of a finished run, and the checksums of its files."""
        return self.root / "finished.json"

    @property
    def history(self) -> Path:
        """One JSON line per epoch."""
        return self.root / "history.jsonl"

    @property
    def history_table(self) -> Path:
        """The history as a CSV table, if `report_to` includes csv."""
        return self.root / "history.csv"

    @property
    def logs(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "logs"

    @property
    def results(self) -> Path:
        """The scores of each split, and everything that they depend on."""
        return self.root / "results.json"

    @property
    def validation_cut(self) -> Path:
        """The training sentences that became the validation and the test split, if the data has none."""
        return self.root / "validation_cut.json"

    @property
    def report(self) -> Path:
        """The report, a single HTML file."""
        return self.root / "report.html"

    @property
    def predictions(self) -> Path:
        """The folder with the predictions for each split."""
        return self.root / "predictions"

    @property
    def seeds(self) -> Path:
        """The scores of the runs of several seeds, of which this folder contains the median one."""
        return self.root / "seeds.json"

    def of_seed(self, seed: int) -> RunDir:
        """The run of one of several seeds."""
        return RunDir(self.root / f"seed-{seed}")

    @property
    def seeds_with_folder(self) -> tuple[int, ...]:
        """The seeds that have a run in this folder, in ascending order."""
        numbers = (path.name.removeprefix("seed-") for path in self.root.glob("seed-*") if path.is_dir())
        return tuple(sorted(int(number) for number in numbers if number.isdecimal()))

    @property
    def sweep(self) -> Path:
        """Settings and scores of the trials of a sweep, of which this folder contains the best one."""
        return self.root / "sweep.json"

    @property
    def sweep_storage(self) -> Path:
        """Optuna's database of a sweep."""
        return self.root / "sweep.db"

    @property
    def trials(self) -> Path:
        """The folder of the runs of a sweep."""
        return self.root / "trials"

    def of_trial(self, name: str) -> RunDir:
        """The run of one trial of a sweep."""
        return RunDir(self.trials / name)

    @property
    def trials_with_config(self) -> tuple[str, ...]:
        """The names of the trials of a sweep that were started, in order."""
        configs = self.trials.glob(f"*/{self.config.name}")
        return tuple(sorted(path.parent.name for path in configs if path.parent.name.isdecimal()))

    @property
    def learning_curve(self) -> Path:
        """The scores of runs on shares of the training data, of which this folder contains one on the largest share."""
        return self.root / "learning_curve.json"

    @property
    def learning_curve_picture(self) -> Path:
        """The picture of the same."""
        return self.root / "learning_curve.svg"

    @property
    def shares(self) -> Path:
        """The folder of the runs of a learning curve."""
        return self.root / "shares"

    def of_share(self, share: float, seed: int) -> RunDir:
        """The run on a share of the training data with one of the seeds."""
        return RunDir(self.shares / f"{share:.15g}-seed-{seed}")

    @property
    def folders_of_runs(self) -> tuple[Path, ...]:
        """The folders whose entries are folders of other runs."""
        return self.trials, self.shares

    @property
    def temporary(self) -> tuple[Path, ...]:
        """Temporary files of a run, besides the lock and the `.partial` files."""
        # SQLite would restore the content of the journal into the next database of that name.
        return self.restored_model, self.sweep_storage.with_name(f"{self.sweep_storage.name}-journal")

    @property
    def lock(self) -> Path:
        """The lock file, which exists while a run is writing in this folder."""
        return self.root / ".lock"

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that a run writes."""
        return (
            self.config,
            self.validation_cut,
            self.model,
            self.checkpoints,
            self.finished,
            self.history,
            self.history_table,
            self.logs,
            self.results,
            self.predictions,
            self.report,
            self.seeds,
            self.sweep,
            self.sweep_storage,
            self.trials,
            self.learning_curve,
            self.learning_curve_picture,
            self.shares,
        )

    @property
    def folders(self) -> tuple[Path, ...]:
        """Those of `files` that are folders."""
        return self.model, self.checkpoints, self.logs, self.predictions, *self.folders_of_runs

    def predictions_for(self, split: str) -> Path:
        """Words, gold and predicted labels, and scores of one split, one JSON line per sentence."""
        return self.predictions / f"{split}.jsonl"
