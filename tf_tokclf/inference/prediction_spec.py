"""The arguments of predict as plain values, so that they can be sent to other processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import Config, DataConfig, Task
from tf_tokclf.data.run_settings import inherit, own_settings, run_config
from tf_tokclf.encoding.model_folders import local_model_folder
from tf_tokclf.encoding.weight_files import weight_files
from tf_tokclf.errors import UserError
from tf_tokclf.forward_pass import PassFacts
from tf_tokclf.inference.partial_output import identity_of
from tf_tokclf.inference.prediction_job import PredictionJob, Shard, Watcher
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.records.base import Details
from tf_tokclf.records.output import check_output_format, choose_output_format, keeps_records, open_output_format
from tf_tokclf.records.stream import RecordStream, check_packages, format_by_name, is_rereadable, open_records

# The settings that matter where records are kept as they are and their labels are not read.
_SETTINGS = {
    "text": ("encoding",),
    "conll": ("encoding", "text_column_name", "separator", "header", "comment_prefix"),
    "jsonl": ("encoding", "text_column_name", "offset_unit", "offset_end"),
    "csv": ("encoding", "text_column_name", "sentence_column_name", "separator", "header"),
    "parquet": ("text_column_name",),
}


@dataclass(frozen=True)
class PredictionSpec:
    """A specification of a prediction, independent of its input and output.

    model, loading: the arguments of `Tagger.load`. reading: the settings of `DataConfig` that were given; the others
    are those of the model's run. details: arguments of `Details`; the default offset unit is that of the run.
    word_splitting: None for the rule that is stored with the model. keep_errors: write records that cannot be read with
    their problem. review: the score from which on spans below their threshold are written, marked for review.
    """

    model: str
    loading: Mapping[str, Any]
    reading: Mapping[str, Any]
    details: Mapping[str, Any]
    word_splitting: str | None
    output_format: str | None
    threshold: float | None
    look_ahead: int
    keep_errors: bool
    review: float | None = None

    @property
    def model_folder(self) -> Path:
        """The local folder of the model."""
        return local_model_folder(
            self.model,
            revision=self.loading.get("revision"),
            trust_remote_code=self.loading.get("trust_remote_code", False),
            engine=self.loading.get("engine", "auto"),
            precision=self.loading.get("precision"),
        )

    def from_anywhere(self) -> PredictionSpec:
        """A copy with absolute paths, for processes with another working directory."""
        folder = resolve_reference(self.model)
        return replace(self, model=str(folder.absolute())) if folder.is_dir() else self

    def check_output(self, source: str, output: Path | None) -> None:
        """Raise UserError if the format of `source` cannot be read, or cannot be written as the output format.

        The model is not needed for this.
        """
        given = DataConfig(**self.reading).format
        format = given if given != "auto" else format_by_name(source)
        check_packages(source, given)
        is_folder = resolve_reference(source).is_dir()
        keeps = not is_folder and keeps_records(format)
        check_output_format(self.output_format, output, format, keeps_records=keeps)

    def tagger(self) -> Tagger:
        """Load the model. Raises UserError if it does not support the options."""
        # A single threshold takes the place of the stored ones.
        stored = self.threshold is None and self.loading.get("thresholds", True)
        tagger = Tagger.load(self.model, **{**self.loading, "thresholds": stored})
        if self.threshold is not None and tagger.labels.outside is None:
            problem = "--threshold leaves out spans, but the model's labels form no spans."
            raise UserError(problem, hint="Leave out --threshold.")
        if self.review is None:
            return tagger
        if self.threshold is None and tagger.thresholds is None:
            problem = "--review marks spans below a threshold, but there is none."
            raise UserError(problem, hint="Make thresholds with tf-tokclf thresholds, or pass --threshold.")
        highest = self.threshold
        if highest is None and tagger.thresholds is not None:
            highest = max((one.threshold for one in tagger.thresholds.types.values()), default=0.0)
        if highest is not None and self.review >= highest:
            problem = f"--review {self.review:g}: no span can be marked, because no threshold is above {highest:g}."
            raise UserError(problem, hint="Name a lower score, from which on spans are marked up to their threshold.")
        return tagger.with_review(self.review)

    def open(self, tagger: Tagger, source: str) -> RecordStream:
        """The records of `source`."""
        splitting = self.word_splitting or tagger.info.word_splitting
        given = DataConfig(**{**self.reading, "word_splitting": splitting})
        config = self._run
        data = self._as_in_the_run(source, given, config) if config else given
        return open_records(source, data, task=config.task if config else Task.NER, keep_errors=self.keep_errors)

    @cached_property
    def _run(self) -> Config | None:
        """The configuration of the model's run, if it has one."""
        return run_config(self.model)

    def _as_in_the_run(self, source: str, given: DataConfig, config: Config) -> DataConfig:
        format = given.format if given.format != "auto" else format_by_name(source)

        def fits(data: DataConfig) -> None:
            # Input that can be read only once is not checked.
            if is_rereadable(source):
                open_records(source, data, task=config.task).close()

        names = _SETTINGS.get(format, tuple(DataConfig.model_fields))
        inherited = inherit(given, config, format=format, fits=fits, names=names)
        inherited.say(source)
        return inherited.beside(given)

    def shards(self, tagger: Tagger, source: str, n_shards: int) -> list[Shard]:
        """Divide `source` into `n_shards` shards. It is read to its end."""
        with closing(self.open(tagger, source)) as every:
            sentences = (record.sentence for record in every.records())
            return Shard.all(sentences, n_shards, look_ahead_words=self.look_ahead)

    def format_for(self, stream: RecordStream, output: Path | None) -> str:
        """The output format: the one in the options, else by the name of `output`, else that of the stream."""
        return choose_output_format(self.output_format, output, stream.format)

    def job(
        self,
        tagger: Tagger,
        stream: RecordStream,
        output_format: str,
        *,
        shard: Shard | None = None,
        watcher: Watcher | None = None,
    ) -> PredictionJob:
        """The job that labels the records of a stream. output_format: a result of `format_for`."""
        return PredictionJob(
            tagger,
            stream,
            open_output_format(output_format, stream.format, tagger.labels.scheme, self.output_details()),
            threshold=self.threshold,
            review_from=self.review,
            look_ahead_words=self.look_ahead,
            shard=shard,
            watcher=watcher,
        )

    def output_details(self) -> Details:
        """What the output contains."""
        unit = self._run.data.offset_unit if self._run else "codepoint"
        given = {"offset_unit": unit, **self.details, "review": self.review is not None}
        return Details(**given, model_name=Path(self.model).name)

    def labelled_already(
        self, tagger: Tagger, files: Sequence[str], *, format: str | None = None, with_run: bool = True
    ) -> set[int]:
        """The keys of the sentences in these labelled files, and in the data of the model's run if `with_run`.

        format: of the files; None to detect it. Raises UserError if a file cannot be read.
        """
        # Imported here, because this reads data sets, and prediction does not.
        from tf_tokclf.data.labelled_before import keys_of_file, keys_of_run

        keys = keys_of_run(self._run) if with_run and self._run else set()
        splitting = self.word_splitting or tagger.info.word_splitting
        given = DataConfig(**{"word_splitting": splitting, **({"format": format} if format else {})})
        task = self._run.task if self._run else Task.NER
        return keys.union(*(keys_of_file(file, given, self._run, task=task) for file in files))

    def settings(self, tagger: Tagger) -> dict[str, Any]:
        """The options, by name."""
        return {
            **self.reading,
            "as in the run": own_settings(self._run) if self._run else {},
            **self.details,
            **{name: value for name, value in self.loading.items() if name not in ("engine", "precision")},
            **self._computation(tagger.forward_pass.facts),
            "threshold": self.threshold,
            **({} if self.review is None else {"review": self.review}),
            "look ahead": self.look_ahead,
            "words": self.word_splitting or tagger.info.word_splitting,
        }

    def _computation(self, facts: PassFacts) -> dict[str, Any]:
        """How scores are computed, as far as they depend on it.

        In float32, all libraries compute the same scores from the same weights, so that another one may resume a job.
        """
        if facts.precision == "float32" and weight_files(self.model_folder):
            return {"precision": "float32"}
        return {"precision": f"{facts.precision} ({facts.engine.partition(' ')[0]})", "ONNX file": facts.file_sha256}

    def identity(
        self, tagger: Tagger, stream: RecordStream, output_format: str, shard: Shard | None = None
    ) -> dict[str, Any]:
        """What must be equal for a job to be resumed: model and input by content, settings by value."""
        settings = {**self.settings(tagger), "format": output_format, "input format": stream.format.name}
        settings |= {"shard": shard and [shard.number, shard.n_shards]}
        return identity_of(self.model_folder, stream.place, settings)
