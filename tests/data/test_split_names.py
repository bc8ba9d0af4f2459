"""Recognise the names of splits in the names of files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tf_tokclf.data.split_names import NAMES_OF_SPLIT, data_settings, split_in_name


def files_in(folder: Path, *names: str) -> dict[str, str]:
    """The file that `data_settings` chooses for each split from files with these names."""
    for name in names:
        (folder / name).touch()
    settings = data_settings(str(folder))
    return {key.removeprefix("data."): Path(path).name for key, path in settings.items()}


@pytest.mark.parametrize("name", NAMES_OF_SPLIT["validation"])
def test_every_name_of_the_validation_split_is_found_beside_the_train_file(name: str, tmp_path: Path):
    for split in ("train", name):
        (tmp_path / f"my.{split}.conll").touch()
    settings = data_settings(str(tmp_path / "my.train.conll"))
    assert settings["data.validation_file"] == str(tmp_path / f"my.{name}.conll")


@pytest.mark.parametrize("name", [name for names in NAMES_OF_SPLIT.values() for name in names])
def test_every_name_is_recognised_in_the_name_of_a_file(name: str):
    assert split_in_name(f"wnut17{name}") == name


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("training.txt", "development.txt", "testing.txt"), ("training.txt", "development.txt", "testing.txt")),
        (("mytrain.txt", "mydev.txt", "mytest.txt"), ("mytrain.txt", "mydev.txt", "mytest.txt")),
        (("train.txt", "val.txt", "interval.txt"), ("train.txt", "val.txt")),
    ],
)
def test_a_folder_with_a_file_for_each_split(names: tuple[str, ...], found: tuple[str, ...], tmp_path: Path):
    assert tuple(files_in(tmp_path, *names).values()) == found


def test_several_files_for_a_split_are_left_to_the_reader(tmp_path: Path):
    assert files_in(tmp_path, "train.txt", "testa.txt", "testb.txt") == {"train_file": "train.txt"}
