"""Schemes: their names, and labels as prefixes and types."""

from __future__ import annotations

import pytest

from tests.values import check_values
from tf_tokclf.labels.schemes import PrefixReading, Rules, Scheme, label_for, split_label


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("O", ("O", "")),
        ("B-art-other", ("B", "art-other")),
        ("I-", ("", "I-")),
        ("O-X", ("", "O-X")),
        ("B-O", ("B", "O")),
        ("ORG", ("", "ORG")),
        ("OTHER", ("", "OTHER")),
        ("EVENT", ("", "EVENT")),
        ("-LRB-", ("", "-LRB-")),
        ("U-LOC", ("U", "LOC")),
        ("W-LOC", ("W", "LOC")),
        ("B", ("B", "")),
    ],
)
def test_labels_are_split_at_their_prefix_and_joined_again(label, parts):
    assert split_label(label) == parts
    assert label_for(*parts) == label


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("BIO", Scheme.IOB2),
        ("bio2", Scheme.IOB2),
        ("iob", Scheme.IOB1),
        ("iobes", Scheme.BIOES),
        ("BILUO", Scheme.BILOU),
        ("BMESO", Scheme.BMES),
        ("None", Scheme.NONE),
        *((scheme.value.lower(), scheme) for scheme in Scheme),
        *((scheme.value.upper(), scheme) for scheme in Scheme),
    ],
)
def test_other_names_of_schemes_are_understood(name, scheme):
    assert Scheme(name) is scheme


def test_names_of_schemes():
    assert [str(scheme) for scheme in Scheme] == ["IO", "IOB1", "IOB2", "BIOES", "BILOU", "BMES", "BMEOW", "none"]
    with pytest.raises(ValueError, match="'XIO' is not a valid Scheme"):
        Scheme("XIO")


def test_values():
    check_values(Rules)
    assert PrefixReading._fields == ("role", "type")
