"""Requirements on scores: how they are written, and which values they name."""

from __future__ import annotations

import pytest

from tests.values import check_values
from tf_tokclf.errors import UserError
from tf_tokclf.scoring.requirements import (
    Checked,
    Requirement,
    check_requirements,
    difference_values,
    evaluation_values,
    parse_requirements,
)


def met(text: str, value: float | None) -> bool:
    (one,) = parse_requirements([text])
    return one.holds(value)


def test_requirements_are_values():
    check_values(Requirement)
    check_values(Checked)


@pytest.mark.parametrize(
    ("sign", "below", "equal", "above"),
    [(">=", False, True, True), (">", False, False, True), ("<=", True, True, False), ("<", True, False, False)],
)
def test_each_sign(sign: str, below: bool, equal: bool, above: bool):
    assert [met(f"f1{sign}0.5", value) for value in (0.4, 0.5, 0.6)] == [below, equal, above]


def test_rounding_does_not_decide_and_unknown_values_fail():
    assert met("f1.difference>=-0.005", 0.845 - 0.85)
    assert not met("f1.difference>=-0.005", 0.8449 - 0.85)
    assert not met("loss<=1", None)


def test_names_may_contain_spaces_dots_and_equals_signs():
    (one,) = parse_requirements([" slices.length.1 - 5.f1 >= .5 "])
    assert (one.name, one.sign, one.limit) == ("slices.length.1 - 5.f1", ">=", 0.5)
    (one,) = parse_requirements(["a>b=c.f1<=1e-1"])
    assert (one.name, one.sign, one.limit) == ("a>b=c.f1", "<=", 0.1)


def test_all_wrong_requirements_are_in_one_message():
    with pytest.raises(UserError) as raised:
        parse_requirements(["f1", "f1>=0.5", "f1=>0.5", "PER.recall>=95", "f1>=1.2.3", "n_sentences>=100", ""])
    told = str(raised.value)
    for text in ("'f1' is not", "'f1=>0.5' is not", "'f1>=1.2.3' is not", "'' is not"):
        assert text in told
    assert "'PER.recall>=95' is in percent, but scores are fractions: PER.recall>=0.95" in told
    assert "n_sentences" not in told
    assert "'f1>=0.5' is" not in told


RESULT = {
    "scheme": "IOB2",
    "overall": {"f1": 0.5, "recall": 0.25},
    "macro": {"f1": 0.125},
    "by_type": {"PER": {"recall": 0.75}, "a.b": {"recall": 0.625}, "macro": {"f1": 1.0}},
    "recall_interval": {"level": 0.95, "overall": [0.1, 0.3], "by_type": {"PER": [0.7, 0.8]}},
    "loss": None,
    "n_words": 7,
    "unit": "span",
}


def test_names_of_the_values_of_an_evaluation():
    values = evaluation_values(RESULT)
    assert values == {
        **dict.fromkeys(("f1", "overall.f1"), 0.5),
        **dict.fromkeys(("recall", "overall.recall"), 0.25),
        **dict.fromkeys(("recall.low", "overall.recall.low"), 0.1),
        **dict.fromkeys(("recall.high", "overall.recall.high"), 0.3),
        **dict.fromkeys(("PER.recall", "by_type.PER.recall"), 0.75),
        **dict.fromkeys(("PER.recall.low", "by_type.PER.recall.low"), 0.7),
        **dict.fromkeys(("PER.recall.high", "by_type.PER.recall.high"), 0.8),
        **dict.fromkeys(("a.b.recall", "by_type.a.b.recall"), 0.625),
        # The average has the shorter name, and the type with the same name keeps the longer one.
        **{"macro.f1": 0.125, "by_type.macro.f1": 1.0},
        **{"loss": None, "n_words": 7},
    }


def test_unknown_names_are_in_one_message_with_similar_ones():
    with pytest.raises(UserError) as raised:
        check_requirements(
            parse_requirements(["PRE.recall>=0.5", "f2>=0.1", "f1>=0.1"]), {"": evaluation_values(RESULT)}
        )
    told = str(raised.value)
    assert "there is no value 'PRE.recall' (there are PER.recall, " in told
    assert "there is no value 'f2' (there are f1" in told
    assert "'f1'" not in told


def test_each_difference_is_checked():
    def difference(gap: float) -> dict:
        numbers = {"f1": [0.5, 0.5 + gap], "difference": gap, "interval": (gap - 0.1, gap + 0.1), "p": 0.25}
        return {"overall": numbers, "by_type": {"PER": numbers}}

    values = {name: difference_values(difference(gap)) for name, gap in (("b", 0.125), ("c", -0.125))}
    checked = check_requirements(parse_requirements(["f1.difference>=0", "PER.f1.difference.low>=0.02"]), values)
    assert [(one.subject, str(one.requirement), one.is_met) for one in checked] == [
        ("b", "f1.difference>=0", True),
        ("c", "f1.difference>=0", False),
        ("b", "PER.f1.difference.low>=0.02", True),
        ("c", "PER.f1.difference.low>=0.02", False),
    ]
    assert checked[1].to_json() == {"requirement": "f1.difference>=0", "system": "c", "value": -0.125, "met": False}
    assert (values["b"]["f1"], values["b"]["f1.p"]) == (0.625, 0.25)
