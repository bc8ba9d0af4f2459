"""The page /docs, which describes the API: openapi.json as HTML, without scripts and external resources."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf_tokclf.serving.page import HtmlPage, html_page, templates

_JSON = "application/json"
_REFERENCE = "#/components/schemas/"
# Text for the bounds of JSON Schema.
_BOUNDS = {
    "minimum": "at least {:g}",
    "maximum": "at most {:g}",
    "maxLength": "at most {:,} characters",
    "maxItems": "at most {:,} items",
}


@dataclass(frozen=True)
class Type:
    """The type of a value as text. schemas: names of the schemas in it, each of which has a section on the page."""

    text: str
    schemas: tuple[str, ...] = ()


@dataclass(frozen=True)
class Field:
    """A key of a JSON object. default: as JSON; "" if there is none."""

    name: str
    type: Type
    is_required: bool
    default: str
    description: str


@dataclass(frozen=True)
class Schema:
    """A named JSON object."""

    name: str
    description: str
    fields: Sequence[Field]


@dataclass(frozen=True)
class Answer:
    """A possible response of an operation. headers: names and descriptions."""

    status: str
    description: str
    type: Type
    headers: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Operation:
    """A method of a path. command: a shell command that calls it."""

    method: str
    path: str
    summary: str
    description: str
    body: Type | None
    command: str
    answers: Sequence[Answer]

    @property
    def anchor(self) -> str:
        """The id of its section on the page."""
        return f"{self.method}{self.path.replace('/', '-')}".lower()


class ApiDocs:
    """Renders the page. document: an OpenAPI document."""

    def __init__(self, document: Mapping[str, Any], model_name: str) -> None:
        self._document = document
        self._model_name = model_name
        self._templates = templates()

    def render(self, *, origin: str, root: str) -> HtmlPage:
        """Render the page.

        origin: the address of the server for clients, such as http://127.0.0.1:8000. root: prefix of links to other
        pages of the server.
        """
        return html_page(
            self._templates,
            "docs.html.jinja",
            model_name=self._model_name,
            about=self._document["info"],
            operations=list(operations_of(self._document, origin)),
            schemas=list(schemas_of(self._document)),
            root=root,
        )


def operations_of(document: Mapping[str, Any], origin: str) -> Iterator[Operation]:
    """All methods of all paths, in order."""
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            body = about.get("requestBody", {}).get("content", {}).get(_JSON, {}).get("schema")
            yield Operation(
                method.upper(),
                path,
                about.get("summary", ""),
                about.get("description", ""),
                type_of(body) if body else None,
                _command(document, origin + path, body),
                [_answer(status, answer) for status, answer in about["responses"].items()],
            )


def schemas_of(document: Mapping[str, Any]) -> Iterator[Schema]:
    """All named objects in requests and responses, in the order of their first use."""
    schemas = document["components"]["schemas"]
    names = list(dict.fromkeys(_references(document["paths"])))
    for name in names:  # the list grows during the loop
        names += [other for other in dict.fromkeys(_references(schemas[name])) if other not in names]
    for name in names:
        schema = schemas[name]
        required = schema.get("required", ())
        fields = [
            Field(
                key,
                type_of(value),
                key in required,
                json.dumps(value["default"]) if "default" in value else "",
                value.get("description", ""),
            )
            for key, value in schema.get("properties", {}).items()
        ]
        yield Schema(name, schema.get("description", ""), sorted(fields, key=lambda field: not field.is_required))


def _references(part: Any) -> Iterator[str]:
    """The names of the schemas that a part of the document refers to."""
    if isinstance(part, Mapping):
        if "$ref" in part:
            yield part["$ref"].removeprefix(_REFERENCE)
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def type_of(schema: Mapping[str, Any]) -> Type:
    """The type that a JSON Schema describes, as text.

    >>> type_of({"anyOf": [{"type": "array", "items": {"type": "string", "maxLength": 9}}, {"type": "null"}]}).text
    'array of string (at most 9 characters), or null'
    >>> type_of({"type": "array", "items": {"$ref": "#/components/schemas/Span"}})
    Type(text='array of Span', schemas=('Span',))
    """
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        return Type(name, (name,))
    if "anyOf" in schema:
        parts = [type_of(part) for part in schema["anyOf"]]
        names = tuple(dict.fromkeys(name for part in parts for name in part.schemas))
        return Type(", or ".join(part.text for part in parts), names)
    if "enum" in schema:
        return Type(" or ".join(map(json.dumps, schema["enum"])))
    bounds = [words.format(schema[bound]) for bound, words in _BOUNDS.items() if bound in schema]
    text = schema.get("type", "any value") + (f" ({', '.join(bounds)})" if bounds else "")
    if "items" not in schema:
        return Type(text)
    items = type_of(schema["items"])
    shown = f"({items.text})" if "anyOf" in schema["items"] else items.text
    return Type(f"{text} of {shown}", items.schemas)


def _answer(status: str, about: Mapping[str, Any]) -> Answer:
    content: Mapping[str, Any] = about.get("content", {})
    found = type_of(content[_JSON]["schema"]) if _JSON in content else Type(", ".join(content))
    headers = [(name, header.get("description", "")) for name, header in about.get("headers", {}).items()]
    return Answer(status, about["description"], found, headers)


def _command(document: Mapping[str, Any], url: str, body: Mapping[str, Any] | None) -> str:
    if body is None:
        return f"curl {shlex.quote(url)}"
    data = shlex.quote(json.dumps(_example(document, body), ensure_ascii=False))
    return f"curl --header 'Content-Type: {_JSON}' \\\n    --data {data} \\\n    {shlex.quote(url)}"


def _example(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """An example for `schema`: the first example of each required key."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].removeprefix(_REFERENCE)]
    keys = schema.get("required", ())
    return {key: value["examples"][0] for key, value in schema["properties"].items() if key in keys}
