"""The scores of the saved model, and results.json."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from tf_tokclf.data.splits import Split
from tf_tokclf.files import open_whole, write_json
from tf_tokclf.inference.evaluate import evaluate_sentences
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.training.advice import Advice
from tf_tokclf.training.history import EpochRecord, best_epoch
from tf_tokclf.training.plan import RunPlan
from tf_tokclf.training.stopping import StopRequest
from tf_tokclf.version import __version__


def score_run(plan: RunPlan, stop: StopRequest) -> dict[str, Evaluation]:
    """Score validation and test with the saved model, in float32, and write the predictions."""
    config = plan.config
    tagger = Tagger.load(
        plan.run.model,
        batch_size=config.evaluation.per_device_eval_batch_size,
        decoding=config.evaluation.decoding,
        trust_remote_code=config.model.trust_remote_code,
        thresholds=False,
    )
    splits = [plan.splits.validation, *([plan.splits.test] if plan.splits.test else [])]
    evaluations = {}
    for split in splits:
        with open_whole(plan.run.predictions_for(split.name)) as file:
            evaluations[split.name] = evaluate_sentences(
                tagger,
                stop.checked(split),
                mode=config.evaluation.mode,
                predictions=file,
                n_repaired=plan.splits.repairs.get(split.name, 0),
            )
    return evaluations


def write_results(
    plan: RunPlan,
    history: Sequence[EpochRecord],
    evaluations: dict[str, Evaluation],
    seconds: float,
    stands_out: Advice | None,
) -> None:
    """Write results.json: the scores of each split, everything that they depend on, and what stands out."""
    write_json(plan.run.results, results_json(plan, history, evaluations, seconds, stands_out))


def results_json(
    plan: RunPlan,
    history: Sequence[EpochRecord],
    evaluations: dict[str, Evaluation],
    seconds: float,
    stands_out: Advice | None,
) -> dict[str, Any]:
    """The content of results.json."""
    return {
        "splits": {name: evaluation.to_json() for name, evaluation in evaluations.items()},
        "data": {split.name: _data_facts(plan, split) for split in plan.splits},
        "drawn": {name: drawing.how(name) for name in drawing.names} if (drawing := plan.splits.drawing) else {},
        "notes": list(plan.splits.notes),
        "repairs": dict(plan.splits.repairs),
        "stands_out": stands_out.to_json() if stands_out else None,
        "best_epoch": best_epoch(history, plan.measure).epoch,
        "n_epochs": history[-1].epoch,
        "seed": plan.config.training.seed,
        "precision": {"training": plan.precision.policy, "scoring": "float32"},
        "seconds": round(seconds, 1),
        "versions": versions(),
        "machine": {"processor": platform.processor() or platform.machine(), "system": platform.system()},
    }


def _data_facts(plan: RunPlan, split: Split) -> dict[str, Any]:
    facts = {"n_sentences": len(split), "n_words": split.n_words, "fingerprint": split.fingerprint}
    extra = plan.splits.extra
    if extra is None or split is not extra.split:
        return facts
    return {
        **facts,
        "weight": plan.config.training.extra_weight,
        "left_out": extra.left_out,
        "soft": extra.soft is not None,
    }


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that a result depends on."""
    names = ("tensorflow", "tf-keras", "transformers", "datasets", "tokenizers", "seqeval", "numpy")
    ours = {"python": platform.python_version(), "tf-tokclf": __version__}
    return ours | {name: version(name) for name in names}
