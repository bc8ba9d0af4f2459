"""Label lines of text with this project: python predict_ours.py MODEL TEXT [--engine onnx] [--precision float32]."""

import argparse
import json
import tempfile
import time
from itertools import islice
from pathlib import Path

from peak_memory import peak_mb

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.inference.prediction_job import PredictionJob, predict_to_file
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.records.base import Details
from tf_tokclf.records.output import open_output_format
from tf_tokclf.records.stream import open_records

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("text")
parser.add_argument("--engine", default="auto")
parser.add_argument("--precision", default="float32")
parser.add_argument("--look-ahead", type=int, help="words")
options = parser.parse_args()

tagger = Tagger.load(options.model, engine=options.engine, precision=options.precision)
with Path(options.text).open(encoding="utf-8") as file:
    tagger([line.rstrip("\n") for line in islice(file, 64)])
data = DataConfig(format="text", word_splitting=tagger.info.word_splitting)
stream = open_records(options.text, data)
written = open_output_format("jsonl", stream.format, tagger.labels.scheme, Details())
job = PredictionJob(tagger, stream, written, look_ahead_words=options.look_ahead)
with tempfile.TemporaryDirectory() as folder:
    output = Path(folder) / "out.jsonl"
    begun = time.perf_counter()
    done = predict_to_file(job, output)
    seconds = time.perf_counter() - begun
    peak = peak_mb()
    with output.open(encoding="utf-8") as file:
        n_entities = sum(len(json.loads(line)["spans"]) for line in file)
print(json.dumps({"seconds": seconds, "sentences": done.n_records, "entities": n_entities, "peak_mb": peak}))
