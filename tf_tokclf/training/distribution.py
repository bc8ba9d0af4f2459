"""One run on several devices or hosts with tf.distribute: the rows of each replica, and how results are combined.

All replicas work on the same global batch, each on its share of the rows. Losses are sums over subword tokens divided
by the total weight of the whole batch, so that the sum of all gradients equals the gradient on a single device. All
hosts read the same data and prepare complete batches, which is cheap compared with the computation.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from tf_tokclf.config.cluster import Cluster, cluster_of, split_address
from tf_tokclf.config.schema import TrainingConfig
from tf_tokclf.encoding.encoder import UNSCORED
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.model.backend import VERBOSE, quiet_stderr, tf
from tf_tokclf.model.parallel import has_gpu

log = logging.getLogger(__name__)

# The errors of collective operations when a host is lost.
WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
# Numbers per message when the chief sends its state to the others: 64 MB.
BROADCAST_SIZE = 2**24


def rows_of_part(batch: Mapping[str, tf.Tensor], part: tf.Tensor | int, n_parts: int) -> dict[str, tf.Tensor]:
    """The rows of part `part` of `n_parts` of a batch. All parts have the same number of rows, if necessary unscored
    ones.
    """
    n_rows = tf.shape(batch["labels"])[0]
    n_own = (n_rows + n_parts - 1) // n_parts
    rows = part * n_own + tf.range(n_own)
    own = {name: tf.gather(values, tf.minimum(rows, n_rows - 1)) for name, values in batch.items()}
    unscored = tf.cast(UNSCORED, own["labels"].dtype)
    return own | {"labels": tf.where((rows < n_rows)[:, None], own["labels"], unscored)}


class Devices:
    """The replicas of a run: one device, all devices of a host, or those of several hosts."""

    def __init__(self, strategy: tf.distribute.Strategy | None = None, cluster: Cluster | None = None) -> None:
        self._strategy = strategy
        self.rank = cluster.rank if cluster else 0
        self.n_workers = len(cluster.addresses) if cluster else 1
        self.n_replicas = strategy.num_replicas_in_sync if strategy else 1
        self._sum = tf.function(self._sum_of_first, input_signature=[tf.TensorSpec((None,), tf.int32)])

    def __str__(self) -> str:
        if self._strategy is None:
            return "one device"
        hosts = f" on {self.n_workers} hosts" if self.n_workers > 1 else ""
        return f"{self.n_replicas} replicas{hosts}"

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    @property
    def input_device(self) -> str | None:
        """Where batches are copied in advance: a single GPU, or main memory, from which several GPUs fetch their rows.

        None on CPUs, whose cores are busy with the previous step. There, a batch takes 1 ms of one core, and a step at
        least 50 ms.
        """
        if not has_gpu():
            return None
        return "/GPU:0" if self._strategy is None else "/CPU:0"

    def scope(self) -> AbstractContextManager[Any]:
        """The scope in which variables must be created."""
        return self._strategy.scope() if self._strategy else nullcontext()

    def run(self, function: Callable[..., tf.Tensor], *args: Any) -> tf.Tensor:
        """Call `function` on every replica, inside a tf.function. Returns the sum of the results."""
        if self._strategy is None:
            return function(*args)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, self._strategy.run(function, args=args), axis=None)

    def own_rows(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The calling replica's share of a batch, as computed by `rows_of_part`."""
        if self.n_replicas == 1:
            return dict(batch)
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        return rows_of_part(batch, replica, self.n_replicas)

    def summed(self, gradients: Sequence[tf.Tensor | tf.IndexedSlices]) -> list[tf.Tensor | tf.IndexedSlices]:
        """The sum of all replicas' gradients, on every replica."""
        if self._strategy is None:
            return list(gradients)
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set on any host. All hosts must call this."""
        return flag if self.n_workers == 1 else bool(self._sum_of_hosts(np.array([flag], np.int32))[0])

    def wait(self) -> None:
        """Wait until all hosts have called this."""
        self.any(False)

    def leave(self) -> None:
        """Wait for the other hosts at the end of a run. It does not matter if one has already left."""
        try:
            self.wait()
        except WORKER_ERRORS as error:
            log.debug("another worker has already left: %s", error)

    def merged(self, scores: np.ndarray, own: slice) -> np.ndarray:
        """`scores` float32 with the rows `own` of this host and the rows of the other hosts, bit for bit."""
        bits = np.zeros(scores.shape, np.int32)
        bits[own] = np.ascontiguousarray(scores[own], np.float32).view(np.int32)
        return self._sum_of_hosts(bits.ravel()).reshape(scores.shape).view(np.float32)

    def from_chief(self, content: bytes) -> bytes:
        """The chief's `content`. Those of the other hosts are ignored."""
        if self.n_workers == 1:
            return content
        size = int(self._sum_of_hosts(np.array([len(content) if self.is_chief else 0], np.int32))[0])
        padded = content.ljust(-(-size // 4) * 4, b"\0") if self.is_chief else bytes(-(-size // 4) * 4)
        numbers = np.frombuffer(padded, np.int32)
        parts = [
            self._sum_of_hosts(numbers[first : first + BROADCAST_SIZE])
            for first in range(0, len(numbers), BROADCAST_SIZE)
        ]
        return b"".join(part.tobytes() for part in parts)[:size]

    def take_from_chief(self, variables: Sequence[tf.Variable]) -> None:
        """Set `variables` to the values that they have on the chief, bit for bit."""
        if self.n_workers == 1:
            return
        for variable in variables:
            values = variable.numpy()
            received = np.frombuffer(self.from_chief(values.tobytes()), values.dtype).reshape(values.shape)
            if not self.is_chief:
                variable.assign(received)

    @contextmanager
    def explained_failures(self, resume_command: str) -> Iterator[None]:
        """Turn the errors that follow the loss of another host into a JobError."""
        try:
            yield
        except WORKER_ERRORS as error:
            if self.n_workers == 1:
                raise
            raise JobError(
                f"the connection to another worker was lost, so this one ({self.rank} of {self.n_workers}) stops too. "
                f"Start all workers again with --resume: {resume_command}"
            ) from error

    def _sum_of_hosts(self, numbers: np.ndarray) -> np.ndarray:
        return self._sum(tf.constant(numbers, tf.int32)).numpy()

    def _sum_of_first(self, numbers: tf.Tensor) -> tf.Tensor:
        """The sum over hosts, of the first replica of each."""
        assert self._strategy is not None, "one host has nothing to sum"
        strategy, n_local = self._strategy, self.n_replicas // self.n_workers

        def contribute(numbers: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            is_first = tf.equal(tf.cast(context.replica_id_in_sync_group, tf.int32) % n_local, 0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, numbers * tf.cast(is_first, tf.int32))

        return strategy.experimental_local_results(strategy.run(contribute, args=(numbers,)))[0]


def find_devices(training: TrainingConfig) -> Devices:
    """The devices of a run. If there are other workers in TF_CONFIG, this waits for them.

    Call it before TensorFlow computes anything, because it connects the workers.
    """
    cluster = cluster_of(training.strategy)
    if cluster:
        wait_for_workers(cluster, timeout_s=training.worker_timeout_s)
        with quiet_stderr(quiet=not VERBOSE):
            return Devices(tf.distribute.MultiWorkerMirroredStrategy(), cluster)
    kind = "GPU" if has_gpu() else "CPU"
    names = [device.name for device in tf.config.list_logical_devices(kind)]
    if training.strategy == "mirrored" or (training.strategy == "auto" and kind == "GPU" and len(names) > 1):
        with quiet_stderr(quiet=not VERBOSE):
            return Devices(tf.distribute.MirroredStrategy(names))
    return Devices()


def wait_for_workers(cluster: Cluster, *, timeout_s: float) -> None:
    """Wait until all other workers answer. Raises UserError that lists those that do not.

    TensorFlow itself would wait for up to an hour, and then end the process.
    """
    own = split_address(cluster.addresses[cluster.rank])
    missing = {address: "" for i, address in enumerate(cluster.addresses) if i != cluster.rank}
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", own[1]))
        except OSError as error:
            raise UserError(
                f"TF_CONFIG: this worker cannot listen on port {own[1]}: {error.strerror}.",
                hint="Stop the process that uses the port, or choose another port.",
            ) from error
        # TensorFlow takes over the port later. Until then connections wait in this queue, which shows that we listen.
        listener.listen(len(cluster.addresses) * 4)
        deadline = time.monotonic() + timeout_s
        while missing:
            for address in list(missing):
                problem = _problem(address)
                if problem is None:
                    del missing[address]
                else:
                    missing[address] = problem
            if missing and time.monotonic() > deadline:
                listing = ", ".join(f"{address} ({problem})" for address, problem in missing.items())
                raise UserError(
                    f"TF_CONFIG: no answer within {timeout_s:g} s from {listing}.",
                    hint="Start all workers, and give them addresses that all of them can reach.",
                )
            time.sleep(0.2 if missing else 0)


def _problem(address: str) -> str | None:
    """Why `address` does not answer, or None if it does."""
    try:
        socket.create_connection(split_address(address), timeout=3).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
