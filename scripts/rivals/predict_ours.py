"""This project's prediction over lines of text: python predict_ours.py MODEL TEXT [--precision float32]."""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.record_streams import open_records
from tf_tokclf.inference.predicting import Prediction, predict_to_file
from tf_tokclf.inference.prediction_formats import Details, open_output_format
from tf_tokclf.inference.tagger import Tagger

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("text")
parser.add_argument("--precision", default="float32")
options = parser.parse_args()

tagger = Tagger.load(options.model, precision=options.precision)
with Path(options.text).open(encoding="utf-8") as file:
    tagger([line for _, line in zip(range(64), file)])
data = DataConfig(format="text", word_splitting=tagger.info.word_splitting)
stream = open_records(options.text, data)
job = Prediction(tagger, stream, open_output_format("jsonl", stream.format, tagger.labels.scheme, Details()))
with tempfile.TemporaryDirectory() as folder:
    output = Path(folder) / "out.jsonl"
    begun = time.perf_counter()
    done = predict_to_file(job, output)
    seconds = time.perf_counter() - begun
    with output.open(encoding="utf-8") as file:
        n_entities = sum(len(json.loads(line)["spans"]) for line in file)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "sentences": done.n_records, "entities": n_entities, "peak_mb": peak}))
