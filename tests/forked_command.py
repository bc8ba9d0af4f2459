"""Run `tf-tokclf` in a fork of a process that has imported TensorFlow, as if it were this process.

    python -IS forked_command.py SOCKET BEFORE ARGS...

The fork gets this process's arguments, environment, folder and standard files. Signals are passed on to it. If this
process is killed, so is the fork. If the fork ends, this process ends in the same way. SOCKET is the name of an
abstract socket of `tests.killing`. BEFORE is Python code that the fork runs first. This file imports only what starts
quickly.
"""

import json
import os
import signal
import socket
import struct
import sys

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def main() -> None:
    """Ask for the fork, and end with its exit code or by its signal."""
    # Before the socket takes the number of a closed file.
    descriptors = [number for number in range(3) if _is_open(number)]
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"\0{sys.argv[1]}")
    for number in SIGNALS:
        signal.signal(number, lambda number, _: connection.send(bytes([number])))
    request = {
        "before": sys.argv[2],
        "args": sys.argv[3:],
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109 - pathlib is slow to import
        "descriptors": descriptors,
    }
    text = json.dumps(request).encode()
    socket.send_fds(connection, [struct.pack("!Q", len(text))], descriptors)
    connection.sendall(text)
    (code,) = struct.unpack("!i", connection.recv(4, socket.MSG_WAITALL))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
