"""The local Hub as a process: python -m tests.local_hub FOLDER [MEGABYTES_PER_S].

Prints the environment variables for its clients as one line of JSON, and serves until its input is closed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.local_hub import LocalHub


def main() -> None:
    """Serve the folder, with a limit on the speed of uploads."""
    folder = Path(sys.argv[1])
    with LocalHub(folder / "hub") as hub:
        if sys.argv[2:]:
            hub.bytes_per_s = float(sys.argv[2]) * 1e6
        print(json.dumps(hub.env(folder / "home")), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
