"""Questions from outside: every form says the same, and one that says two things at once is refused."""

from collections.abc import Callable

import pytest

from hdex.catalog.errors import PolicyInvalid
from hdex.catalog.odrl import Iri, ask, read_request, read_world

ODRL = "http://www.w3.org/ns/odrl/2/"
HEAD = f"""@prefix odrl: <{ODRL}> . @prefix ex: <urn:ex:> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix dct: <http://purl.org/dc/terms/> .
"""
_SOTW = "@prefix s: <https://w3id.org/force/sotw#> .\n"
_EVALUATION = HEAD + _SOTW + "ex:asked a s:EvaluationRequest ; s:requestedAction odrl:read"
_NOW, _LATER = ('"2026-06-15T12:00:00Z"^^xsd:dateTime', '"2027-06-15T12:00:00Z"^^xsd:dateTime')
_STATED = "[ odrl:leftOperand odrl:purpose ; odrl:operator %s ; odrl:rightOperand ex:care ]"


def _asking(by: str, operator: str) -> str:
    return (
        HEAD
        + _SOTW.replace(" s:", " sotw:")
        + f"ex:q a odrl:Request ; odrl:permission [ odrl:action odrl:read ; {by} {_STATED % operator} ] ."
    )


@pytest.mark.parametrize(
    "request_",
    [
        _asking("odrl:constraint", "odrl:eq"),
        _asking("sotw:context", "odrl:eq"),
        _asking("sotw:context", "odrl:isA"),
        _EVALUATION + f" ; s:context {_STATED % 'odrl:eq'} .",
    ],
)
def test_a_request_says_its_purpose_in_a_constraint_or_a_context(request_: str) -> None:
    policy = (
        HEAD
        + """ex:p a odrl:Set ; odrl:permission [ odrl:action odrl:read ;
  odrl:constraint [ odrl:leftOperand odrl:purpose ; odrl:operator odrl:eq ; odrl:rightOperand ex:care ] ] .
"""
    )
    assert ask(policy, request_)["outcome"] == "permitted"


def test_two_parameters_of_one_feature_both_count() -> None:
    parameter = "[ s:describesFeature s:Purpose ; s:value %s ]"
    request = read_request(_EVALUATION + f" ; s:requestParameter {parameter % 'ex:care'}, {parameter % 'ex:trade'} .")
    assert request.values == {ODRL + "purpose": (Iri("urn:ex:care"), Iri("urn:ex:trade"))}


@pytest.mark.parametrize(
    ("read", "document", "problem"),
    [
        (read_request, _asking("odrl:constraint", "odrl:neq"), "neq states no value"),
        (read_request, _asking("sotw:context", "odrl:eq, odrl:neq"), "2 values of operator"),
        (read_request, _asking("sotw:context", "odrl:eq").replace("odrl:purpose", "odrl:purpose, ex:b"), "leftOp"),
        (read_request, _EVALUATION + " ; s:requestedAction odrl:use .", "2 values of requestedAction"),
        (read_request, _EVALUATION + f" ; dct:issued {_NOW}, {_LATER} .", "2 values of time"),
        (read_world, HEAD + f"ex:currentTime dct:issued {_NOW}, {_LATER} .", "the world names 2 values of time"),
        (read_request, _EVALUATION + " . ex:other a s:EvaluationRequest .", "asks 2 questions"),
    ],
)
def test_a_question_of_two_minds_is_refused(read: Callable[[str], object], document: str, problem: str) -> None:
    with pytest.raises(PolicyInvalid, match=problem):
        read(document)
