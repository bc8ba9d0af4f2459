"""The option that a user may have meant."""

from __future__ import annotations

from collections.abc import Iterable

from tf_tokclf.similar_names import similar_name

# Lower cutoffs suggest options with another meaning: --task for --tpu-name, --warmup-ratio for --warmup-steps.
_CUTOFF = 0.9

# Names of other tools, which are too short or too different to be found by their spelling. The first option that the
# command has is suggested.
_TRAIN_BATCH, _EVAL_BATCH = "--per-device-train-batch-size", "--per-device-eval-batch-size"
_NAMES_ELSEWHERE: dict[tuple[str, ...], str] = {
    ("--num-train-epochs",): "epochs num-epochs n-epochs max-epochs train-epochs",
    ("--learning-rate",): "lr",
    (_TRAIN_BATCH, _EVAL_BATCH): "batch-size bs",
    (_TRAIN_BATCH,): "train-batch-size",
    (_EVAL_BATCH,): "eval-batch-size",
    ("--model-name-or-path",): "model model-name model-path encoder base-model pretrained-model",
    ("--train-file",): "train train-data train-path training-file",
    ("--validation-file",): "dev dev-file valid valid-file val val-file validation validation-data eval-file",
    ("--test-file", "--file"): "test test-data test-path",
    # evaluate and export read one file.
    ("--file",): "test-file validation-file",
    ("--output-dir", "--output"): "output out out-dir out-file output-file output-path save-dir",
    ("--dataset-name",): "dataset",
    ("--max-seq-length",): "max-len max-seq-len",
    ("--lr-scheduler-type",): "scheduler lr-scheduler",
    ("--gradient-accumulation-steps",): "accumulation-steps grad-accum accumulate-grad-batches",
}


def similar_option(typed: str, known: Iterable[str]) -> str | None:
    """The known option that the user probably meant by `typed`: a misspelling, its beginning, or a name in other tools.

    None if there is no such option.

    >>> similar_option("--learnign_rate", ["--learning-rate"]), similar_option("--hub-private", ["--hub-private-repo"])
    ('--learning-rate', '--hub-private-repo')
    >>> similar_option("--fp32", ["--fp16"]), similar_option("--lr", ["--lr-scheduler-type"])
    (None, None)
    >>> similar_option("--lr", ["--learning-rate", "--lr-scheduler-type"])
    '--learning-rate'
    """
    known = tuple(known)
    name = typed.replace("_", "-")
    elsewhere = (ours for ours, theirs in _NAMES_ELSEWHERE.items() if name.removeprefix("--") in theirs.split())
    for option in (one for ours in elsewhere for one in ours):
        if option in known:
            return option
    same_numbers = {one for one in known if _digits(one) == _digits(name)}
    if near := similar_name(name, same_numbers, cutoff=_CUTOFF):
        return near
    # A single word is too little: --lr is not the beginning of --lr-scheduler-type.
    longer = [one for one in same_numbers if one.startswith(f"{name}-")] if "-" in name.removeprefix("--") else []
    return longer[0] if len(longer) == 1 else None


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())
