"""Find entities in lines of text with a spaCy pipeline: python spacy_ner.py NAME TEXT.

Only the parts that the entity recogniser needs run, in batches, as spaCy's documentation recommends.
"""

import argparse
import json
import time
from pathlib import Path

import spacy
from peak_memory import peak_mb

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("text")
parser.add_argument("--batch-size", type=int, default=256)
options = parser.parse_args()

pipeline = spacy.load(options.name, exclude=["tagger", "parser", "attribute_ruler", "lemmatizer", "senter"])
lines = Path(options.text).read_text(encoding="utf-8").splitlines()
list(pipeline.pipe(lines[:64]))
begun = time.perf_counter()
n_entities = sum(len(text.ents) for text in pipeline.pipe(lines, batch_size=options.batch_size))
seconds = time.perf_counter() - begun
print(json.dumps({"seconds": seconds, "sentences": len(lines), "entities": n_entities, "peak_mb": peak_mb()}))
