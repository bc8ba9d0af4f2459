"""The README.md of an ONNX export: how to run it with onnxruntime, and in other programs."""

from __future__ import annotations

from pathlib import Path

_CARD = """---
pipeline_tag: token-classification
library_name: transformers.js
tags:
- onnx
---

# Token classifier in ONNX format

`agreement.json` compares this export with the original model.
`labels.json` lists the labels in the order of the logits.

With the Python packages onnxruntime and tokenizers, in this folder:

```python
import json, numpy, onnxruntime, tokenizers
words = tokenizers.Tokenizer.from_file("tokenizer.json").encode("Ada lived in London".split(), is_pretokenized=True)
inputs = {{"input_ids": numpy.int64([words.ids]), "attention_mask": numpy.int64([words.attention_mask])}}
logits = onnxruntime.InferenceSession("{model}").run(["logits"], inputs)[0][0]
print(*zip(words.tokens, map(json.load(open("labels.json", encoding="utf-8")).__getitem__, logits.argmax(-1))))
```

In transformers.js: `pipeline('token-classification', 'NAME OF THIS FOLDER', {{ dtype: '{dtype}' }})`.
"""
# What transformers.js calls the files.
_DTYPES = {"model.onnx": "fp32", "model_fp16.onnx": "fp16", "model_quantized.onnx": "q8", "model_q4.onnx": "q4"}


def write_card(folder: Path, model: str) -> None:
    """Write README.md to the folder of an ONNX export. model: the ONNX file, relative to the folder."""
    text = _CARD.format(model=model, dtype=_DTYPES[Path(model).name])
    (folder / "README.md").write_text(text, encoding="utf-8")
