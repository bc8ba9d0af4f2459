"""The hosts of a distributed run, from the environment variable TF_CONFIG."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from tf_tokclf.errors import UserError

EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """The workers of a run. addresses: "host:port" of each, the chief first. rank: the index of this process."""

    addresses: tuple[str, ...]
    rank: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster in TF_CONFIG. None if the variable is not set. Raises UserError if it is invalid."""
    text = environment.get("TF_CONFIG", "").strip()
    if not text:
        return None
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise _bad(f"is not valid JSON ({error.msg} at character {error.pos + 1})") from error
    try:
        jobs = {str(job): [_checked(address) for address in hosts] for job, hosts in tree["cluster"].items()}
        kind, index = str(tree["task"]["type"]), int(tree["task"]["index"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        missing = f"lacks {error}" if isinstance(error, KeyError) else f"is invalid ({error})"
        raise _bad(missing) from error
    if strange := sorted(jobs.keys() - {"chief", "worker"}):
        raise _bad(f"has tasks of type {', '.join(strange)}, but only chief and worker are supported")
    if not 0 <= index < len(jobs.get(kind, [])):
        raise _bad(f"names this process {kind} {index}, which is not in the cluster")
    chiefs = jobs.get("chief", [])
    return Cluster((*chiefs, *jobs.get("worker", [])), index + (len(chiefs) if kind == "worker" else 0))


def cluster_of(strategy: str) -> Cluster | None:
    """The cluster of a run with this strategy, None on a single host. Raises UserError if it needs one and has none."""
    if strategy not in ("auto", "multi-worker"):
        return None
    cluster = read_cluster()
    if cluster is None and strategy == "multi-worker":
        raise UserError(
            "--strategy multi-worker needs the environment variable TF_CONFIG.", hint=f"It looks like {EXAMPLE}"
        )
    return cluster if strategy == "multi-worker" or (cluster and len(cluster.addresses) > 1) else None


def is_chief(strategy: str) -> bool:
    """Whether this process writes the files of a run with this strategy."""
    cluster = cluster_of(strategy)
    return cluster is None or cluster.is_chief


def split_address(address: str) -> tuple[str, int]:
    """Host and port.

    >>> split_address("[::1]:2222"), split_address("host:80")
    (('::1', 2222), ('host', 80))
    """
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _checked(address: object) -> str:
    text = str(address)
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not of the form host:port")
    return text


def _bad(problem: str) -> UserError:
    return UserError(f"the environment variable TF_CONFIG {problem}.", hint=f"It looks like {EXAMPLE}")
