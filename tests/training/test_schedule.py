"""Schedules of the learning rate: the values of transformers' PyTorch schedules, warm-up, and bounds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tf_tokclf.config.loading import load_config
from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.errors import UserError
from tf_tokclf.training.optimizer import learning_rate_at, make_optimizer, rates_of
from tf_tokclf.training.plan import check_settings
from tf_tokclf.training.schedule import KINDS, Schedule, ScheduledRate

# The learning rates times 1e5 of ten steps with transformers 4.54.1 and PyTorch 2.13:
#     optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
#     scheduler = get_scheduler(kind, optimizer, num_warmup_steps=n_warmup, num_training_steps=10)
#     for _ in range(10):
#         print(scheduler.get_last_lr()[0] * 1e5)
#         optimizer.step(), scheduler.step()
WARMUP = [0.0, 0.666666667, 1.33333333]
COSINE = [2.0, 1.95105652, 1.80901699, 1.58778525, 1.30901699, 1.0, 0.690983006, 0.412214748, 0.190983006, 0.0489434837]
COSINE_AFTER_3 = [*WARMUP, 2.0, 1.90096887, 1.6234898, 1.22252093, 0.777479066, 0.376510198, 0.0990311321]
TRANSFORMERS = {
    ("linear", 0): [2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.8, 0.6, 0.4, 0.2],
    ("linear", 3): [*WARMUP, 2.0, 1.71428571, 1.42857143, 1.14285714, 0.857142857, 0.571428571, 0.285714286],
    ("cosine", 0): COSINE,
    ("cosine", 3): COSINE_AFTER_3,
    ("cosine_with_restarts", 0): COSINE,
    ("cosine_with_restarts", 3): COSINE_AFTER_3,
    ("polynomial", 0): [2.0, 1.801, 1.602, 1.403, 1.204, 1.005, 0.806, 0.607, 0.408, 0.209],
    ("polynomial", 3): [*WARMUP, 2.0, 1.71571429, 1.43142857, 1.14714286, 0.862857143, 0.578571429, 0.294285714],
    ("constant", 0): [2.0] * 10,
    ("constant", 3): [2.0] * 10,
    ("constant_with_warmup", 0): [2.0] * 10,
    ("constant_with_warmup", 3): [*WARMUP, *[2.0] * 7],
    ("inverse_sqrt", 0): [
        *(2.0, 1.99990001, 1.99980003, 1.99970007, 1.99960012),
        *(1.99950019, 1.99940027, 1.99930037, 1.99920048, 1.99910061),
    ],
    ("inverse_sqrt", 3): [*WARMUP, 2.0, 1.73205081, 1.54919334, 1.41421356, 1.30930734, 1.22474487, 1.15470054],
}


def rates(kind: str, n_warmup: int, n_steps: int = 10) -> list[float]:
    config = OptimizerConfig(learning_rate=2e-5, warmup_steps=n_warmup, lr_scheduler_type=kind)
    optimizer = make_optimizer(config, Schedule.of(config, n_steps), loss_scaling=False)
    each = [learning_rate_at(optimizer, step) for step in range(n_steps)]
    assert rates_of(optimizer, n_steps).tolist() == each
    return each


def test_all_kinds_are_compared():
    assert {kind for kind, _ in TRANSFORMERS} == set(KINDS)


@pytest.mark.parametrize(("kind", "n_warmup"), TRANSFORMERS, ids=str)
def test_the_rates_are_those_of_transformers(kind: str, n_warmup: int):
    expected = [rate * 1e-5 for rate in TRANSFORMERS[kind, n_warmup]]
    assert rates(kind, n_warmup) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "constant"])
def test_a_warmup_longer_than_the_run_does_not_end(kind: str):
    assert rates(kind, 12) == pytest.approx([2e-5 * step / 12 for step in range(10)], rel=1e-6)


def test_a_share_of_the_steps_is_a_warmup_too_and_a_number_overrides_it():
    config = OptimizerConfig(warmup_ratio=0.3)
    assert Schedule.of(config, 10).n_warmup_steps == 3
    assert Schedule.of(config.model_copy(update={"warmup_steps": 5}), 10).n_warmup_steps == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_step_has_a_rate(kind: str):
    config = OptimizerConfig(learning_rate=1.0, warmup_ratio=0.9, lr_scheduler_type=kind)
    rate = learning_rate_at(make_optimizer(config, Schedule.of(config, 1), loss_scaling=False), 0)
    assert np.isfinite(rate)
    assert rate > 0


def test_a_rate_is_made_again_from_its_configuration():
    """Keras stores it as JSON with a compiled model."""
    config = OptimizerConfig(lr_scheduler_type="cosine", warmup_steps=3)
    rate = make_optimizer(config, Schedule.of(config, 10), loss_scaling=False).get_config()["learning_rate"]["config"]
    again = ScheduledRate.from_config(json.loads(json.dumps(rate)))
    assert again.peak == 5e-5
    assert again.schedule == Schedule(10, 3, "cosine")


def test_a_schedule_without_steps_is_refused():
    with pytest.raises(ValueError, match="needs at least one step"):
        Schedule(0, 0)


def test_other_kinds_are_refused_with_the_list():
    with pytest.raises(UserError, match="constant_with_warmup"):
        load_config(options={"optimizer.lr_scheduler_type": "reduce_lr_on_plateau"})


def test_a_peak_below_the_end_of_the_polynomial_schedule_is_refused():
    options = {"optimizer.lr_scheduler_type": "polynomial", "optimizer.learning_rate": 1e-8}
    Path("t.conll").write_text("a O\n")
    needed = {"data.train_file": "t.conll", "model.name_or_path": "m", "output_dir": "o"}
    with pytest.raises(UserError, match="learning_rate must be above 1e-07"):
        check_settings(load_config(options={**options, **needed}))
