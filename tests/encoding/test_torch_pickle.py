"""The interpreter of pickles gives the values that Python pickled, and runs nothing.

Whole files are tested in test_torch_weights.py, and hostile ones in tests/reliability/test_hostile_torch_weights.py.
"""

from __future__ import annotations

import os
import pickle  # noqa: TID251  # it only writes here
from collections import OrderedDict

import pytest

from tests.torch_files import START, storage, tensor
from tf_tokclf.encoding.torch_pickle import Storage, Tensor, UnsafeWeights, UnsupportedWeights, unpickled


@pytest.mark.parametrize(
    "value",
    [
        {"epoch": 3, "best": 0.25, "name": "bert", "done": True, "none": None},
        {"sizes": [1, 2, [3]], "shape": (1, 2, 3, 4), "empty": (), "large": 2**70, "negative": -5},
        OrderedDict(a=1, b=OrderedDict(c="x" * 300)),
        {"same": [shared := ["x"], shared]},
    ],
)
def test_plain_values_are_those_that_were_pickled(value: object):
    data = pickle.dumps(value, protocol=2)
    found = unpickled(data)
    assert found.value == value
    assert found.end == len(data)


def test_a_pickle_may_begin_anywhere():
    data = pickle.dumps({"a": 1}, protocol=2)
    assert unpickled(b"before" + data + b"behind", start=6).end == 6 + len(data)


def test_a_tensor_is_a_view_of_a_storage():
    found = unpickled(START + tensor(storage("7", 6), (2, 3), (3, 1)) + b".")
    numbers = Storage("float32", "7", 6)
    assert found.value == Tensor(numbers, "float32", 0, (2, 3), (3, 1))
    assert found.storages == {"7": numbers}


def test_functions_are_refused_by_name():
    with pytest.raises(UnsafeWeights, match=r"refers to \w+\.system, which is not part of a file of weights"):
        unpickled(pickle.dumps({"a": os.system}, protocol=2))


def test_other_protocols_are_told():
    with pytest.raises(UnsupportedWeights, match="protocol 4 instead of 2"):
        unpickled(pickle.dumps({"a": 1}, protocol=4))
