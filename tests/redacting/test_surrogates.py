"""Surrogates and merged spans alone, against simple references."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from tf_tokclf.redacting.found_spans import FoundSpan, merged
from tf_tokclf.redacting.surrogates import FakeNames, KeyedHash, Surrogates, numbered

SPANS = st.builds(
    lambda start, length, type_: FoundSpan(start, start + length, type_, "model"),
    st.integers(0, 20),
    st.integers(1, 6),
    st.sampled_from("ABC"),
)


@given(spans=st.lists(SPANS, max_size=8))
def test_merged_spans_cover_the_same_characters(spans: list[FoundSpan]):
    found = merged(spans)
    covered = [i for span in found for i in range(span.start, span.end)]
    assert covered == sorted({i for span in spans for i in range(span.start, span.end)})
    for span in found:
        inside = [one for one in spans if span.start <= one.start < span.end]
        longest = max(one.end - one.start for one in inside)
        assert span.type in {one.type for one in inside if one.end - one.start == longest}


def test_a_hash_is_that_of_hmac():
    made = KeyedHash(b"key" * 6)("PER", "ada", 1, "", 0)
    expected = hmac.new(b"key" * 6, b"PER\0ada", hashlib.sha256).hexdigest()[:16]
    assert made == f"[PER_{expected}]"


def test_types_without_fake_values_get_numbers_and_are_listed():
    fakes = FakeNames("fr_FR", 0)
    surrogates = Surrogates(fakes, scope="document", salt=b"")
    surrogates.enter("")
    assert [surrogates.of("GENE", name) for name in ("a", "b", "A")] == ["[GENE_1]", "[GENE_2]", "[GENE_1]"]
    assert fakes.without == {"GENE"}


def test_no_two_people_share_a_fake_name():
    surrogates = Surrogates(FakeNames("en_US", 0), scope="corpus", salt=b"")
    surrogates.enter("x")
    names = [surrogates.of("PER", f"person {i}") for i in range(400)]
    assert len(set(names)) == 400


def test_entries_contain_no_name_and_restore_the_state():
    one, other = (Surrogates(numbered, scope="document", salt=b"x") for _ in range(2))
    for document, name in (("a", "Ada"), ("b", "Grace"), ("b", "Ada")):
        one.enter(document)
        one.of("PER", name)
    entries = one.taken_entries()
    assert "ada" not in str(entries).lower()
    other.restore(iter(entries))
    other.enter("b")
    assert (other.of("PER", "ADA"), other.of("PER", "new")) == ("[PER_2]", "[PER_3]")
    assert other.taken_entries()[0][1:] == ["PER", "[PER_3]"]
