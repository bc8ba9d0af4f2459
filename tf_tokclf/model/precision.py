"""Choose the precision of a run, and set the Keras policy for it. The head and the loss are always float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tf_tokclf.cpu import cpu_flags
from tf_tokclf.encoding.model_types import facts_of
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import keras, tf

# The first compute capability with float16 matrix units (Volta).
FIRST_FAST_FLOAT16 = (7, 0)


@dataclass(frozen=True)
class Precision:
    """A Keras policy name and the reason it was chosen."""

    policy: str
    reason: str

    def __str__(self) -> str:
        return f"{self.policy} ({self.reason})"


def choose_precision(requested: str, *, model_type: str = "") -> Precision:
    """The precision for `requested` ("auto" or a policy name) on this machine's devices and for this architecture.

    Raises UserError if the architecture does not support the requested mixed precision.
    """
    reason = facts_of(model_type).only_float32
    if reason and requested not in ("auto", "float32"):
        raise UserError(f"precision {requested} is not possible: {reason}.", hint="Choose float32 or auto.")
    if reason and requested == "auto":
        return Precision("float32", reason)
    if requested != "auto":
        return Precision(requested, "as set")
    gpus = tf.config.list_physical_devices("GPU")
    return _for_gpus(gpus) if gpus else _for_cpu()


def _for_gpus(gpus: list) -> Precision:
    capabilities = [tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus]
    slowest = min(capabilities)
    shown = ".".join(map(str, slowest))
    if slowest >= FIRST_FAST_FLOAT16:
        return Precision("mixed_float16", f"GPU with compute capability {shown}")
    return Precision("float32", f"GPU with compute capability {shown}, below 7.0")


def _for_cpu() -> Precision:
    flags = cpu_flags()
    fast = next((flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags), None)
    if fast:
        return Precision("mixed_bfloat16", f"the CPU has {fast}")
    return Precision("float32", "no GPU, and the CPU does not support bfloat16")


@contextmanager
def precision_policy(policy: str) -> Iterator[None]:
    """Use the Keras policy `policy` inside the block, and restore the previous policy afterwards."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def float32_head(model: keras.Model) -> None:
    """Make the classification layer of a transformers model compute and return float32."""
    model.classifier._set_dtype_policy(keras.mixed_precision.Policy("float32"))
