"""AdamW: the optimizer of transformers' `create_optimizer` with its known pitfalls fixed, and other schedules."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.cpu import MAX_LANES
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.training.schedule import Schedule, ScheduledRate
from tf_tokclf.training.weight_places import depths, is_embedding

# The name of the optimizer slot with the step up to which each row of a deferred embedding is updated.
UP_TO = "up_to"
_ROWS_AT_ONCE = 4096
# Weights decay once for so many steps together, if they lose less than this share.
DECAY_EVERY, MOST_DECAY = 8, 1e-3
# How many large weights are updated at the same time on a device, and how many numbers make a weight large.
N_AT_ONCE, LARGE = MAX_LANES, 1 << 14
# Number of blocks in which a large gradient is cast.
N_BLOCKS = 8


def make_optimizer(config: OptimizerConfig, schedule: Schedule, *, loss_scaling: bool) -> keras.optimizers.Optimizer:
    """The optimizer of a run. The training step clips the gradients, because it has the complete ones.

    loss_scaling: wrap the optimizer for float16, in which small gradients would become 0.
    """
    # Without weight decay, create_optimizer would return an optimizer that excludes nothing from it.
    like, _ = transformers.create_optimizer(config.learning_rate, schedule.n_steps, 0, weight_decay_rate=1.0)
    optimizer = DeferringAdamWeightDecay(
        learning_rate=ScheduledRate(config.learning_rate, **asdict(schedule)),
        beta_1=config.adam_beta1,
        beta_2=config.adam_beta2,
        epsilon=config.adam_epsilon,
        weight_decay_rate=config.weight_decay,
        # In ModernBERT, the names of norms are only "norm" or end with it.
        exclude_from_weight_decay=[*like._exclude_from_weight_decay, "norm/"],
    )
    return keras.mixed_precision.LossScaleOptimizer(optimizer) if loss_scaling else optimizer


def create_slots(optimizer: keras.optimizers.Optimizer, weights: Sequence[tf.Variable]) -> None:
    """Create the variables of `optimizer` now instead of in the first update."""
    optimizer._create_all_weights(weights)


def defer_embedding(optimizer: keras.optimizers.Optimizer, model: keras.Model, *, n_steps: int) -> None:
    """Defer the updates of embedding rows that a batch does not read, if the result stays the same."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    embedding = piece_embedding(model)
    if embedding is None or not any(weight is embedding for weight in model.trainable_variables):
        return
    rates = rates_of(inner, n_steps) * inner.rate_factor(embedding)
    # Otherwise the sums do not converge, or overflow.
    if inner._get_hyper("beta_1") < tf.sqrt(inner._get_hyper("beta_2")) and rates.sum() * inner.weight_decay_rate < 1:
        inner.defer(embedding, rates=rates)


def decay_at_intervals(optimizer: keras.optimizers.Optimizer, *, n_steps: int) -> None:
    """Decay weights every few steps by the sum of these steps, if the result stays the same."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner.decay_at_intervals(rates_of(inner, n_steps))


def decay_rates_by_layer(optimizer: keras.optimizers.Optimizer, model: keras.Model, decay: float) -> None:
    """Multiply the learning rate by `decay` ** depth, where `depths` counts from the head down to the embeddings.

    Source: discriminative fine-tuning, Howard and Ruder 2018 (arXiv:1801.06146). Raises UserError if the layers of the
    model are not numbered.
    """
    if decay == 1:
        return
    weights = model.trainable_variables
    below = depths([weight.name for weight in weights])
    if below is None:
        raise UserError(
            f"--layer-decay: the layers of a model of type {model.config.model_type} are not numbered.",
            hint="Pass --layer-decay 1. It also overrides a recipe.",
        )
    factors = {copy.ref(): decay**depth for weight, depth in zip(weights, below) for copy in _with_copies(weight)}
    getattr(optimizer, "inner_optimizer", optimizer).rate_factors = factors


def _with_copies(weight: tf.Variable) -> tuple[tf.Variable, ...]:
    """`weight` and its copies on the replicas. With several replicas, the copies are updated."""
    return (weight, *getattr(weight, "values", ()))


def freeze_embeddings(model: keras.Model) -> None:
    """Do not train the encoder's embeddings (subword tokens, positions, types) and their layer norm.

    DeBERTa's embedding of distances is trained: it is in the encoder, where other programs do not freeze it either.
    """
    if not any(is_embedding(weight.name) for weight in model.weights):  # models with other names, by their own code
        model.get_input_embeddings().trainable = False
    for layer in model._flatten_layers():
        # Single weights, because a layer can have other weights too: XLM's encoder has the table of positions.
        own = list(layer._trainable_weights)
        layer._trainable_weights[:] = [weight for weight in own if not is_embedding(weight.name)]
        # Not by assignment: Keras makes weights in a new list trainable.
        layer._non_trainable_weights.extend(weight for weight in own if is_embedding(weight.name))


def rates_of(optimizer: keras.optimizers.Optimizer, n_steps: int) -> np.ndarray:
    """(n_steps,) float64 the learning rate of each step."""
    schedule = optimizer._get_hyper("learning_rate")
    return schedule(tf.range(n_steps)).numpy().astype(np.float64)


def piece_embedding(model: keras.Model) -> tf.Variable | None:
    """The embedding that `model` reads by input_ids, (vocabulary, width). None if it cannot be determined."""
    try:
        layer = model.get_input_embeddings()
    except NotImplementedError:  # models that come with their own code
        return None
    found = [getattr(layer, name, None) for name in ("weight", "embeddings")]
    shapes = [getattr(weight, "shape", None) for weight in found]
    return next((w for w, s in zip(found, shapes) if s and len(s) == 2 and s[0] == model.config.vocab_size), None)


Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


class DeferringAdamWeightDecay(transformers.AdamWeightDecay):
    """transformers' AdamW that can defer the updates of a row of the embedding until its subword token is read again.

    A row whose token is not in the batch has a gradient of 0, but the original still updates its moments and its
    weights in every step. For the 30,522 rows of MiniLM, this takes 62 of the 85 ms of an update on two cores. The
    missed updates have a closed form. Let r = beta_1 / sqrt(beta_2), let e_i be the learning rate of step i with its
    bias correction, and let d_i be the product of the weight decay factors before step i. Then the steps s to t - 1
    turn w into w d_t / d_s - m / sqrt(v) d_t times the sum of e_i r^(i - s + 1) / d_(i + 1). `catch_up` applies this
    just before the row is read. The result equals the original's except for epsilon in the missed steps.
    """

    _deferred: tf.Variable | None = None
    # Factor on the learning rate by weight. The factor of other weights is 1.
    rate_factors: Mapping[Any, float] = {}

    # Of the update that is being applied: the factor on the gradients, a float32 scalar, and whether it changes
    # anything, a bool scalar. None for 1 and for yes.
    _factor: tf.Tensor | None = None
    _condition: tf.Tensor | None = None
    # The updates of dense weights so far, by device.
    _updates: Mapping[str, list[tf.Operation]] = defaultdict(list)

    # The weight decay of each step, (steps,) float32. None for the current learning rate times `weight_decay_rate`.
    _decays: tf.Tensor | None = None
    _has_decayed = False

    def update(
        self,
        gradients: Sequence[Gradient],
        weights: Sequence[tf.Variable],
        *,
        factor: tf.Tensor | None = None,
        condition: tf.Tensor | None = None,
    ) -> None:
        """Make a step with `gradients` times `factor`, a float32 scalar. Gradients can be in bfloat16.

        On each device, only a few weights are updated at the same time, one per lane. Each gradient is cast and scaled
        just before it is used. This takes less memory, and it stays in the cache between the passes over it.

        If `condition`, a bool scalar, is false, nothing changes but `iterations`. The factor must then be 0. The update
        is always computed, so the program does not have to read the condition.
        """
        self._factor, self._condition, self._updates = factor, condition, defaultdict(list)
        self._has_decayed = self._decays is not None and condition is None
        try:
            if self._has_decayed:
                self._decay_replicas(weights)
            self.apply_gradients(zip(gradients, weights, strict=True), experimental_aggregate_gradients=False)
        finally:
            self._factor, self._condition, self._has_decayed = None, None, False

    def _scaled(self, gradient: tf.Tensor, var: tf.Variable) -> tf.Tensor:
        gradient = tf.cast(gradient, var.dtype)
        if self._factor is None:
            return gradient
        # The product with 0 is 0, even where the gradient is not finite.
        return gradient * self._factor if self._condition is None else tf.math.multiply_no_nan(gradient, self._factor)

    @contextmanager
    def _in_turn(self, var: tf.Variable) -> Iterator[list[tf.Operation]]:
        """Operations in the block wait for an earlier update on this device if `var` is large.

        The block adds its last operation to the list.
        """
        updates = self._updates[var.device] if var.shape.num_elements() > LARGE else []
        with tf.control_dependencies([updates[-N_AT_ONCE]] if len(updates) >= N_AT_ONCE else []):
            yield updates

    def _prepare_local(self, var_device: str, var_dtype: tf.DType, apply_state: dict) -> None:
        super()._prepare_local(var_device, var_dtype, apply_state)
        if self._condition is None:
            return
        state = apply_state[(var_device, var_dtype)]
        # With these, both moments and the weights stay the same, bit for bit.
        unchanging = {"lr_t": 0.0, "lr": 0.0}
        unchanging |= {f"beta_{i}_t": 1.0 for i in (1, 2)} | {f"one_minus_beta_{i}_t": 0.0 for i in (1, 2)}
        for name, value in unchanging.items():
            state[name] = tf.where(self._condition, state[name], tf.constant(value, state[name].dtype))

    def rate_factor(self, weight: tf.Variable) -> float:
        """The factor on the learning rate of `weight`."""
        return self.rate_factors.get(weight.ref(), 1.0)

    def _with_own_rate(self, var: tf.Variable, apply_state: dict) -> dict:
        factor = self.rate_factor(var)
        if factor == 1:
            return apply_state
        key = (var.device, var.dtype.base_dtype)
        state = apply_state[key]
        # All weights of a layer have the same factor.
        if (scaled := (*key, factor)) not in apply_state:
            apply_state[scaled] = {**state, **{name: state[name] * factor for name in ("lr_t", "lr")}}
        return {**apply_state, key: apply_state[scaled]}

    def _resource_apply_dense(self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None) -> tf.Operation:
        rate = self._with_own_rate(var, apply_state)
        with self._in_turn(var) as updates:
            update = super()._resource_apply_dense(self._scaled(grad, var), var, apply_state=rate)
            updates.append(update)
        return update

    def defer(self, embedding: tf.Variable, *, rates: np.ndarray) -> None:
        """Defer updates of `embedding` (rows, width) from now on. rates: the learning rate of each step of the run.

        Call `catch_up` before rows are read.
        """
        n_steps = len(rates)
        self._deferred = embedding
        # A slot, so that it is saved and restored with the moments. Steps are whole numbers, exact up to 2**24.
        self._rows_up_to = self.add_slot(embedding, UP_TO, initializer="zeros", shape=embedding.shape[:1])
        beta_1, beta_2 = self._get_hyper("beta_1").numpy(), self._get_hyper("beta_2").numpy()
        ratio = float(beta_1) / float(beta_2) ** 0.5
        number = np.arange(1, n_steps + 1, dtype=np.float64)
        corrected = rates * np.sqrt(1 - float(beta_2) ** number) / (1 - float(beta_1) ** number)
        decay = self.weight_decay_rate if self._do_use_weight_decay(embedding.name) else 0.0
        decayed = np.concatenate([[0.0], np.cumsum(np.log1p(-rates * decay))])
        ahead = np.zeros(n_steps + 1)
        for step in range(n_steps - 1, -1, -1):
            ahead[step] = ratio * (corrected[step] / np.exp(decayed[step + 1]) + ahead[step + 1])
        self._ahead = tf.constant(ahead, tf.float32)
        self._log_decayed = tf.constant(decayed, tf.float32)
        self._log_ratio = math.log(ratio)

    def defers(self, weight: tf.Variable) -> bool:
        """Whether updates of `weight` are deferred."""
        return self._deferred is not None and any(weight is copy for copy in _with_copies(self._deferred))

    def catch_up(self, pieces: tf.Tensor) -> None:
        """Apply the deferred updates to the rows of `pieces` (token ids of any shape), on every replica."""
        if self._deferred is not None:
            self._catch_up_replicas(tf.unique(tf.reshape(tf.cast(pieces, tf.int32), [-1]))[0])

    def all_rows(self) -> Iterator[tf.Tensor]:
        """All rows in groups, to `catch_up` before the weights are used for anything but the next step. All at once
        would take six times the memory of the embedding.
        """
        n_rows = 0 if self._deferred is None else self._deferred.shape[0]
        for begin in range(0, n_rows, _ROWS_AT_ONCE):
            yield tf.range(begin, min(begin + _ROWS_AT_ONCE, n_rows))

    def _catch_up_replicas(self, rows: tf.Tensor) -> None:
        def update(strategy: tf.distribute.Strategy, rows: tf.Tensor) -> None:
            strategy.extended.update(self._deferred, self._catch_up, args=(rows,), group=False)

        tf.__internal__.distribute.interim.maybe_merge_call(update, tf.distribute.get_strategy(), rows)

    def _catch_up(self, var: tf.Variable, rows: tf.Tensor) -> None:
        up_to = self._rows_up_to
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        begin = tf.cast(tf.gather(up_to, rows), tf.int32)
        now = tf.cast(self.iterations, tf.int32)
        missed = tf.cast(now - begin, tf.float32)
        total = tf.gather(self._ahead, begin) - tf.exp(missed * self._log_ratio) * tf.gather(self._ahead, now)
        log_decayed = tf.gather(self._log_decayed, now)
        kept = tf.exp(log_decayed - tf.gather(self._log_decayed, begin))
        old_m, old_v = tf.gather(m, rows), tf.gather(v, rows)
        moved = tf.exp(log_decayed) * total[:, None] * old_m / (tf.sqrt(old_v) + self.epsilon)
        weights = tf.gather(var, rows) * kept[:, None] - moved
        m.scatter_update(tf.IndexedSlices(old_m * tf.pow(self._get_hyper("beta_1"), missed)[:, None], rows))
        v.scatter_update(tf.IndexedSlices(old_v * tf.pow(self._get_hyper("beta_2"), missed)[:, None], rows))
        var.scatter_update(tf.IndexedSlices(weights, rows))
        up_to.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(rows), tf.cast(now, tf.float32)), rows))

    def _resource_apply_sparse(
        self, grad: tf.Tensor, var: tf.Variable, indices: tf.Tensor, apply_state: Any = None
    ) -> tf.Operation:
        apply_state = self._with_own_rate(var, apply_state)
        grad = self._scaled(grad, var)
        if not self.defers(var):
            return super()._resource_apply_sparse(grad, var, indices, apply_state=apply_state)
        state = apply_state[(var.device, var.dtype.base_dtype)]
        rate = state["lr_t"]
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        new_m = tf.gather(m, indices) * state["beta_1_t"] + grad * state["one_minus_beta_1_t"]
        new_v = tf.gather(v, indices) * state["beta_2_t"] + tf.square(grad) * state["one_minus_beta_2_t"]
        rows = tf.gather(var, indices)
        if self._do_use_weight_decay(var.name):
            rows -= rows * (rate * state["weight_decay_rate"])
        bias_correction = tf.sqrt(1 - state["beta_2_power"]) / (1 - state["beta_1_power"])
        rows -= rate * bias_correction * new_m / (tf.sqrt(new_v) + state["epsilon"])
        step = tf.fill(tf.shape(indices), tf.cast(self.iterations + 1, tf.float32))
        return tf.group(
            m.scatter_update(tf.IndexedSlices(new_m, indices)),
            v.scatter_update(tf.IndexedSlices(new_v, indices)),
            var.scatter_update(tf.IndexedSlices(rows, indices)),
            self._rows_up_to.scatter_update(tf.IndexedSlices(step, indices)),
        )

    def decay_at_intervals(self, rates: np.ndarray) -> None:
        """Decay weights every `DECAY_EVERY` steps from now on, by the sum of these steps. rates: as for `defer`.

        A decay reads and writes all weights: 50 of the 470 ms of processor time of a step of DistilBERT. With a
        learning rate of 1e-4 and a weight decay of 0.01, it takes a millionth of each weight, a few units in its last
        place. Decays are put together only if their sum is below `MOST_DECAY`.
        """
        ends = np.arange(1, len(rates) + 1) % DECAY_EVERY == 0
        ends[-1:] = True
        sums = np.diff(np.cumsum(rates)[ends], prepend=0.0)
        decays = np.zeros(len(rates))
        decays[ends] = sums * self.weight_decay_rate
        if decays.max(initial=0.0) < MOST_DECAY:
            self._decays = tf.constant(decays, tf.float32)

    def _decay_weights_op(self, var: tf.Variable, learning_rate: tf.Tensor, apply_state: dict) -> tf.Operation:
        if self._has_decayed or not self._do_use_weight_decay(var.name):
            return tf.no_op()
        state = apply_state[(var.device, var.dtype.base_dtype)]
        # Multiplying the two scalars first saves a pass over the weights.
        if "decay_of_step" not in state:
            state["decay_of_step"] = learning_rate * state["weight_decay_rate"]
        return var.assign_sub(var * state["decay_of_step"], use_locking=self._use_locking)

    def _decay_replicas(self, weights: Sequence[tf.Variable]) -> None:
        """Decay `weights` on every replica, if this is the last step of an interval."""
        decayed = [w for w in weights if self._do_use_weight_decay(w.name) and not self.defers(w)]

        def update(strategy: tf.distribute.Strategy) -> None:
            rate = tf.gather(self._decays, self.iterations)

            def decay() -> tf.Tensor:
                self._updates = defaultdict(list)
                for weight in decayed:
                    strategy.extended.update(weight, self._decay, args=(rate,), group=False)
                return rate

            tf.cond(rate > 0, decay, lambda: rate)
            self._updates = defaultdict(list)

        tf.__internal__.distribute.interim.maybe_merge_call(update, tf.distribute.get_strategy())

    def _decay(self, var: tf.Variable, rate: tf.Tensor) -> None:
        with self._in_turn(var) as updates:
            updates.append(var.assign_sub(var * (rate * self.rate_factor(var)), read_value=False))


def clip_factor(norm: tf.Tensor, most: float | None) -> tf.Tensor | None:
    """The factor that scales gradients of this global norm, a scalar, down to a norm of at most `most`.

    It is the one of tf.clip_by_global_norm. If the norm is not finite, it is NaN, and shows in the next loss.
    """
    if most is None:
        return None
    factor = most * tf.minimum(1 / norm, 1 / most)
    return tf.where(tf.math.is_finite(norm), factor, np.nan)


def global_norm(gradients: Sequence[Gradient]) -> tf.Tensor:
    """The norm of all gradients together, a float32 scalar. Rows of the same token must be summed."""
    parts = chain.from_iterable(map(_row_blocks, gradients))
    return tf.linalg.global_norm([tf.cast(part, tf.float32) for part in parts])


def _row_blocks(gradient: Gradient) -> list[tf.Tensor]:
    """The values of `gradient` in blocks of rows. Blocks are not copied.

    A block in float32 stays in the cache until it is squared. For DistilBERT, this saves 30 of the 460 ms of processor
    time of a step.
    """
    values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
    n_numbers = values.shape.num_elements()
    is_cast_in_blocks = (
        values.dtype != tf.float32 and n_numbers and n_numbers > LARGE and values.shape[0] % N_BLOCKS == 0
    )
    return tf.split(values, N_BLOCKS) if is_cast_in_blocks else [values]


def one_row_each(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """The same gradient with the rows of the same token summed."""
    indices, place = tf.unique(gradient.indices)
    rows = tf.math.unsorted_segment_sum(gradient.values, place, tf.size(indices))
    return tf.IndexedSlices(rows, indices, gradient.dense_shape)


def learning_rate_at(optimizer: keras.optimizers.Optimizer, step: int) -> float:
    """The learning rate of step number `step`, from 0."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    rate = inner.learning_rate if not hasattr(inner, "_learning_rate") else inner._learning_rate
    return float(rate(step)) if callable(rate) else float(rate)
