"""Hostile `pytorch_model.bin` files: no code runs, and each ends in one message, in little memory."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load_file

from tests.processes import memory_needed
from tests.requirements import need_proc
from tests.torch_files import (
    LEGACY_START,
    START,
    contiguous,
    state_dict,
    storage,
    tensor,
    text,
    whole,
    write_zip,
)
from tf_tokclf.cli.main import cli
from tf_tokclf.encoding.weight_files import open_weights
from tf_tokclf.errors import UserError

pytestmark = pytest.mark.usefixtures("untraced")

ROOT = Path(__file__).parents[2]
FILES = ROOT / "tests" / "data" / "torch_weights"
GOOD = tensor(storage("0", 6), (2, 3), (3, 1))
NUMBERS = {"0": np.arange(6, dtype="<f4").tobytes()}
COMMAND = "python -c open('RUN','w')"


@pytest.fixture
def model(tiny_classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a classifier without weights. Commands run in an empty folder."""
    folder = shutil.copytree(tiny_classifier, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return folder


def predict(model: Path) -> Result:
    return CliRunner().invoke(cli, ["predict", str(model)], input="ada visited london\n")


def assert_refused(result: Result, *parts: str) -> None:
    """Assert exit code 2 and one message that names the file, and that nothing was written."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    message = result.stderr.split("Error: ", 1)[1]
    for part in ("pytorch_model.bin", *parts):
        assert part in message, message
    assert len(message) < 1000
    assert not list(Path().iterdir())


@pytest.mark.parametrize("form", ["zip", "two shards"])
def test_a_classifier_predicts_the_same_from_a_file_of_torch(form: str, tiny_classifier: Path, model: Path):
    arrays = load_file(tiny_classifier / "model.safetensors")
    if form == "zip":
        write_zip(model / "pytorch_model.bin", *contiguous(arrays))
    else:
        names = sorted(arrays)
        shards = {"pytorch_model-1.bin": names[::2], "pytorch_model-2.bin": names[1::2]}
        for file, part in shards.items():
            write_zip(model / file, *contiguous({name: arrays[name] for name in part}))
        pairs = ", ".join(f'"{name}": "{file}"' for file, part in shards.items() for name in part)
        (model / "pytorch_model.bin.index.json").write_text(f'{{"weight_map": {{{pairs}}}}}', encoding="utf-8")
    result = predict(model)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == predict(tiny_classifier).stdout


CALLS = {
    "os.system": b"cposix\nsystem\n(" + text(COMMAND) + b"tR",
    "os.system on Windows": b"cnt\nsystem\n(" + text(COMMAND) + b"tR",
    "eval": b"c__builtin__\neval\n(" + text("open('RUN', 'w')") + b"tR",
    "eval by its new name": b"cbuiltins\neval\n(" + text("open('RUN', 'w')") + b"tR",
    "getattr": b"c__builtin__\ngetattr\n(ccollections\nOrderedDict\n" + text("__reduce__") + b"tR",
    "an import": b"cimportlib\nimport_module\n(" + text("antigravity") + b"tR",
    "another torch.load": b"ctorch\nload\n(" + text("x.bin") + b"tR",
    "a function of torch": b"ctorch.utils.cpp_extension\nload_inline\n(" + text("x") + b"tR",
    "a dotted name": b"ctorch\n_utils.os.system\n(" + text(COMMAND) + b"tR",
    "numpy": b"cnumpy.core.multiarray\nscalar\n(" + text("x") + b"tR",
    "a class of its own": b"c__main__\nModel\n)\x81}b",
    "an object outside": text("x") + b"Q",
    "a module outside": b"(" + text("module") + b"ccollections\nOrderedDict\nNNNtQ",
}


@pytest.mark.parametrize("attack", CALLS)
@pytest.mark.parametrize("place", ["value", "argument", "legacy"])
def test_functions_are_not_called(attack: str, place: str, model: Path):
    value = CALLS[attack]
    content = {"a": GOOD, "x": value} if place != "argument" else {"a": tensor(value, (2, 3), (3, 1))}
    pickled = state_dict(content)
    if place == "legacy":
        (model / "pytorch_model.bin").write_bytes(LEGACY_START + pickled)
    else:
        write_zip(model / "pytorch_model.bin", pickled, NUMBERS)
    assert_refused(predict(model), ": refers to ", "No code was run. Look for a revision with safetensors")


OTHER_INSTRUCTIONS = {
    "a call by name": b"(" + text(COMMAND) + b"iposix\nsystem\n",
    "a call of an object": b"(ccollections\nOrderedDict\no",
    "a name on the stack": text("posix") + text("system") + b"\x93",
    "an extension": b"\x82\x01",
    "a persistent text": b"Px\n",
    "numbers as text": b"I" + b"9" * 10_000 + b"\n",
    "a long of 2 GB": b"\x8b\xff\xff\xff\x7f",
    "a frame of 2**62 bytes": b"\x95" + struct.pack("<Q", 2**62),
    "bytes of 2**62": b"\x8e" + struct.pack("<Q", 2**62),
    "a copy of the top": b"2",
}
BAD_PICKLES = {
    "a text of 4 GB": b"X\xff\xff\xff\xff",
    "a long that ends": b"\x8a\xff\x01",
    "an empty stack": b"0",
    "a tuple from nothing": b"\x87",
    "no mark": b"t",
    "an unknown memo": b"h\x07",
    "a name without an end": b"c" + b"a" * 5_000,
    "a call of a text": text("x") + b")R",
    "a call of a class": b"ctorch\nTensor\n)\x81",
    "arguments in a list": b"ccollections\nOrderedDict\n]R",
    "a dict of numbers": b"ccollections\nOrderedDict\n(](K\x01K\x02etR",
    "a state for a text": text("x") + b"}b",
    "an item for a text": text("x") + b"K\x01a",
    "an entry for a list": b"]K\x01K\x02s",
    "half an entry": b"}(K\x01u",
    "a storage in a list": b"]" + text("storage") + b"aQ",
    "a storage of text": b"(" + text("storage") + text("float") + text("0") + text("cpu") + b"K\x06tQ",
    "a storage of a dtype": storage("0", 6, "torch\nfloat32"),
    "a storage of -1": storage("0", -1),
    "a storage of 2**62": storage("0", 2**62),
    "a storage of 2**2000": storage("0", 2**2000),
    "a storage of True": b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"\x88tQ",
    "a storage of two types": b"(" + storage("0", 6) + storage("0", 6, "torch\nLongStorage") + b"t",
    "a tensor without arguments": b"ctorch._utils\n_rebuild_tensor_v2\n)R",
    "a tensor of a text": tensor(text("x"), (2, 3), (3, 1)),
    "a tensor of a tensor": tensor(GOOD, (2, 3), (3, 1)),
    "a negative size": tensor(storage("0", 6), (-2, -3), (3, 1)),
    "a negative stride": tensor(storage("0", 6), (6,), (-1,), 5),
    "a negative offset": tensor(storage("0", 6), (2,), (1,), -2),
    "fewer strides": tensor(storage("0", 6), (2, 3), (3,)),
    "many axes": tensor(storage("0", 6), (1,) * 65, (1,) * 65),
    "a huge shape": tensor(storage("0", 6), (2**40, 2**40, 2**40), (0, 0, 0)),
    "a repeated number": tensor(storage("0", 6), (10**6, 10**6), (0, 0)),
    "a huge stride": tensor(storage("0", 6), (2, 3), (2**47, 2**47)),
    "an offset beyond": tensor(storage("0", 6), (1,), (1,), 6),
    "an empty tensor beyond": tensor(storage("0", 6), (0,), (1,), 2**47),
    "more numbers than there are": tensor(storage("0", 7), (7,), (1,)),
    "another storage": tensor(storage("1", 6), (2, 3), (3, 1)),
    "a storage elsewhere": tensor(storage("../data.pkl", 6), (2, 3), (3, 1)),
    "a storage without a name": tensor(storage("", 6), (2, 3), (3, 1)),
    "a parameter of nothing": b"ctorch._utils\n_rebuild_parameter\n)R",
    "a parameter of itself": b"ctorch._utils\n_rebuild_parameter\nq\x00h\x00\x85R",
    "a type of a type": b"ctorch._tensor\n_rebuild_from_type_v2\nq\x00(h\x00h\x00h\x00tR",
    "other types of storages": tensor(storage("0", 6, "torch\nDoubleStorage"), (6,), (1,)),
}  # fmt: skip


@pytest.mark.parametrize("attack", [*OTHER_INSTRUCTIONS, *BAD_PICKLES])
def test_other_instructions_and_wrong_arguments_are_refused(attack: str, model: Path):
    value = {**OTHER_INSTRUCTIONS, **BAD_PICKLES}[attack]
    (model / "pytorch_model.bin").unlink(missing_ok=True)
    write_zip(model / "pytorch_model.bin", state_dict({"x": value, "a": GOOD}), NUMBERS)
    assert_refused(predict(model), "contains the instruction" if attack in OTHER_INSTRUCTIONS else ": ")


@pytest.mark.parametrize(
    "pickled",
    [b"", START, START + b".", START + b"N.", START + b"].", START + b"}.", START + b"}q\x00" + text("a") + b"h\x00s.",
     START + b"]q\x00h\x00a.", START + GOOD + b".", START + b"}(K\x01" + GOOD + b"u.", b"\x80\x05}.", b"\xff" * 99],
)  # fmt: skip
def test_files_without_a_dict_of_tensors_are_refused(pickled: bytes, model: Path):
    write_zip(model / "pytorch_model.bin", pickled, NUMBERS)
    assert_refused(predict(model))


def flagged(path: Path, flag: int) -> None:
    """Set a flag of all files in an archive, in both of its directories."""
    write_zip(path, state_dict({"a": GOOD}), NUMBERS)
    data = path.read_bytes()
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            data = data[: start + at] + bytes([data[start + at] | flag]) + data[start + at + 1 :]
    path.write_bytes(data)


def twice(path: Path) -> None:
    write_zip(path, state_dict({"a": GOOD}), NUMBERS)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"archive/data/0", b"archive/data.pkl"[:14]))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data.pkl", b"x")


def large_directory(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(100):
            archive.writestr(f"{number:05}" + "x" * 60_000, b"")


def with_name(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, state_dict({"a": GOOD}))
        archive.writestr(f"{Path(name).parent}/data/0", NUMBERS["0"])


GOOD_PICKLE = state_dict({"a": GOOD})
ARCHIVES: dict[str, Callable[[Path], object]] = {
    "compressed": lambda path: write_zip(path, GOOD_PICKLE, NUMBERS, compression=zipfile.ZIP_DEFLATED),
    "a bomb": lambda path: write_zip(path, bytes(1 << 28), NUMBERS, compression=zipfile.ZIP_DEFLATED),
    "encrypted": lambda path: flagged(path, 1),
    "a name twice": twice,
    "two pickles": lambda path: write_zip(path, GOOD_PICKLE, NUMBERS, more={"other/data.pkl": b"."}),
    "no pickle": lambda path: with_name(path, "archive/data.bin"),
    "in the folder above": lambda path: with_name(path, "../data.pkl"),
    "at the root": lambda path: with_name(path, "/data.pkl"),
    "no folder": lambda path: with_name(path, "data.pkl"),
    "a deep folder": lambda path: with_name(path, "a/b/data.pkl"),
    "another byte order": lambda path: write_zip(path, GOOD_PICKLE, NUMBERS, more={"archive/byteorder": b"middle"}),
    "a long byte order": lambda path: write_zip(path, GOOD_PICKLE, NUMBERS, more={"archive/byteorder": b"l" * 999}),
    "a long pickle": lambda path: write_zip(path, GOOD_PICKLE[:-1] + b")" * (17 << 20), NUMBERS),
    "a large directory": large_directory,
    "an empty archive": lambda path: path.write_bytes(b"PK\x05\x06" + bytes(18)),
    "only the start": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(300)),
    "a tar archive": lambda path: path.write_bytes(bytes(257) + b"ustar" + bytes(500)),
    "a bare pickle": lambda path: path.write_bytes(GOOD_PICKLE),
    "a bare call": lambda path: path.write_bytes(b"cposix\nsystem\n(S'touch RUN'\ntR."),
    "an empty file": lambda path: path.write_bytes(b""),
    "a pointer": lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives_that_torch_does_not_write_are_refused(kind: str, model: Path):
    ARCHIVES[kind](model / "pytorch_model.bin")
    assert_refused(predict(model))


def legacy(keys: bytes, *, size: int = 6, numbers: bytes = NUMBERS["0"], version: bytes = b"M\xe9\x03") -> bytes:
    """A file of an earlier version of torch."""
    start = LEGACY_START.replace(b"M\xe9\x03", version)
    entries = state_dict({"a": GOOD.replace(b"tQ", b"NtQ")})
    return start + entries + START + keys + b"." + struct.pack("<q", size) + numbers


@pytest.mark.parametrize(
    "content",
    [
        legacy(b"]" + text("0") + b"a", size=-6),
        legacy(b"]" + text("0") + b"a", size=2**62),
        legacy(b"]" + text("0") + b"a", numbers=NUMBERS["0"][:-1]),
        legacy(b"]" + text("0") + b"a" + text("0") + b"a"),
        legacy(b"]" + text("1") + b"a"),
        legacy(b"]]a"),
        legacy(b"]"),
        legacy(b"N"),
        legacy(b"]" + text("0") + b"a", version=b"M\xe8\x03"),
        LEGACY_START,
        LEGACY_START[:14],
    ],
)
def test_broken_files_of_earlier_versions_are_refused(content: bytes, model: Path):
    (model / "pytorch_model.bin").write_bytes(content)
    assert_refused(predict(model))


def read_all(folder: Path) -> int:
    """Read all tensors in a folder, and count those that can be read. Every problem has to be a UserError."""
    n_read = 0
    with suppress(UserError), open_weights(folder) as weights:
        for name in weights.shapes:
            with suppress(UserError):
                weights.array(name)
                n_read += 1
    return n_read


@pytest.mark.parametrize("name", ["zip", "legacy", "checkpoint"])
def test_cut_files_are_refused(name: str, tmp_path: Path):
    data = (FILES / f"{name}.bin").read_bytes()
    for length in [*range(0, len(data) - 1, 29), len(data) - 1]:
        (tmp_path / "pytorch_model.bin").write_bytes(data[:length])
        with pytest.raises(UserError, match=r"pytorch_model\.bin: "), open_weights(tmp_path):
            pass


@pytest.mark.parametrize("name", ["zip", "legacy", "checkpoint", "module"])
def test_random_changes_end_in_values_or_a_message(name: str, tmp_path: Path):
    data = (FILES / f"{name}.bin").read_bytes()
    rng = random.Random(f"weights {name}")
    outcomes = set()
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 5])):
            at = rng.randrange(len(changed))
            piece = rng.choice([bytes([rng.randrange(256)]), rng.randbytes(4), b"\xff" * 8, b"", data[at // 2 :][:9]])
            changed[at : at + rng.choice([0, 1, len(piece)])] = piece
        (tmp_path / "pytorch_model.bin").write_bytes(changed)
        outcomes.add(read_all(tmp_path) > 0)
    assert outcomes == {True, False}


DEEP = 900_000
LARGE = {
    "indices of the memo": START + b"".join(b"Nr" + struct.pack("<I", 2**32 - 1 - i * 2**12) for i in range(400_000)),
    "many values": START + b"}" * 16_000_000,
    "nested marks": START + b"(" * DEEP + b".",
    "nested tuples as a key": START + b"})" + b"\x85" * DEEP + b"Ns.",
    "nested lists": START + b"]" + b"]q\x00h\x00a" * (DEEP // 4) + b".",
    "nested types": START + b"ctorch._tensor\n_rebuild_from_type_v2\nq\x00" * 9
    + b"(" + b"(h\x00h\x00" * 200_000 + b"t" * 200_000 + b"tR.",
    "pairs of the same list": START + b"]q\x00(" + b"(K\x01K\x02t" * 150_000 + b"e"
    + b"ccollections\nOrderedDict\nh\x00\x85R" * 100_000 + b".",
    "keys with the same hash": START + b"}(" + b"".join(whole(i * (2**61 - 1)) + b"N" for i in range(300_000)) + b"u.",
    "a shape of many sizes": START + b"(" + b"K\x01" * 400_000 + b"tq\x01"
    + b"ctorch._utils\n_rebuild_tensor\n(" + storage("0", 6) + b"K\x00h\x01h\x01tR.",
}  # fmt: skip
READ = """
import sys
sys.path.insert(0, arguments["root"])
from pathlib import Path
from tests.reliability.test_hostile_torch_weights import read_all
for folder in arguments["{}"]:
    assert (read_all(Path(folder)) > 0) == ("good" in folder)
"""


def test_no_pickle_fills_the_memory(tmp_path: Path):
    need_proc()
    folders = {}
    for name, pickled in {**LARGE, "good": GOOD_PICKLE}.items():
        (tmp_path / name).mkdir()
        write_zip(tmp_path / name / "pytorch_model.bin", pickled, NUMBERS)
        folders[name] = str(tmp_path / name)
    good = [folders.pop("good")]
    n_bytes = memory_needed(
        READ.format("bad"), before=READ.format("good"), root=str(ROOT), good=good, bad=list(folders.values())
    )
    assert n_bytes < 400_000_000


def test_tensors_that_share_their_numbers_are_not_read_again_and_again(tmp_path: Path):
    numbers = {"0": bytes(400_000)}
    ends = tensor(storage("0", 100_000), (2,), (99_999,))
    write_zip(tmp_path / "pytorch_model.bin", state_dict({f"t{i}": ends for i in range(1000)}), numbers)
    with pytest.raises(UserError, match="are spread over more than 16 times"), open_weights(tmp_path):
        pass
    all_of_it = tensor(storage("0", 100_000), (100_000,), (1,))
    write_zip(tmp_path / "pytorch_model.bin", state_dict({f"t{i}": all_of_it for i in range(1000)}), numbers)
    with pytest.raises(UserError, match="more numbers than the file has bytes"), open_weights(tmp_path):
        pass


def test_a_pickle_in_a_storage_is_only_numbers(tmp_path: Path):
    hidden = (START + CALLS["os.system"] + b".").ljust(64, b".")
    write_zip(tmp_path / "pytorch_model.bin", state_dict({"a": tensor(storage("0", 16), (16,), (1,))}), {"0": hidden})
    with open_weights(tmp_path) as weights:
        assert weights.array("a").tobytes() == hidden


def test_shards_stay_in_their_folder(model: Path, tmp_path: Path):
    write_zip(tmp_path / "secret.bin", GOOD_PICKLE, NUMBERS)
    for name in ("../secret.bin", str(tmp_path / "secret.bin"), "..\\secret.bin", "config.json", "x.safetensors"):
        (model / "pytorch_model.bin.index.json").write_text(
            f'{{"weight_map": {{"a": {name!r}}}}}'.replace("'", '"'), encoding="utf-8"
        )
        assert_refused(predict(model), "which is not a .bin file in the same folder")


def test_a_real_pickle_would_have_run_the_command(tmp_path: Path):
    """The attack above works on Python's own unpickler, so refusing it means something."""
    code = f"import pickle; pickle.loads({START + CALLS['eval by its new name'] + b'.'!r})"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "RUN").exists()
