"""Servers that cannot be started."""

from __future__ import annotations

from functools import partial

from tests.reliability.bad_inputs.cells import (
    ESC,
    Cell,
    Cells,
    cut,
    folder,
    in_place_of,
    model,
    unreadable,
)


def servers() -> list[Cell]:
    """Options of `serve`."""
    cells = Cells("serve")
    bad, no = partial(cells.bad, "servers"), partial(cells.no, "servers")
    bad("missing", "", "Missing argument 'MODEL'")
    bad("missing", "./nothing --port 0", "there is no model folder ./nothing", "Give a folder")
    bad("missing", "{model} --host nowhere.invalid", "unknown host 'nowhere.invalid'", "--host")
    bad("missing", "{model} --host 0.0.0.0 --port 0", "a server at 0.0.0.0 needs the host names", "Add --allowed-host")
    bad("empty", "{model} --port 0 --allowed-host ''", "is not a host name", "Give only the name")
    bad("empty", "m --port 0", "m has no config.json", "Check the path", m=folder)
    bad("truncated", "m --port 0", "model.safetensors: is damaged", "Fetch", m=model(cut("model.safetensors", 100)))
    bad("wrong type", "{model} --port http", "'http' is not a valid integer", "--port")
    bad("wrong type", "{model} --timeout-s soon", "'soon' is not a valid float", "--timeout-s")
    bad("wrong type", "m --port 0", "m: is a file", "Give a folder", m=b"no folder")
    bad("wrong encoding", "{model} --port \u00b2", "is not a valid integer", "--port")
    no("wrong length", "each option has a single value")
    bad("out of range", "{model} --port 65536", "65536 is not in the range 0<=x<=65535", "--port")
    numbers = ("--max-batch-texts", "--max-waiting-texts", "--max-body-bytes", "--max-texts", "--max-length")
    for option in (*numbers, "--max-connections"):
        bad("out of range", f"{{model}} --port 0 {option} 0", "0 is not in the range x>=1", option)
    bad("out of range", "{model} --port 0 --max-wait-ms -1", "-1.0 is not in the range 0<=x<=60000", "--max-wait-ms")
    for option in ("--timeout-s", "--headers-timeout-s", "--keep-alive-s"):
        bad("out of range", f"{{model}} --port 0 {option} 0", "0.0 is not in the range 0<x<=86400", option)
        bad("out of range", f"{{model}} --port 0 {option} nan", "nan", option)
    bad("out of range", "{model} --port 0 --max-wait-ms nan", "nan", "--max-wait-ms")
    bad(
        "out of range", "{model} --port 0 --max-texts 2000", "--max-waiting-texts is 1,024", "Raise --max-waiting-texts"
    )
    no("duplicated", "a port that is already in use: see tests/serving")
    bad("hostile", f"{{model}} --host {ESC}", "unknown host", "--host")
    bad("hostile", f"{{model}} --host {'a' * 64}.org", "unknown host", "--host")
    for name in ("http://ner.example.org/", "ner.example.org:80", f"a{ESC}", "ner example"):
        bad("hostile", f"{{model}} --allowed-host '{name}'", "is not a host name", "Give only the name")
    bad("hostile", "package:tf_tokclf/../../etc --port 0", "leads out of the package", "inside")
    bad("huge", f"{{model}} --host {'x' * 5000}", "unknown host", "--host")
    bad("huge", "{model} --port 0 --timeout-s inf", "inf", "--timeout-s")
    bad("huge", "{model} --port 0 --timeout-s 1e300", "--timeout-s")
    bad("huge", "{model} --port 0 --max-wait-ms 1e300", "--max-wait-ms")
    bad("unreadable", "m --port 0", "m", "Fetch", m=model(in_place_of("config.json", unreadable)))
    return cells
