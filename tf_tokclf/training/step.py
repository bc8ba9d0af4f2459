"""One step of training, traced once for all shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from tf_tokclf.model.architectures.registry import architecture_of
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.forward import piece_logits
from tf_tokclf.model.parallel import n_lanes
from tf_tokclf.model.recomputation import mark_layers, recomputed_layers
from tf_tokclf.model.weight_copies import copies_in_use, kernels_to_copy
from tf_tokclf.training.distribution import Devices, rows_of_part
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.loss import PieceLoss
from tf_tokclf.training.loss_scaling import apply_if_finite
from tf_tokclf.training.optimizer import clip_factor, global_norm, one_row_each, piece_embedding

Batch = Mapping[str, tf.Tensor]

_BATCH = {name: tf.TensorSpec((None, None), tf.int64) for name in ("attention_mask", "input_ids", "labels")}
_MORE = {"weights": tf.TensorSpec((None,), tf.float32), "targets": tf.TensorSpec((None, None, None), tf.float32)}
_COUNT = tf.TensorSpec((), tf.float32)
_PART = tf.TensorSpec((), tf.int32)
_ROWS = tf.TensorSpec((None,), tf.int32)


class Loss(Protocol):
    """A sum over a batch, and the weight by which it is divided. Labels are -100 where nothing is scored.

    The weights of rows are factors in the sum and not in the divisor. Otherwise a batch of rows that all have a small
    weight would count as much as any other batch.
    """

    def weight(self, labels: tf.Tensor) -> tf.Tensor:
        """A float32 scalar."""

    def summed(
        self,
        labels: tf.Tensor,
        logits: tf.Tensor,
        row_weights: tf.Tensor | None = None,
        targets: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """A float32 scalar. labels: (rows, width). logits: (rows, width, labels). row_weights: (rows,), None for 1.
        targets: (rows, width, labels) probabilities, None for 1 at the labels.
        """


class TrainingStep:
    """Updates `model` by the gradient of the mean loss over the labelled subword tokens of one or several batches.

    The mean is over all batches of the step. Accumulated batches, and a batch that is divided among devices, therefore
    give the same result as one large batch.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        clip_norm: float | None,
        dropout: SeededDropout,
        devices: Devices | None = None,
        jit_compile: bool = False,
        gradient_checkpointing: bool = False,
        loss: Loss | None = None,
        more: Collection[str] = (),
    ) -> None:
        """jit_compile: compile the gradients with XLA, once for each shape of a batch. gradient_checkpointing: keep
        only the inputs of the encoder's layers for the gradients, and compute the layers again. more: what
        batches also contain: `weights`, (rows,) float32, the weight of each row in the loss; `targets`, (rows, width,
        labels) float32, the probabilities of labels.
        """
        self.model = model
        self._devices = devices or Devices()
        self.dropout = dropout
        self.optimizer = optimizer
        self._clip_norm = clip_norm
        self._scales_loss = isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)
        self._accumulators: list[tf.Variable] = []
        self._deferring = getattr(optimizer, "inner_optimizer", optimizer)
        self._embedding = piece_embedding(model)
        # A layer that is computed again gets the gradients of its variables, but not those of copies.
        self._kernels = [] if gradient_checkpointing else kernels_to_copy(model)
        copies = [tf.TensorSpec(kernel.shape, tf.bfloat16) for kernel in self._kernels]
        # The parts of a batch are computed in parallel, each on its own core.
        self._n_parts = n_lanes() if self._devices.n_replicas == 1 else 1
        options = {"autograph": architecture_of(model).needs_autograph}
        batch = _BATCH | {name: _MORE[name] for name in more}
        self._recomputes = gradient_checkpointing
        if gradient_checkpointing:
            mark_layers(model)
        self._loss: Loss = loss or PieceLoss()
        self._is_compiled = jit_compile
        self._one_part = tf.function(
            self._gradients_of_part,
            input_signature=[batch, _COUNT, _PART, copies],
            # With None, the calling function decides.
            jit_compile=jit_compile or None,
            **options,
        )
        self._update = tf.function(self._update_by_one, input_signature=[batch], **options)
        self._add = tf.function(self._add_gradients, input_signature=[batch, _COUNT], **options)
        self._settle = tf.function(self._settle_by_replicas, input_signature=[_ROWS], autograph=False)
        self._finish = tf.function(self._update_by_sum, input_signature=[], autograph=False)

    def __call__(self, batches: Sequence[Batch]) -> tf.Tensor:
        """Make one step with all `batches`. Returns their mean loss, a float32 scalar."""
        if len(batches) == 1:
            self.dropout.next_batch()
            return self._update(batches[0])
        total_weight = tf.add_n([self._loss.weight(batch["labels"]) for batch in batches])
        if not self._accumulators:
            self._accumulators = self._new_accumulators()
        losses = []
        for batch in batches:
            self.dropout.next_batch()
            losses.append(self._add(batch, total_weight))
        self._finish()
        return tf.add_n(losses)

    def _new_accumulators(self) -> list[tf.Variable]:
        """A variable for the sum of the gradients of each weight, on each replica."""
        options = {"trainable": False, "synchronization": tf.VariableSynchronization.ON_READ}
        with self._devices.scope():
            return [tf.Variable(tf.zeros(w.shape, w.dtype), **options) for w in self._weights]

    @property
    def _weights(self) -> list[tf.Variable]:
        return self.model.trainable_variables

    def _update_by_one(self, batch: Batch) -> tf.Tensor:
        return self._devices.run(self._update_replica, batch, self._loss.weight(batch["labels"]))

    def _update_replica(self, batch: Batch, total_weight: tf.Tensor) -> tf.Tensor:
        self._deferring.catch_up(batch["input_ids"])
        loss, gradients = self._gradients(self._devices.own_rows(batch), total_weight)
        self._apply(gradients)
        return loss

    def settle(self) -> None:
        """Apply all deferred updates, before the weights are scored or saved."""
        for rows in self._deferring.all_rows():
            self._settle(rows)

    def _settle_by_replicas(self, rows: tf.Tensor) -> tf.Tensor:
        return self._devices.run(self._settle_replica, rows)

    def _settle_replica(self, rows: tf.Tensor) -> tf.Tensor:
        self._deferring.catch_up(rows)
        return tf.constant(0.0)

    def _add_gradients(self, batch: Batch, total_weight: tf.Tensor) -> tf.Tensor:
        return self._devices.run(self._add_replica, batch, total_weight)

    def _add_replica(self, batch: Batch, total_weight: tf.Tensor) -> tf.Tensor:
        loss, gradients = self._gradients(self._devices.own_rows(batch), total_weight)
        for accumulator, gradient in zip(self._accumulators, gradients):
            if gradient is not None:
                accumulator.assign_add(tf.cast(tf.convert_to_tensor(gradient), accumulator.dtype))
        return loss

    def _update_by_sum(self) -> tf.Tensor:
        return self._devices.run(self._update_replica_by_sum)

    def _update_replica_by_sum(self) -> tf.Tensor:
        self._apply([accumulator.read_value() for accumulator in self._accumulators])
        for accumulator in self._accumulators:
            accumulator.assign(tf.zeros(accumulator.shape, accumulator.dtype))
        return tf.constant(0.0)

    def _gradients(self, batch: Batch, total_weight: tf.Tensor) -> tuple[tf.Tensor, list]:
        """The loss of a replica's rows, and its gradients. The gradient of an unused weight is None."""
        copies = [tf.cast(kernel, tf.bfloat16) for kernel in self._kernels]
        if self._n_parts == 1 and not self._is_compiled:
            loss, gradients = self._gradients_of_part(batch, total_weight, tf.constant(0), copies)
            return loss, self._of_weights(gradients)
        parts = [
            self._one_part(rows_of_part(batch, part, self._n_parts), total_weight, tf.constant(part), copies)
            for part in range(self._n_parts)
        ]
        losses, of_parts = zip(*parts)
        return tf.add_n(losses), self._of_weights([_sum(of_weight) for of_weight in zip(*of_parts)])

    def _of_weights(self, gradients: list) -> list:
        """The gradients of all weights. Those of kernels that are only used as copies are in bfloat16.

        gradients: those of each weight where it is used itself, then those of the copies of kernels.
        """
        n_weights = len(self._weights)
        of_copies = {kernel.ref(): gradient for kernel, gradient in zip(self._kernels, gradients[n_weights:])}
        found = []
        for weight, gradient in zip(self._weights, gradients[:n_weights]):
            of_copy = of_copies.get(weight.ref())
            if gradient is not None and of_copy is not None:
                gradient += tf.cast(of_copy, weight.dtype)
            found.append(of_copy if gradient is None else gradient)
        return found

    def _gradients_of_part(
        self, batch: Batch, total_weight: tf.Tensor, part: tf.Tensor, copies: list[tf.Tensor]
    ) -> tuple[tf.Tensor, list]:
        """The loss of a part of a batch, and the gradients of the weights and then of `copies`, the kernels' copies."""
        self.dropout.begin(part, self._n_parts)
        with tf.GradientTape() as tape, copies_in_use(self._kernels, copies):
            tape.watch(copies)
            with self._recomputation(tape):
                inputs = batch["input_ids"], batch["attention_mask"]
                logits = piece_logits(self.model, *inputs, training=True, padded=self._is_compiled)
            summed = self._loss.summed(batch["labels"], logits, batch.get("weights"), batch.get("targets"))
            loss = tf.math.divide_no_nan(summed, total_weight)
            scaled = self.optimizer.get_scaled_loss(loss) if self._scales_loss else loss
        gradients = tape.gradient(scaled, [*self._weights, *copies])
        return loss, self.optimizer.get_unscaled_gradients(gradients) if self._scales_loss else gradients

    def _recomputation(self, tape: tf.GradientTape) -> AbstractContextManager[None]:
        if not self._recomputes:
            return nullcontext()
        return recomputed_layers(self.model, tape, autograph=architecture_of(self.model).needs_autograph)

    def _apply(self, gradients: list) -> None:
        pairs = [(g, w) for g, w in zip(gradients, self._weights) if g is not None]
        weights = [weight for _, weight in pairs]
        # Of the gradient of the embedding, the largest weight, only the rows of the batch are exchanged.
        dense = [g if w is self._embedding else tf.convert_to_tensor(g) for g, w in pairs]
        if self._devices.n_replicas > 1:
            dense = [g if w is self._embedding else tf.cast(g, w.dtype) for g, w in zip(dense, weights)]
        summed = self._devices.summed(dense)
        # Adam's update of a complete weight is fused. That of rows is not: it takes several passes over the weight.
        whole = [g if self._deferring.defers(w) else tf.convert_to_tensor(g) for g, w in zip(summed, weights)]
        whole = [one_row_each(g) if isinstance(g, tf.IndexedSlices) else g for g in whole]
        if self._scales_loss:
            apply_if_finite(self.optimizer, whole, weights, clip_norm=self._clip_norm)
            return
        self.optimizer.update(whole, weights, factor=clip_factor(global_norm(whole), self._clip_norm))


def _sum(gradients: Sequence[tf.Tensor | tf.IndexedSlices | None]) -> tf.Tensor | tf.IndexedSlices | None:
    """The sum of a weight's gradients. Sparse rows are concatenated, and summed before the update."""
    first = gradients[0]
    if first is None:
        return None
    if not isinstance(first, tf.IndexedSlices):
        return tf.add_n(gradients)
    values, indices = (tf.concat([getattr(g, name) for g in gradients], axis=0) for name in ("values", "indices"))
    return tf.IndexedSlices(values, indices, first.dense_shape)
