"""The local Hub's pre-receive hook: no large blobs outside LFS, no pointers without their object.

Arguments: folder of the LFS store, largest blob in bytes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def _git(*arguments: str, data: str | None = None) -> str:
    return subprocess.run(["git", *arguments], input=data, capture_output=True, encoding="latin-1", check=True).stdout


def refusals(store: Path, limit: int, commits: list[str]) -> list[str]:
    """Problems for which the Hub would reject the new objects of `commits`."""
    found = []
    objects = _git("rev-list", "--objects", *commits, "--not", "--all")
    names = "".join(row.split()[0] + "\n" for row in objects.splitlines())
    checked = _git("cat-file", "--batch-check=%(objecttype) %(objectname) %(objectsize)", data=names)
    for line in checked.splitlines():
        kind, oid, size = line.split()
        if kind != "blob":
            continue
        if int(size) > limit:
            found.append(f"Your push was rejected because it contains files larger than 10 MiB ({oid}).")
        elif int(size) < 200:
            pointer = re.match(
                r"version https://git-lfs\S*\noid sha256:([0-9a-f]{64})\n", _git("cat-file", "blob", oid)
            )
            if pointer and not (store / pointer[1][:2] / pointer[1]).exists():
                found.append(f"LFS pointer pointed to a file that does not exist ({oid}).")
    return found


if __name__ == "__main__":
    new = [line.split()[1] for line in sys.stdin if set(line.split()[1]) != {"0"}]
    problems = refusals(Path(sys.argv[1]), int(sys.argv[2]), new) if new else []
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(bool(problems))
