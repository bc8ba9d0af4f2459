"""Parts of a job handed out to processes on one machine or on many by Ray Data.

Ray Data, since it is a Python library whose workers keep a loaded model between parts, starts on one machine with no
service beside it. That a part is whole or goes on is the business of
`predict_to_file`: so every format works, and a part that is tried again is not begun again.
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
from tf_tokclf.errors import JobError, Stopped, UserError, first_line
from tf_tokclf.files import DISK_FULL
from tf_tokclf.inference.partial_output import Progress
from tf_tokclf.inference.parts_folder import Part
from tf_tokclf.inference.prediction_job import Watcher, predict_to_file
from tf_tokclf.inference.prediction_spec import PredictionSpec
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.model.parallel import N_CORES
from tf_tokclf.optional_packages import check_installed

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

# Workers that die more often are not killed by chance.
_MAX_DEATHS = 3
_CONNECT_TIMEOUT_S = 5.0
# Only numbers of parts go through it; Ray takes no less.
_OBJECT_STORE_BYTES = 80 * 2**20
_COUNTS = ("n_records", "n_words", "n_bytes", "n_problems")


def check_ray(address: str | None) -> None:
    """Raise UserError where Ray is not installed, or nothing answers at `address`."""
    check_installed("--workers", "ray", extra="ray")
    if address is None:
        return
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal()) or "/" in host:
        raise UserError(
            f"{address!r} is not of the form HOST:PORT.", hint="Give --ray-address what `ray start --head` printed."
        )
    try:
        socket.create_connection((host, int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        hint = "Check --ray-address (or RAY_ADDRESS), and that Ray runs there."
        raise UserError(f"nothing answers at {address}: {first_line(error)}.", hint=hint) from error


def predict_with_ray(
    spec: PredictionSpec, parts: Sequence[Part], *, n_workers: int, address: str | None, watcher: Watcher
) -> Progress:
    """Label all `parts`, each into its file.

    address: of a running cluster; None: workers of this machine alone, which end with the call.
    Raises UserError for what a part's input has, JobError where a worker cannot go on, Stopped on Ctrl-C and SIGTERM.
    """
    progress, waiting, n_deaths = Progress(), dict(enumerate(parts)), 0
    with _stoppable(), _ray(n_workers, address):
        watcher.show(progress, 0, len(parts))
        while waiting:
            try:
                for row in _rows(spec, waiting, n_workers):
                    if row["problem"]:
                        kind = UserError if row["is_users"] else JobError
                        raise kind(f"{row['problem']} What is labelled stays: go on with --resume.")
                    progress = Progress(*(getattr(progress, name) + int(row[name]) for name in _COUNTS))
                    del waiting[int(row["part"])]
                    watcher.show(progress, len(parts) - len(waiting), len(parts))
            except _worker_deaths() as error:
                n_deaths += 1
                if n_deaths > _MAX_DEATHS:
                    raise JobError(
                        f"workers died {counted(n_deaths, 'time')} ({first_line(error)}). What is labelled stays: go "
                        "on with --resume, and fewer --workers if memory was short."
                    ) from error
                log.warning("a worker died; its part goes on where it came to.")
    return progress


def _worker_deaths() -> tuple[type[Exception], ...]:
    from ray import exceptions

    return exceptions.RayActorError, exceptions.WorkerCrashedError, exceptions.OutOfMemoryError


def _rows(spec: PredictionSpec, parts: Mapping[int, Part], n_workers: int) -> Iterator[dict[str, Any]]:
    """What the workers say of each part, as they come. Ends in one of `_worker_deaths` when one of them dies."""
    import ray
    from ray.data import ActorPoolStrategy

    numbers = ray.data.from_items([{"part": number} for number in parts], override_num_blocks=len(parts))
    with warnings.catch_warnings():
        # Ray 2.60 says that 2.64 will take the two limits by other names, which it does not have yet.
        warnings.simplefilter("ignore", DeprecationWarning)
        answers = numbers.map_batches(
            Worker,
            fn_constructor_args=(spec, dict(parts)),
            batch_size=1,
            # A worker gets its next part when it is done with one: who is slow keeps none from the others.
            compute=ActorPoolStrategy(size=min(n_workers, len(parts)), max_tasks_in_flight_per_actor=1),
            # Ray would bring a worker back itself, and write two pages about it on the terminal.
            max_restarts=0,
            max_task_retries=0,
            **_share_of_each(ray.nodes(), n_workers),
        )
    yield from answers.iter_rows()


def _share_of_each(nodes: Sequence[dict[str, Any]], n_workers: int) -> dict[str, Any]:
    """How many cores, and GPUs where there are any, each of `n_workers` gets on a cluster's machines.

    >>> two = [{"Alive": True, "Resources": {"CPU": 8.0}}, {"Alive": True, "Resources": {"CPU": 8.0}}]
    >>> _share_of_each(two, 3), _share_of_each(two, 4)
    ({'num_cpus': 4}, {'num_cpus': 4})
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    share: dict[str, Any] = {}
    for name, kind in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
        numbers = [int(resources.get(kind, 0)) for resources in alive]
        # A worker's share lies on one machine.
        sizes = range(1, max(numbers, default=0) + 1)
        fitting = [size for size in sizes if sum(n // size for n in numbers) >= n_workers]
        if fitting:
            share[name] = fitting[-1] if kind == "CPU" else 1
        elif kind == "CPU" or any(numbers):
            hint = f"Give --workers no more than {sum(numbers)}."
            raise UserError(f"the cluster has {sum(numbers)} {kind}s for {counted(n_workers, 'worker')}.", hint=hint)
    return share


class Worker:
    """Labels parts, one after the other, with a model that is loaded once."""

    def __init__(self, spec: PredictionSpec, parts: Mapping[int, Part]) -> None:
        self._spec = spec
        self._parts = parts
        self._tagger: Tagger | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Label the parts of these numbers: what was written, or what somebody has to mend."""
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
            problem, is_users = "out of memory: try fewer --workers, or less --look-ahead.", False
        except OSError as error:
            full = error.errno in DISK_FULL
            problem, is_users = f"{part.output}: {'the disk is full: make room.' if full else first_line(error)}", False
        except (Exception, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # Ray ends the process on these, as if it had been killed, and nobody would learn why.
            raise RuntimeError(f"{type(error).__name__}: {first_line(error)}") from error
        return {**{name: getattr(done, name) for name in _COUNTS}, "problem": problem, "is_users": is_users}

    def _label(self, part: Part) -> Progress:
        spec = self._spec
        tagger = self._tagger = self._tagger or spec.tagger()
        with closing(spec.open(tagger, part.source)) as stream:
            job = spec.job(tagger, stream, part.output_format, shard=part.shard)
            identity = spec.identity(tagger, stream, part.output_format, part.shard)
            # Who takes a dead worker's part over goes on where that one came to.
            return predict_to_file(job, part.output, resume=True, identity=identity)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block with Stopped."""
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
    raise Stopped(f"stopped by {by}; what is labelled stays. Go on with --resume.", exit_code=128 + number)


@contextmanager
def _ray(n_workers: int, address: str | None) -> Iterator[None]:
    """A connection to a cluster, or a Ray of this machine that ends with the block and tells nobody of its use."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # The tokenizer, which has been at work here, warns of each process that is started after it unless this is set.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import ray

    # On Linux, sockets have short names: not in TMPDIR, whose name may be long.
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
                # Another version of Ray or Python on the other side, say.
                hint = "Check --ray-address (or RAY_ADDRESS), and Ray's version there."
                raise UserError(f"Ray does not start: {first_line(error)}.", hint=hint) from error
            except Exception as error:
                # Ray raises this very class where its own processes end or take too long, on a full disk for example.
                if type(error) is not Exception:
                    raise
                raise JobError(f"Ray does not start: {first_line(error)}.") from error
            # Ray has put its own in their place.
            _take_signals()
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            # Ray Data takes half an hour without an answer for a job that hangs; a part may take a day.
            context.execution_no_progress_timeout_s = -1
            # What it raises, it logs too.
            logging.getLogger("ray.data").setLevel(logging.CRITICAL)
            yield
        finally:
            ray.shutdown()
