"""Time the steps of this package, as `fit` and `predict` take them."""

from __future__ import annotations

import numpy as np
import steps

from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.model.backend import tf
from tf_tokclf.model.forward import forward_function
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.parallel import n_lanes, side_by_side
from tf_tokclf.model.precision import Precision
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.optimizer import create_slots, defer_embedding, make_optimizer
from tf_tokclf.training.schedule import Schedule
from tf_tokclf.training.step import TrainingStep

options = steps.parse_options()
policy = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[options.precision]
model = load_classifier(options.folder, precision=Precision(policy, "as set"))
settings = OptimizerConfig(learning_rate=steps.LEARNING_RATE, clip_norm=steps.CLIP_NORM, warmup_ratio=0)
optimizer = make_optimizer(settings, Schedule(10_000, 0), loss_scaling=False)
create_slots(optimizer, model.trainable_variables)
defer_embedding(optimizer, model, n_steps=10_000)
step = TrainingStep(model, optimizer, clip_norm=steps.CLIP_NORM, dropout=SeededDropout(model, seed=1))
forward = forward_function(model)


def train(input_ids: np.ndarray, labels: np.ndarray) -> object:
    batch = {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids), "labels": labels}
    return float(step([{name: tf.constant(array, tf.int64) for name, array in batch.items()}]))


def score(rows: np.ndarray) -> object:
    lengths = np.full(len(rows), rows.shape[1], dtype=np.int32)
    places = np.stack(np.indices(rows.shape, dtype=np.int32).reshape(2, -1), axis=1)
    return forward(rows.astype(np.int32), lengths, places).numpy()


def predict(input_ids: np.ndarray, labels: np.ndarray) -> object:
    return list(side_by_side(score, np.array_split(input_ids, n_lanes()), n_lanes()))


steps.measure(options, training=train, forward=predict)
