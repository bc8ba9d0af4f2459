"""The transitions of a conditional random field (CRF) over the labels of words, as weights beside a classifier's head.

A linear-chain CRF scores a whole label sequence: the logits of its labels, the transitions between neighbours, and the
first and the last label (Lafferty, McCallum and Pereira 2001). The logits are those of the linear head, which is saved
as in any other model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.model.backend import keras, tf

# The score of transitions that the scheme does not allow. It is finite, so that no sum is NaN.
FORBIDDEN = -1e4


class Crf(keras.layers.Layer):
    """The learned transitions, in float32 in every precision.

    The name of each weight contains "bias", because like a bias it is added to scores, and has no weight decay.
    """

    def __init__(self, labels: LabelSet, *, model_name: str) -> None:
        """model_name: the first part of the names of weights. `training/weight_places.py` reads the names."""
        super().__init__(name="crf", dtype="float32")
        n = len(labels)
        self.rules = Chain.of_rules(labels.names, labels.scheme)
        self.start, self.transitions, self.end = (
            self.add_weight(f"{model_name}/crf/{name}_bias", shape=shape, initializer="zeros")
            for name, shape in (("start", (n,)), ("transition", (n, n)), ("end", (n,)))
        )
        self.built = True

    def scores(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Start, transitions and end, `FORBIDDEN` where the scheme does not allow them."""
        start, transitions, end = (
            tf.where(np.isfinite(rule), tf.convert_to_tensor(weight), FORBIDDEN)
            for rule, weight in zip(self.rules.parts, (self.start, self.transitions, self.end))
        )
        return start, transitions, end

    def chain(self) -> Chain:
        """The current transitions, for decoding and for saving."""
        weights = (weight.numpy() for weight in (self.start, self.transitions, self.end))
        return Chain(*(rule + values for rule, values in zip(self.rules.parts, weights)))

    def take_over(self, names: Sequence[str], chain: Chain, labels: LabelSet) -> int:
        """Begin with the transitions of another CRF, whose labels are `names`. Returns the number of common labels.

        Labels are matched by name. Transitions that only one of the two schemes allows stay 0.
        """
        old_ids = {name: i for i, name in enumerate(names)}
        mine = [i for i, name in enumerate(labels.names) if name in old_ids]
        theirs = [old_ids[labels.names[i]] for i in mine]
        for weight, source in zip((self.start, self.transitions, self.end), chain.parts):
            values, known = weight.numpy(), np.where(np.isfinite(source), source, 0.0)
            values[np.ix_(*[mine] * values.ndim)] = known[np.ix_(*[theirs] * values.ndim)]
            weight.assign(values)
        return len(mine)


def add_crf(model: keras.Model, labels: LabelSet) -> Crf:
    """Give a classifier a CRF with all transitions at 0. It is then trained and checkpointed with the model."""
    model.crf = Crf(labels, model_name=model.name)
    return model.crf


def crf_of(model: keras.Model) -> Crf | None:
    """The CRF of a classifier; None if it has none."""
    crf = getattr(model, "crf", None)
    return crf if isinstance(crf, Crf) else None
