"""From a model reference (Hub id, folder, `package:NAME/PATH`) to a local folder with configuration and weights."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from tf_tokclf.config.references import is_package_reference, resolve_reference
from tf_tokclf.errors import UserError

log = logging.getLogger(__name__)

# In the order of preference; what they share is that TF classes read them without torch.
READABLE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "tf_model.h5")
TORCH_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json")
TOKENIZER_AND_CONFIG = ["*.json", "*.txt", "*.model"]


def local_model_folder(reference: str, *, revision: str | None = None, weights: bool = True) -> Path:
    """The folder that `reference` stands for; what is on the Hub is downloaded first (weights only when asked for).

    Raises UserError when there is no such model or its weights are in a format that cannot be read without torch.
    """
    folder = Path(resolve_reference(reference))
    if not folder.is_dir():
        if is_package_reference(reference) or not looks_like_hub_id(reference):
            raise UserError(
                f"there is no model folder {reference}.", hint="Give a folder, a Hub id or package:NAME/PATH."
            )
        folder = _download(reference, revision, weights=weights)
    # A run's folder stands for the model in it.
    if not (folder / "config.json").is_file() and (folder / "model" / "config.json").is_file():
        folder = folder / "model"
    if not (folder / "config.json").is_file():
        raise UserError(f"{reference} has no config.json.", hint="A model folder needs one; was training finished?")
    if weights:
        _check_weights(folder, reference)
    return folder


def looks_like_hub_id(reference: str) -> bool:
    """NAME or ORG/NAME, as the Hub spells them.

    >>> looks_like_hub_id("distilbert-base-cased"), looks_like_hub_id("./runs/mine/model")
    (True, False)
    """
    parts = reference.split("/")
    return len(parts) <= 2 and all(part and part[0].isalnum() for part in parts)


def public_name(reference: str) -> str:
    """A model reference as strangers may see it: of a local folder only its name.

    >>> public_name("/home/ada/bert"), public_name("bert-base-cased"), public_name("package:encoders/bert")
    ('bert', 'bert-base-cased', 'package:encoders/bert')
    """
    if is_package_reference(reference) or (looks_like_hub_id(reference) and not Path(reference).exists()):
        return reference
    return Path(reference).resolve().name


def model_config(folder: Path) -> dict[str, Any]:
    """The plain values of a model folder's config.json."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"not valid JSON: {error}.", path=path, hint="Fetch or save the model again.") from error
    if not isinstance(config, dict):
        raise UserError("a model's configuration is a mapping.", path=path, hint="Fetch or save the model again.")
    return config


def _check_weights(folder: Path, reference: str) -> None:
    if any((folder / name).is_file() for name in READABLE_WEIGHTS):
        return
    if any((folder / name).is_file() for name in TORCH_WEIGHTS):
        raise UserError(
            f"{reference} only has pytorch_model.bin, a pickle that needs torch to read.",
            hint="Convert it once where torch is installed: AutoModel.from_pretrained(X).save_pretrained(Y), "
            "which writes model.safetensors; then give the folder Y. Many models have a revision with safetensors.",
        )
    raise UserError(f"{reference} has no weights.", hint=f"Expected one of {', '.join(READABLE_WEIGHTS)}.")


def _download(repo_id: str, revision: str | None, *, weights: bool) -> Path:
    from huggingface_hub import snapshot_download

    from tf_tokclf.data.hub_errors import hub_errors

    def fetch(patterns: list[str]) -> Path:
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]))

    with hub_errors(f"model {repo_id}"):
        folder = fetch([*TOKENIZER_AND_CONFIG, "*.safetensors"] if weights else TOKENIZER_AND_CONFIG)
        if weights and not any(folder.glob("*.safetensors")):
            folder = fetch(["tf_model.h5"])
        if weights and not any((folder / name).is_file() for name in READABLE_WEIGHTS):
            _note_torch_weights(folder, repo_id, revision)
    return folder


def _note_torch_weights(folder: Path, repo_id: str, revision: str | None) -> None:
    """Raise the refusal for repositories that hold nothing but torch's pickles, without downloading those."""
    from huggingface_hub import HfApi

    files = HfApi().list_repo_files(repo_id, revision=revision)
    found = [name for name in TORCH_WEIGHTS if name in files]
    if found:
        raise UserError(
            f"{repo_id} only has {found[0]}, a pickle that needs torch to read.",
            hint="Look for a revision with safetensors (the Hub's own conversion is often refs/pr/N: give it as "
            "--model-revision), or convert it once where torch is installed with save_pretrained.",
        )
