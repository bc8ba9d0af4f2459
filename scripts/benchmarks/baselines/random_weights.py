"""Give random weights to a model folder that has a config.json: python random_weights.py FOLDER [--seed 1].

They have PyTorch's layout and no head, like the weights of a pre-trained encoder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from safetensors.numpy import save_file

from tf_tokclf.model.architectures.registry import own_class
from tf_tokclf.model.backend import keras, transformers
from tf_tokclf.model.loading import n_parameters
from tf_tokclf.model.portable_weights import portable_weights

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--seed", type=int, default=1)
options = parser.parse_args()

keras.utils.set_random_seed(options.seed)
config = transformers.AutoConfig.from_pretrained(options.folder)
kind = own_class(config.model_type) or transformers.TF_MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING[type(config)]
model = kind(config)
model.build_in_name_scope()
weights = {name: array for name, array in portable_weights(model).items() if not name.startswith("classifier.")}
# Readers recognise the layout by this entry.
save_file(weights, options.folder / "model.safetensors", metadata={"format": "pt"})
print(json.dumps({"parameters": n_parameters(model)}))
