"""The other machines of a run, as the environment variable TF_CONFIG names them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from tf_tokclf.errors import UserError

EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """addresses: "host:port" of each worker, the chief's first. rank: which of them this process is."""

    addresses: tuple[str, ...]
    rank: int

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster in TF_CONFIG; None where it is not set. Raises UserError where it makes no sense."""
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
        missing = f"lacks {error}" if isinstance(error, KeyError) else f"cannot be understood ({error})"
        raise _bad(missing) from error
    if strange := sorted(jobs.keys() - {"chief", "worker"}):
        raise _bad(f"has tasks of type {', '.join(strange)}; known are chief and worker")
    if not 0 <= index < len(jobs.get(kind, [])):
        raise _bad(f"says that this is {kind} {index}, which its cluster does not have")
    chiefs = jobs.get("chief", [])
    return Cluster((*chiefs, *jobs.get("worker", [])), index + (len(chiefs) if kind == "worker" else 0))


def cluster_of(strategy: str) -> Cluster | None:
    """The cluster that a run with this setting is part of. Raises UserError where it needs one and there is none."""
    if strategy not in ("auto", "multi-worker"):
        return None
    cluster = read_cluster()
    if cluster is None and strategy == "multi-worker":
        raise UserError("multi-worker needs the environment variable TF_CONFIG.", hint="See scripts/workers.")
    return cluster if strategy == "multi-worker" or (cluster and len(cluster.addresses) > 1) else None


def is_chief(strategy: str) -> bool:
    """Whether this process writes what a run with this setting gives."""
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
