"""Shared code of the benchmarks: run systems as processes that print their measurements, and make tables of them."""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
BASELINES = Path(__file__).resolve().parents[1] / "baselines"

Measured = dict[str, Any]


class ProcessFailed(Exception):
    """A process that should print its measurements failed. The message contains the end of its standard error."""


def measured_by(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Run a process and return its measurements: the JSON in its last line. Raises ProcessFailed."""
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, env=variables)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise ProcessFailed(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(lines[-1])


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """As `measured_by`, but ends the benchmark if the process fails."""
    try:
        return measured_by(command, environment)
    except ProcessFailed as error:
        sys.exit(str(error))


def told(message: str) -> None:
    """Log the progress of the benchmark to standard error."""
    print(message, file=sys.stderr, flush=True)


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def spread(rows: Sequence[Measured], key: str, digits: int = 1) -> str:
    """Median (smallest - largest)."""
    values = [row[key] for row in rows]
    low, middle, high = (f"{v:,.{digits}f}" for v in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} - {high})"


def mean_and_deviation(rows: Sequence[Measured], key: str) -> str:
    """The mean, with the standard deviation if there are several values."""
    values = [row[key] for row in rows]
    deviation = f" +- {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation}"


def machine() -> str:
    """Processor and cores."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line for line in lines if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else platform.processor()
    return f"{name}, {os.cpu_count()} cores"


@contextmanager
def reserved_ports(n: int) -> Iterator[list[int]]:
    """`n` ports of loopback that no other process gets while the block runs. Servers can listen on them."""
    with ExitStack() as stack:
        ports = []
        for _ in range(n):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0))
            ports.append(one.getsockname()[1])
        yield ports
