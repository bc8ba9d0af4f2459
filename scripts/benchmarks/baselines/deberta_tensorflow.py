"""Time the steps of transformers' TensorFlow class, traced once per shape."""

from __future__ import annotations

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import steps
import tensorflow as tf
import tf_keras as keras
import transformers

options = steps.parse_options()
if options.precision == "bfloat16":
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
model = transformers.TFAutoModelForTokenClassification.from_pretrained(options.folder)
optimizer = transformers.AdamWeightDecay(learning_rate=steps.LEARNING_RATE, weight_decay_rate=steps.WEIGHT_DECAY)


@tf.function
def train_on(input_ids: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        logits = tf.cast(model(input_ids=input_ids, training=True).logits, tf.float32)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    weights = model.trainable_variables
    gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, weights), steps.CLIP_NORM)
    optimizer.apply_gradients(zip(gradients, weights))
    return loss


@tf.function
def logits_of(input_ids: tf.Tensor) -> tf.Tensor:
    return model(input_ids=input_ids, training=False).logits


def train(input_ids: np.ndarray, labels: np.ndarray) -> object:
    return float(train_on(tf.constant(input_ids), tf.constant(labels)))


def predict(input_ids: np.ndarray, labels: np.ndarray) -> object:
    return tf.cast(logits_of(tf.constant(input_ids)), tf.float32).numpy()


steps.measure(options, training=train, forward=predict)
