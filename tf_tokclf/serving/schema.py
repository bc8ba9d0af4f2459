"""The requests and responses of `/predict`, and the messages for invalid requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema, create_model

from tf_tokclf.serving.limits import Limits

_LISTED_PROBLEMS = 5

# 2.0 is an integer in JSON, but not in pydantic's strict mode.
Integer = Annotated[int, BeforeValidator(lambda x: int(x) if isinstance(x, float) and x.is_integer() else x)]
Inputs = str | list[str] | list[list[str]]


class PredictOptions(BaseModel):
    """Options that determine what a prediction contains."""

    # Strict: "1" is not a number, and true is not 1.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    threshold: float | None = Field(
        None, ge=0, le=1, description="Leave out spans with a lower score. Thresholds of the model are then not used."
    )
    top_k: Integer = Field(0, ge=0, description="Number of most probable labels to list for each word.")
    words: bool = Field(True, description="Include words, labels and scores.")
    spans: bool = Field(True, description="Include spans.")
    offset_unit: Literal["codepoint", "utf16", "byte"] = Field(
        "codepoint", description="Unit of start and end. Use utf16 for JavaScript and Java."
    )


class PredictRequest(PredictOptions):
    """Texts to label, and options."""

    inputs: Inputs


FIELDS = ("inputs", *PredictOptions.model_fields)


class SpanAnswer(BaseModel):
    """A typed sequence of words."""

    type: str = Field(description="The type, such as PER.")
    score: float | None = Field(
        description="The smallest probability among the labels of its words, or that of the span if the model has "
        "thresholds."
    )
    first_word: int = Field(description="Index of the first word.")
    end_word: int = Field(description="Index after the last word.")
    start: int = Field(description="Start in the text, or in the words joined by spaces.")
    end: int = Field(description="End, exclusive.")
    text: str = Field(description="The text from start to end.")


class LabelAnswer(BaseModel):
    """A label and its probability."""

    label: str = Field(description="The label.")
    score: float | None = Field(description="The probability of the label.")


class Prediction(BaseModel):
    """A labelled text: the same record as a line of JSON from tf-tokclf predict."""

    text: str | None = Field(None, description="The input. Absent for lists of words.")
    words: list[str] | None = Field(None, description="The words of the input.")
    labels: list[str] | None = Field(None, description="The label of each word.")
    scores: list[float | None] | None = Field(
        None, description="The probability of each word's label; null for words that the model did not see."
    )
    spans: list[SpanAnswer] | None = Field(None, description="The spans, in order.")
    top: list[list[LabelAnswer]] | None = Field(
        None, description="The most probable labels of each word, if top_k is set."
    )


class Predictions(BaseModel):
    """One prediction for each input, in order."""

    predictions: list[Prediction] = Field(description="The predictions.")


class Problem(BaseModel):
    """The reason why there is no prediction."""

    detail: str = Field(description="What is wrong, and where.")


class Health(BaseModel):
    """The state of the server and its model."""

    status: Literal["ready", "stuck", "failed"] = Field(
        description="stuck: one batch has taken more than twice the timeout. failed: the model's thread has ended."
    )
    model: str = Field(description="The name of the model.")
    version: str = Field(description="The version of tf-tokclf.")
    labels: list[str] = Field(description="The labels that it predicts.")
    waiting_texts: int = Field(description="Number of texts that wait for the model.")


def request_model(limits: Limits) -> type[PredictRequest]:
    """The model of a request within `limits`."""
    length = limits.max_length
    text = Annotated[str, Field(max_length=length)]
    words = Annotated[list[text], Field(max_length=length)]  # type: ignore[valid-type]
    text_schema = {"type": "string", "maxLength": length}
    words_schema = {"type": "array", "items": text_schema, "maxItems": length}
    schema = {
        # Not oneOf, which pydantic would write: an empty list matches both lists.
        "anyOf": [
            text_schema,
            {"type": "array", "items": text_schema, "maxItems": limits.max_texts},
            {"type": "array", "items": words_schema, "maxItems": limits.max_texts},
        ],
        "description": "A text, a list of texts, or a list of lists of words.",
        "examples": ["Ada Lovelace lived in London"],
    }
    inputs = Annotated[
        Annotated[text, Tag("text")]  # type: ignore[valid-type]
        | Annotated[list[text], Field(max_length=limits.max_texts), Tag("texts")]  # type: ignore[valid-type]
        | Annotated[list[words], Field(max_length=limits.max_texts), Tag("words")],  # type: ignore[valid-type]
        Discriminator(
            _kind_of_inputs,
            custom_error_type="inputs",
            custom_error_message="must be a text, a list of texts, or a list of lists of words",
        ),
        WithJsonSchema(schema),
    ]
    return create_model("PredictRequest", __base__=PredictRequest, __doc__=PredictRequest.__doc__, inputs=(inputs, ...))


def _kind_of_inputs(value: Any) -> str | None:
    """The most likely kind of `inputs`, so that a mistake is reported only for this kind."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, list):
        return "words" if value and isinstance(value[0], list) else "texts"
    return None


def problem_of(errors: Iterable[Mapping[str, Any]]) -> str:
    """The errors that pydantic found, in one line and without the input.

    >>> problem_of([{"loc": ("body", "inputs", "texts", 3), "msg": "Input should be a valid string"}])
    'inputs[3]: Input should be a valid string'
    """
    found = [f"{_place(error['loc'])}: {_message(error)}" for error in errors]
    more = len(found) - _LISTED_PROBLEMS
    return "; ".join([*found[:_LISTED_PROBLEMS], *([f"and {more} more"] if more > 0 else [])])


def _message(error: Mapping[str, Any]) -> str:
    type_, is_body = error.get("type"), len(error["loc"]) == 1
    if type_ == "model_attributes_type" or (type_ == "missing" and is_body):
        return "must be a JSON object, sent as application/json"
    if type_ == "json_invalid":
        # FastAPI gives the position where other errors have the name of the field.
        return f"is not valid JSON ({error['ctx']['error']} at character {error['loc'][-1]})"
    if type_ == "extra_forbidden":
        return f"there is no such field; the fields are {', '.join(FIELDS)}"
    if type_ == "missing":
        return "is required"
    return error["msg"].replace(" after validation,", ",")


def _place(location: tuple[str | int, ...]) -> str:
    # The first step is always "body", and the one after `inputs` is its kind.
    steps = [step for i, step in enumerate(location[1:]) if not (i == 1 and location[1] == "inputs")]
    if not steps or isinstance(steps[0], int):
        return "the body"
    return "".join(
        f"[{step}]" if isinstance(step, int) else step if i == 0 else f".{step}" for i, step in enumerate(steps)
    )
