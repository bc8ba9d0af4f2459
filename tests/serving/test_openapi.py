"""The OpenAPI document is correct: schemathesis generates requests from it and checks the responses."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from tests.serving.running import ServeProcess, ask
from tests.waiting import LIMIT_S


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/predict", GenerationMode.POSITIVE),
        ("/predict", GenerationMode.NEGATIVE),
        ("/health", GenerationMode.POSITIVE),
        ("/metrics", GenerationMode.POSITIVE),
    ],
)
def test_answers_are_as_described(server: ServeProcess, path: str, mode: GenerationMode):
    described = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")
    (operation,) = described[path].values()

    # Its pytest plugin is not used, because it does not work with pytest 9.2.
    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(timeout=LIMIT_S)

    check()


def test_every_answer_to_predict_is_described(server: ServeProcess):
    described = ask(server.port, "/openapi.json").json["paths"]["/predict"]["post"]["responses"]
    assert set(described) == {"200", "400", "408", "413", "422", "500", "503", "504"}
