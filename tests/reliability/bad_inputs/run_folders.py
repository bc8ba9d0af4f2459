"""Runs that cannot be resumed: checkpoints, finished runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.reliability.bad_inputs.cells import (
    DEEP,
    Cell,
    Cells,
    cut,
    folder,
    in_place_of,
    run,
    unreadable,
    with_content,
    without,
)


def checkpoints() -> list[Cell]:
    """Checkpoints that `fit --resume` continues from."""
    cells = Cells("fit")
    newest = "checkpoints/*"
    no = partial(cells.no, "checkpoint")

    def bad(fault: str, change: Callable[[Path], None], *says: str, options: str = "--resume") -> None:
        # A finished run needs no checkpoints.
        cells.bad("checkpoint", fault, f"r {options}", *says, r=run(without("finished.json"), change))

    whole = ("checkpoints: none of the", "Start again with --force")
    bad("missing", without("checkpoints"), "nothing", options="--resume-from-checkpoint nothing")
    bad("missing", without(f"{newest}/SHA256SUMS"), *whole)
    bad("missing", without(f"{newest}/state.json"), *whole)
    bad("missing", without(f"{newest}/variables.index"), *whole)
    bad("empty", with_content(f"{newest}/SHA256SUMS", b""), *whole)
    bad("truncated", cut(f"{newest}/variables.data*", 100), *whole)
    bad("truncated", cut(f"{newest}/best.safetensors", 100), *whole)
    bad("wrong type", with_content(f"{newest}/state.json", b"5"), *whole)
    bad("wrong encoding", with_content(f"{newest}/SHA256SUMS", b"\xff\xfe"), *whole)
    bad("wrong length", with_content(f"{newest}/SHA256SUMS", b"abc\n"), *whole)
    no("duplicated", "copies of a checkpoint would have the same name")

    def resummed(content: bytes) -> Callable[[Path], None]:
        """A state with a correct checksum but invalid content."""

        def change(path: Path) -> None:
            from tf_tokclf.training.checkpoints import write_sums

            for one in path.glob(newest):
                (one / "state.json").write_bytes(content)
                (one / "SHA256SUMS").unlink()
                write_sums(one)

        return change

    bad("out of range", resummed(b'{"format": 99}'), "the checkpoint has format 99", "Start again with --force")
    bad("hostile", resummed(b'{"format": 1}'), "does not contain the state of a run", "Start again with --force")
    half = b'{"format": 1, "position": {"epoch": 0.5, "history": []}, "settings": {}, "contents": {}}'
    bad("wrong type", resummed(half), "does not contain the state of a run", "Start again with --force")
    bad("hostile", resummed(DEEP), "state.json: not valid JSON", "Start again with --force")
    climbing = b"00  ../../../../etc/passwd\n00  state.json\n00  variables.index\n"
    bad("hostile", with_content(f"{newest}/SHA256SUMS", climbing), *whole)
    no("huge", "checksums are computed in blocks")
    bad("unreadable", in_place_of(f"{newest}/state.json", folder), *whole)
    bad("unreadable", in_place_of(f"{newest}/state.json", unreadable), *whole)
    return cells


def finished_runs() -> list[Cell]:
    """Finished runs without checkpoints, continued by `fit --resume`."""
    cells = Cells("fit")
    no = partial(cells.no, "finished run")
    weights, record = "model/model.safetensors", "finished.json"

    def bad(fault: str, change: Callable[[Path], None], *says: str, options: str = "--resume") -> None:
        cells.bad("finished run", fault, f"r {options}", *says, r=run(without("checkpoints"), change))

    lost = f"{weights} was changed and cannot be restored: the run is finished, and its checkpoints were"
    again = "train again with --force"
    gone = (f"{weights} is missing and cannot be restored", "Copy the file from a backup", again)
    bad("missing", without(weights), *gone)
    bad("missing", without("model"), *gone)
    bad("empty", with_content(weights, b""), lost, again)
    bad("truncated", cut(weights, 1000), lost, again)
    bad("wrong length", with_content(weights, b"x" * 10_000_000), lost, again)
    bad("unreadable", in_place_of(weights, folder), f"{weights} cannot be read (Is a directory)", again)
    unchecked = ("without checkpoints and finished.json it cannot be checked", "replace the run with --force")
    bad("missing", without(record), *unchecked)
    bad("wrong type", with_content(record, b"5"), *unchecked)
    bad("wrong encoding", with_content(record, b"\xff\xfe"), *unchecked)
    bad("hostile", with_content(record, DEEP), *unchecked)
    bad("unreadable", in_place_of(record, unreadable), *unchecked)

    def climbing(path: Path) -> None:
        """A record with a correct checksum that names a file elsewhere."""
        from tf_tokclf.files import read_sealed_json, write_sealed_json

        content = read_sealed_json(path / record)
        content["files"]["../../../../etc/passwd"] = "0" * 64
        write_sealed_json(path / record, content)

    bad("hostile", climbing, *unchecked)
    longer = ("its last checkpoint was not kept, so it cannot be continued to 9 epochs", "--keep-checkpoints 1")
    bad("out of range", lambda path: None, *longer, options="--num-train-epochs 9 --resume")
    no("duplicated", "a run is a folder")
    no("huge", "checksums are computed in blocks")
    return cells
