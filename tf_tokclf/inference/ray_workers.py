"""Distribute the parts of a job with Ray Data, to processes on one machine or on several.

Ray Data is a Python library whose workers keep a loaded model between parts, and it starts on one machine without a
service. `predict_to_file` makes each part complete or resumable, so all formats work, and a part that is retried
continues where it stopped.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from tf_tokclf.counted import counted
from tf_tokclf.cpu import N_CORES
from tf_tokclf.errors import JobError, Stopped, UserError, first_line
from tf_tokclf.files import DISK_FULL
from tf_tokclf.inference.partial_output import Progress
from tf_tokclf.inference.parts_folder import Part
from tf_tokclf.inference.prediction_job import Watcher, predict_to_file
from tf_tokclf.inference.prediction_spec import PredictionSpec
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.optional_packages import check_installed

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

# If workers die more often, this is not by chance.
_MAX_DEATHS = 3
_CONNECT_TIMEOUT_S = 5.0
# Only part numbers are stored in it. Ray does not accept a smaller size.
_OBJECT_STORE_BYTES = 80 * 2**20
_COUNTS = ("n_records", "n_words", "n_bytes", "n_problems")


def check_ray(address: str | None) -> None:
    """Raise UserError if Ray is not installed, or if there is no connection to `address`."""
    check_installed("--workers", "ray", extra="ray")
    if address is None:
        return
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal()) or "/" in host:
        raise UserError(
            f"{address!r} is not of the form HOST:PORT.",
            hint="Pass the address that `ray start --head` printed as --ray-address.",
        )
    try:
        socket.create_connection((host, int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        hint = "Check --ray-address (or RAY_ADDRESS), and that Ray is running there."
        raise UserError(f"no connection to {address}: {first_line(error)}.", hint=hint) from error


def predict_with_ray(
    spec: PredictionSpec, parts: Sequence[Part], *, n_workers: int, address: str | None, watcher: Watcher
) -> Progress:
    """Label all `parts`, each into its file.

    address: that of a running cluster; None for workers on this machine, which end with the call. Raises UserError for
    a problem in the input of a part, JobError if a worker cannot continue, and Stopped on Ctrl-C and SIGTERM.
    """
    progress, waiting, n_deaths = Progress(), dict(enumerate(parts)), 0
    with _stoppable(), _ray(n_workers, address):
        watcher.show(progress, 0, len(parts))
        while waiting:
            try:
                for row in _rows(spec, waiting, n_workers):
                    if row["problem"]:
                        kind = UserError if row["is_users"] else JobError
                        raise kind(f"{row['problem']} Finished work is kept: continue with --resume.")
                    progress = Progress(*(getattr(progress, name) + int(row[name]) for name in _COUNTS))
                    del waiting[int(row["part"])]
                    watcher.show(progress, len(parts) - len(waiting), len(parts))
            except _worker_deaths() as error:
                n_deaths += 1
                if n_deaths > _MAX_DEATHS:
                    raise JobError(
                        f"workers died {counted(n_deaths, 'time')} ({first_line(error)}). Finished work is kept: "
                        "continue with --resume, and with fewer --workers if memory ran out."
                    ) from error
                log.warning("a worker died; its part continues where it stopped.")
    return progress


def _worker_deaths() -> tuple[type[Exception], ...]:
    from ray import exceptions

    return exceptions.RayActorError, exceptions.WorkerCrashedError, exceptions.OutOfMemoryError


def _rows(spec: PredictionSpec, parts: Mapping[int, Part], n_workers: int) -> Iterator[dict[str, Any]]:
    """The results of the parts, in the order of completion. Raises one of `_worker_deaths` if a worker dies."""
    import ray
    from ray.data import ActorPoolStrategy

    numbers = ray.data.from_items([{"part": number} for number in parts], override_num_blocks=len(parts))
    with warnings.catch_warnings():
        # Ray 2.60 warns that 2.64 will rename the two limits, but does not have the new names yet.
        warnings.simplefilter("ignore", DeprecationWarning)
        answers = numbers.map_batches(
            Worker,
            fn_constructor_args=(spec, dict(parts)),
            batch_size=1,
            # A worker gets its next part when it has finished one, so that no parts wait for slow workers.
            compute=ActorPoolStrategy(size=min(n_workers, len(parts)), max_tasks_in_flight_per_actor=1),
            # Ray would restart a worker itself, and print two pages about it.
            max_restarts=0,
            max_task_retries=0,
            **_share_of_each(ray.nodes(), n_workers),
        )
    yield from answers.iter_rows()


def _share_of_each(nodes: Sequence[dict[str, Any]], n_workers: int) -> dict[str, Any]:
    """The number of cores, and of GPUs if there are any, for each of `n_workers` on the machines of a cluster.

    >>> two = [{"Alive": True, "Resources": {"CPU": 8.0}}, {"Alive": True, "Resources": {"CPU": 8.0}}]
    >>> _share_of_each(two, 3), _share_of_each(two, 4)
    ({'num_cpus': 4}, {'num_cpus': 4})
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    share: dict[str, Any] = {}
    for name, kind in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
        numbers = [int(resources.get(kind, 0)) for resources in alive]
        # The share of a worker must be on one machine.
        sizes = range(1, max(numbers, default=0) + 1)
        fitting = [size for size in sizes if sum(n // size for n in numbers) >= n_workers]
        if fitting:
            share[name] = fitting[-1] if kind == "CPU" else 1
        elif kind == "CPU" or any(numbers):
            available = counted(sum(numbers), kind)
            hint = f"Use at most --workers {sum(numbers)}."
            raise UserError(f"the cluster has only {available} for {counted(n_workers, 'worker')}.", hint=hint)
    return share


class Worker:
    """Labels parts one after another, with a model that is loaded once."""

    def __init__(self, spec: PredictionSpec, parts: Mapping[int, Part]) -> None:
        self._spec = spec
        self._parts = parts
        self._tagger: Tagger | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Label the parts with these numbers. Returns the counts of each part, or its problem."""
        rows = [{"part": int(number), **self._answer(self._parts[int(number)])} for number in batch["part"]]
        return {name: [row[name] for row in rows] for name in ("part", *_COUNTS, "problem", "is_users")}

    def _answer(self, part: Part) -> dict[str, Any]:
        done, problem, is_users = Progress(), "", True
        try:
            done = self._label(part)
        except UserError as error:
            problem = str(error)
        except JobError as error:
            problem, is_users = str(error), False
        except MemoryError:
            problem, is_users = "out of memory: try fewer --workers, or a smaller --look-ahead.", False
        except OSError as error:
            full = error.errno in DISK_FULL
            what = "the disk is full: free some space." if full else first_line(error)
            problem, is_users = f"{part.output}: {what}", False
        except (Exception, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # Ray would end the process as if it had been killed, and the reason would be lost.
            raise RuntimeError(f"{type(error).__name__}: {first_line(error)}") from error
        return {**{name: getattr(done, name) for name in _COUNTS}, "problem": problem, "is_users": is_users}

    def _label(self, part: Part) -> Progress:
        spec = self._spec
        tagger = self._tagger = self._tagger or spec.tagger()
        with closing(spec.open(tagger, part.source)) as stream:
            job = spec.job(tagger, stream, part.output_format, shard=part.shard)
            identity = spec.identity(tagger, stream, part.output_format, part.shard)
            # A worker that takes over the part of a dead worker continues where that one stopped.
            return predict_to_file(job, part.output, resume=True, identity=identity)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Inside the block, Ctrl-C and SIGTERM raise Stopped."""
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    _take_signals()
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _take_signals() -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _stop)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    by = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[signal.Signals(number)]
    raise Stopped(f"stopped by {by}. Finished work is kept: continue with --resume.", exit_code=128 + number)


@contextmanager
def _ray(n_workers: int, address: str | None) -> Iterator[None]:
    """A connection to a cluster, or a local Ray that ends with the block. Ray's usage statistics are switched off."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Without this setting, the tokenizer warns about each process that is started after it has been used.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import ray

    # The length of socket names is limited on Linux, so TMPDIR is not used: its name may be long.
    place = "/tmp" if os.name == "posix" else None
    with tempfile.TemporaryDirectory(prefix="tf-tokclf-", dir=place, ignore_cleanup_errors=True) as folder:
        options: dict[str, Any] = {"address": address}
        if address is None:
            options = {"address": "local", "num_cpus": max(N_CORES, n_workers), "include_dashboard": False}
            options |= {"object_store_memory": _OBJECT_STORE_BYTES, "_temp_dir": folder}
        try:
            try:
                ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                # For example another version of Ray or Python on the cluster.
                hint = "Check --ray-address (or RAY_ADDRESS), and the version of Ray there."
                raise UserError(f"Ray cannot be started: {first_line(error)}.", hint=hint) from error
            except Exception as error:
                # Ray raises exactly this class if its own processes end or take too long, for example on a full disk.
                if type(error) is not Exception:
                    raise
                raise JobError(f"Ray cannot be started: {first_line(error)}.") from error
            # Ray has replaced the signal handlers.
            _take_signals()
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            # Ray Data would stop a job without progress after half an hour, but a part may take a day.
            context.execution_no_progress_timeout_s = -1
            # Errors are raised, so they need not be logged too.
            logging.getLogger("ray.data").setLevel(logging.CRITICAL)
            yield
        finally:
            ray.shutdown()
