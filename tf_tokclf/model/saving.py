"""Save a self-contained model folder: weights, configuration, tokenizer and `tf_tokclf.json`."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file
from transformers.dynamic_module_utils import custom_object_save

from tf_tokclf.counted import counted
from tf_tokclf.encoding.model_info import ModelInfo, write_model_info
from tf_tokclf.encoding.tokenizers import save_tokenizer
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.files import whole_folder
from tf_tokclf.model.backend import keras
from tf_tokclf.model.crf import crf_of
from tf_tokclf.model.layout_check import misfits
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.portable_weights import portable_weights, save_portable_weights
from tf_tokclf.model.precision import Precision

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"


def save_model_folder(
    model: keras.Model,
    tokenizer: PreTrainedTokenizerFast,
    info: ModelInfo,
    folder: Path,
    *,
    weights: Path | None = None,
) -> None:
    """Write the classifier to `folder`. An existing folder is replaced when everything is on disk.

    weights: a file with weights that this function wrote, to use instead of the model's own. The CRF is then the one in
    `info`, otherwise that of the model.
    """
    crf = crf_of(model)
    if weights is None and crf is not None:
        info = replace(info, crf=crf.chain())
    with whole_folder(folder) as partial:
        save_config(model, partial)
        if weights is None:
            save_portable_weights(model, partial / WEIGHTS)
        else:
            shutil.copyfile(weights, partial / WEIGHTS)
        save_tokenizer(tokenizer, partial)
        write_model_info(partial, info)


def check_saved(folder: Path, *, encoder: Path | None = None, trust_remote_code: bool = False) -> None:
    """Load `folder` again and compare every weight with the file. Raises JobError for the first difference.

    encoder: the folder from which the model was loaded. If its file has PyTorch's layout, and names or shapes in
    `folder` differ from it, PyTorch may not read the model. This is a warning.
    """
    precision = Precision("float32", "as saved")
    loaded = portable_weights(load_classifier(folder, precision=precision, trust_remote_code=trust_remote_code))
    for name, array in load_file(folder / WEIGHTS).items():
        if name not in loaded or not np.array_equal(array, loaded[name]):
            raise JobError(f"{folder}: the weight {name} differs after loading the saved file. Do not use this folder.")
    if encoder is not None:
        _warn_of_misfits(folder, encoder)


def _warn_of_misfits(folder: Path, encoder: Path) -> None:
    try:
        names = misfits(folder, encoder)
    except UserError as error:  # the encoder's files may have been removed during the training
        log.warning("%s: not compared with the files of the encoder. %s", folder, error)
        return
    if names:
        problem = f"{counted(len(names), 'weight')}, such as {names[0]},"
        log.warning(
            "%s: %s differ in name or shape from those of the encoder. PyTorch may not be able to load the model.",
            folder,
            problem,
        )


def save_config(model: keras.Model, folder: Path) -> None:
    """Write config.json, with the name of the PyTorch class, so that transformers finds it too.

    The code of a model with its own, trusted code is saved with it.
    """
    config = model.config
    config.architectures = [type(model).__name__.removeprefix("TF")]
    if getattr(model, "_auto_class", None) is not None:
        custom_object_save(model, folder, config=config)
    config.save_pretrained(folder)
