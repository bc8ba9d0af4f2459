"""Writing files and folders completely or not at all; streams, permissions, links and locks."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tf_tokclf.errors import UserError
from tf_tokclf.files import (
    check_different,
    check_no_input,
    copy_whole,
    is_file_locked,
    is_stream,
    lock_file,
    open_output,
    open_whole,
    output_path,
    replace_folder,
    whole_folder,
    whole_path,
    write_json,
    write_json_output,
)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with suppress(ZeroDivisionError), open_whole(path) as file:
        file.write("new")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_leaves_the_old_folder_and_nothing_else(tmp_path: Path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "old").touch()
    with suppress(ZeroDivisionError), whole_folder(folder) as partial:
        (partial / "new").touch()
        raise ZeroDivisionError
    assert [path.name for path in folder.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [folder]


def test_copying_replaces_files_and_folders(tmp_path: Path):
    source, target = tmp_path / "source", tmp_path / "target"
    for folder, name in ((source, "new"), (target, "old")):
        folder.mkdir()
        (folder / name).write_text(name)
    copy_whole(source, target)
    copy_whole(source / "new", tmp_path / "file")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert (tmp_path / "file").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "source", "target"]


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o027])
def test_permissions_follow_the_umask_whoever_makes_the_file(tmp_path: Path, mask: int):
    def private(path: Path) -> None:
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))

    with umask(mask):
        with whole_path(tmp_path / "one") as partial:
            private(partial)
        with whole_folder(tmp_path / "folder") as partial:
            (partial / "inner").mkdir(mode=0o700)
            private(partial / "inner" / "two")
        write_json(tmp_path / "three.json", {})
    for name in ("one", "folder/inner/two", "three.json"):
        assert mode_of(tmp_path / name) == 0o666 & ~mask
    for name in ("folder", "folder/inner"):
        assert mode_of(tmp_path / name) == 0o777 & ~mask


def read_pipe(path: Path, into: list[bytes]) -> threading.Thread:
    thread = threading.Thread(target=lambda: into.append(path.read_bytes()))
    thread.start()
    return thread


def test_a_named_pipe_is_written_into(tmp_path: Path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    assert is_stream(pipe)
    thread = read_pipe(pipe, got)
    with open_output(pipe) as file:
        file.write("hello")
    thread.join()
    thread = read_pipe(pipe, got)
    with output_path(pipe) as path:
        path.write_bytes(b"again")
    thread.join()
    assert got == [b"hello", b"again"]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_to_a_device_is_written_through(tmp_path: Path):
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    write_json_output(link, {})
    assert link.readlink() == Path("/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_that_is_a_file_is_appended_to(tmp_path: Path, name: str):
    code = f"""
from pathlib import Path
from tf_tokclf.files import open_output
print("first")
with open_output(Path({name!r})) as file:
    file.write("second\\n")
print("third")
"""
    with (tmp_path / "out.txt").open("w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True, timeout=120)
    assert (tmp_path / "out.txt").read_text() == "first\nsecond\nthird\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


def test_a_stream_that_is_closed_is_told(tmp_path: Path):
    with pytest.raises(UserError, match="/dev/fd/987654: cannot be written: Bad file descriptor"):
        write_json_output(Path("/dev/fd/987654"), {})


def test_a_terminal_gets_no_control_characters():
    master, slave = os.openpty()
    with open_output(Path(os.ttyname(slave))) as file:
        file.write("a\x1b[2Jb")
        file.writelines(["c\x1b]0;d"])
    got = os.read(master, 1000)
    with open_output(Path(os.ttyname(slave)), "wb") as file:
        for byte in "é\x1b".encode():
            file.write(bytes([byte]))
    got += os.read(master, 1000)
    os.close(slave)
    os.close(master)
    sign = "\N{REPLACEMENT CHARACTER}"
    assert got.decode() == f"a{sign}[2Jbc{sign}]0;dé{sign}"


@pytest.mark.parametrize("name", ["pipe", "link"])
def test_a_stream_in_the_place_of_a_file_of_ours_is_replaced(tmp_path: Path, name: str):
    """A copied run folder could contain any link, and nobody chose its target as output."""
    if name == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/null")
    write_json(tmp_path / name, {})
    assert (tmp_path / name).read_text(encoding="utf-8") == "{}\n"
    assert not (tmp_path / name).is_symlink()


def test_no_folder_takes_the_place_of_a_stream(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: is not a folder"), whole_folder(tmp_path / "pipe"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.fixture
def disks(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders: one for links, one for their targets."""
    for name in ("here", "scratch"):
        (tmp_path / name).mkdir()
    return tmp_path / "here", tmp_path / "scratch"


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def write_folder(folder: Path) -> None:
    with whole_folder(folder) as partial:
        (partial / "new").touch()


def test_a_link_to_a_folder_is_kept_and_the_folder_replaced(disks: tuple[Path, Path]):
    here, scratch = disks
    (scratch / "model").mkdir()
    (scratch / "model" / "old").touch()
    (here / "model").symlink_to(scratch / "model")
    write_folder(here / "model")
    assert (here / "model").readlink() == scratch / "model"
    assert (names(here), names(scratch)) == (["model"], ["model", "model/new"])


def test_a_link_whose_folder_was_being_replaced_when_the_process_was_killed_is_kept(disks: tuple[Path, Path]):
    here, scratch = disks
    (scratch / "model.replaced.partial").mkdir()
    (here / "model").symlink_to("../scratch/model")
    write_folder(here / "model")
    assert (names(here), names(scratch)) == (["model"], ["model", "model/new"])
    assert (here / "model").is_symlink()


@pytest.mark.parametrize("target", ["file", "no/where", "model"])
def test_links_to_files_to_nothing_and_in_circles_make_room_for_a_folder(disks: tuple[Path, Path], target: str):
    here, _ = disks
    (here / "file").write_text("precious")
    (here / "model").symlink_to(target)
    write_folder(here / "model")
    assert not (here / "model").is_symlink()
    assert names(here) == ["file", "model", "model/new"]
    assert (here / "file").read_text() == "precious"


def test_a_link_under_the_name_of_the_partial_file_is_not_followed(tmp_path: Path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").touch()
    (tmp_path / "a.partial").symlink_to("precious")
    write_json(tmp_path / "a", {})
    (tmp_path / "b.partial").symlink_to("folder")
    write_folder(tmp_path / "b")
    (tmp_path / "b.replaced.partial").symlink_to("folder")
    write_folder(tmp_path / "b")
    assert names(tmp_path) == ["a", "b", "b/new", "folder", "folder/precious", "precious"]
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_file_in_the_place_of_a_folder_is_replaced_whole(tmp_path: Path):
    (tmp_path / "a").touch()
    (tmp_path / "new").mkdir()
    replace_folder(tmp_path / "new", tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_inputs_are_known_through_links_of_both_kinds_and_in_folders(tmp_path: Path):
    folder = tmp_path / "data"
    folder.mkdir()
    data = folder / "in.conll"
    data.touch()
    (tmp_path / "soft").symlink_to(data)
    (tmp_path / "hard").hardlink_to(data)
    (tmp_path / "folder").symlink_to(folder)
    for name in ("data/in.conll", "data/../soft", "soft", "hard", "data", "folder"):
        with pytest.raises(UserError, match=r"destroy the input .*in\.conll"):
            check_no_input(tmp_path / name, [None, tmp_path / "missing", data])
    (tmp_path / "out.partial").hardlink_to(data)
    with pytest.raises(UserError, match=r"out: writing it would destroy"):
        check_no_input(tmp_path / "out", [data])
    check_no_input(tmp_path / "other", [data])
    check_no_input(folder / "other", [data, folder])
    check_no_input(Path("/dev/null"), [Path("/dev/null")])


def test_two_outputs_are_two_files(tmp_path: Path):
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to("a")
    for one, other in (("a", "a"), ("a", "b"), ("c", "../" + tmp_path.name + "/c")):
        with pytest.raises(UserError, match="two outputs cannot be the same file"):
            check_different(tmp_path / one, tmp_path / other)
    check_different(tmp_path / "a", tmp_path / "c")
    check_different(Path("/dev/null"), Path("/dev/null"))


HOLDER = """
import sys
from pathlib import Path
from tf_tokclf.files import lock_file
with lock_file(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_keeps_other_processes_out_and_ends_with_its_process(tmp_path: Path):
    path = tmp_path / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError), lock_file(path):
            pass
        holder.kill()
        holder.wait()
        assert path.exists()
        with lock_file(path):
            pass
    assert not path.exists()


def test_a_file_system_without_locks_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def without(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("tf_tokclf.files.lock_descriptor", without)
    with lock_file(tmp_path / ".lock"):
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_whether_a_file_is_locked(tmp_path: Path):
    path = tmp_path / ".lock"
    assert not is_file_locked(path)
    with lock_file(path):
        assert is_file_locked(path)
    assert not is_file_locked(path)
    assert not path.exists()
    path.touch()  # a process that was killed leaves the file behind
    before = path.stat()
    assert not is_file_locked(path)
    assert path.stat() == before
    with path.open() as other:
        # Another check in the same moment is no lock.
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not is_file_locked(path)


def test_checks_in_the_moment_of_locking_do_not_disturb_it(tmp_path: Path):
    path = tmp_path / ".lock"
    path.touch()
    with path.open() as check:
        fcntl.flock(check, fcntl.LOCK_SH)
        end_of_check = threading.Timer(0.05, fcntl.flock, (check, fcntl.LOCK_UN))
        end_of_check.start()
        with lock_file(path):
            assert is_file_locked(path)
        end_of_check.join()


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path):
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), lock_file(tmp_path / ".lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()
