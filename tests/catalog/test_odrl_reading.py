"""Reading policies: every syntax gives the same answer, and what is malformed is refused with its place."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
import rdflib
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hdex.catalog.errors import PolicyInvalid
from hdex.catalog.odrl import (
    Graph,
    Iri,
    evaluate,
    read_graph,
    read_policies,
    read_request,
    read_world,
    to_json,
    to_turtle,
)
from hdex.catalog.odrl.graph import MAX_STATEMENTS
from hdex.catalog.odrl.reader import MAX_TEXT
from hdex.catalog.odrl.turtle import MAX_DEPTH, parse

ODRL = "http://www.w3.org/ns/odrl/2/"
Json = dict[str, object]
HEAD = f"""@prefix odrl: <{ODRL}> . @prefix ex: <urn:ex:> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix dct: <http://purl.org/dc/terms/> .
"""
POLICY = (
    HEAD
    + """ex:policy a odrl:Set ; dct:description "Who may read." ; odrl:permission ex:permission .
ex:permission odrl:action odrl:use ; odrl:target ex:cohort ;
  odrl:assignee [ a odrl:PartyCollection ; odrl:source ex:team ] ;
  odrl:constraint [ odrl:and [ odrl:leftOperand odrl:dateTime ; odrl:operator odrl:gteq ;
                               odrl:rightOperand "2026-01-01"^^xsd:date ] ,
                             [ odrl:leftOperand odrl:spatial ; odrl:operator odrl:isAnyOf ;
                               odrl:rightOperand "CN", "SG" ] ] ;
  odrl:duty ex:duty .
ex:duty odrl:action odrl:attribute .
"""
)
REQUEST = (
    HEAD
    + """ex:request a odrl:Request ; odrl:permission ex:asks .
ex:asks odrl:action odrl:read ; odrl:target ex:cohort ; odrl:assignee ex:analyst ;
  odrl:constraint [ odrl:leftOperand odrl:spatial ; odrl:operator odrl:eq ; odrl:rightOperand "SG" ] .
"""
)
WORLD = (
    HEAD
    + """@prefix report: <https://w3id.org/force/compliance-report#> .
ex:currentTime dct:issued "2026-06-15T12:00:00Z"^^xsd:dateTime . ex:analyst odrl:partOf ex:team .
ex:seen a report:DutyReport ; report:rule ex:duty ; report:deonticState report:Fulfilled .
"""
)


def test_turtle_is_read_and_answered_in_turtle() -> None:
    answer = evaluate(read_policies(read_graph(POLICY)), read_request(REQUEST), read_world(WORLD))
    assert (answer.outcome, answer.rule) == ("permitted", "urn:ex:permission")
    report = rdflib.Graph().parse(data=to_turtle(answer), format="turtle")
    words = rdflib.Namespace("https://w3id.org/force/compliance-report#")
    (rule,) = report.subjects(words.rule, rdflib.URIRef("urn:ex:permission"))
    assert report.value(rule, words.activationState) == words.Active
    assert report.value(rule, words.attemptState) == words.Attempted
    assert report.value(rule, words.ruleRequest) == rdflib.URIRef("urn:ex:asks")
    kinds = {str(report.value(one, rdflib.RDF.type)) for one in report.objects(rule, words.premiseReport)}
    assert kinds == {str(words[f"{kind}Report"]) for kind in ("Target", "Party", "Action", "Constraint")}
    (duty,) = report.subjects(words.rule, rdflib.URIRef("urn:ex:duty"))
    assert report.value(duty, words.deonticState) == words.Fulfilled
    assert to_turtle(answer) == to_turtle(answer)


def test_a_request_in_the_words_of_sotw_asks_the_same() -> None:
    request = (
        HEAD
        + """@prefix s: <https://w3id.org/force/sotw#> .
ex:request a s:EvaluationRequest ; s:requestedAction odrl:read ; s:requestingParty ex:analyst ;
  s:requestedTarget ex:cohort ;
  s:requestParameter [ s:describesFeature s:TemporalData ; s:value "2026-06-15T12:00:00Z"^^xsd:dateTime ] ,
                     [ s:describesFeature s:Spatial ; s:value "SG" ] .
"""
    )
    world = WORLD.replace("ex:currentTime", "ex:otherTime")
    answer = evaluate(read_policies(read_graph(POLICY)), read_request(request), read_world(world))
    assert answer.outcome == "permitted"
    assert to_json(answer)["request"] == "urn:ex:request"


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.tuples(st.sampled_from(["a", "b"]), TEXTS), min_size=1, max_size=8), tail=st.integers(0, 9))
@example(values=[("a", '"'), ("b", "\\"), ("a", "'''")], tail=0)
def test_what_rdflib_writes_as_turtle_is_read_to_the_same_statements(values: list[tuple[str, str]], tail: int) -> None:
    there = rdflib.Graph()
    things = rdflib.Namespace("urn:x:")
    previous: rdflib.term.Node = things.end
    for number, (kind, text) in enumerate(values):
        node = rdflib.BNode() if kind == "a" else things[f"n{number}.{tail}"]
        there.add((node, things.says, rdflib.Literal(text)))
        there.add((node, things.counts, rdflib.Literal(number)))
        there.add((node, things.follows, previous))
        previous = node
    here = parse(there.serialize(format="turtle"))
    assert here.count == len(there)
    said = sorted(value.text for subject in here.held for value in here.objects(subject, "urn:x:says"))
    assert said == sorted(text for _, text in values)


@pytest.mark.parametrize(
    "text",
    [
        "@base <http://e/> . <a> <b> <c#d> , </x> .",
        "PREFIX e: <http://e/>\nBASE <http://e/b/>\n<> e:p 1, -2.5, 1e3, .5, true, false .",
        "@prefix : <http://e/> . :a :b ( 1 ( 2 ) :c ) ; ; :d [ :e [] ; ] .",
        '@prefix e: <http://e/> . e:a\\~b e:p%20q "x"@en-GB , \'y\' , """l1\n"l2" \\u00e9""" , "z"^^e:t .',
        "_:x <urn:p> _:y . [ <urn:p> _:x ] . # the end",
        "@prefix e.x: <http://e/> . e.x:a.b e.x:c:d e.x: .",
    ],
)
def test_the_grammar_is_read_as_rdflib_reads_it(text: str) -> None:
    here, there = parse(text), rdflib.Graph().parse(data=text, format="turtle")
    assert here.count == len(there)
    named = {str(one) for triple in there for one in triple if isinstance(one, rdflib.URIRef)}
    ours = {*here.held, *(p for held in here.held.values() for p in held)}
    ours |= {v.value for held in here.held.values() for values in held.values() for v in values if isinstance(v, Iri)}
    assert {name for name in ours if not name.startswith("_:")} == named


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<a> <b>", "line 1"),
        ("\n\n<a> <b> <c> ;", "line 3"),
        ("a:b <p> <o> .", "prefix 'a' is not declared"),
        ('<a> <b> "no end .', "begins nothing that is known"),
        ("<a> 'b' <c> .", "a predicate is an IRI"),
        ('"a" <b> <c> .', "a subject is a name"),
        ('<a> <b> "\\q" .', "unknown escape"),
        ('<a> <b> "\\ud800" .', "an escape names no character"),
        ("<a> <b> " + "[ <p> " * (MAX_DEPTH + 5) + "1" + "]" * (MAX_DEPTH + 5) + ".", "nested deeper"),
        ("<a> <b> " + "(" * (MAX_DEPTH + 5) + ")" * (MAX_DEPTH + 5) + ".", "nested deeper"),
        ("<a b> <b> <c> .", "begins nothing"),
    ],
)
def test_turtle_that_cannot_be_read_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(PolicyInvalid, match=problem):
        parse(text)


def rule(**held: object) -> dict[str, object]:
    return {"uid": "urn:p", "permission": {"action": "read", **held}}


def nested(depth: int) -> object:
    inner: object = {"leftOperand": "count", "operator": "lt", "rightOperand": 1}
    for _ in range(depth):
        inner = {"or": [inner]}
    return inner


MALFORMED: dict[str, tuple[object, str]] = {
    "nothing": ({}, "no policy found"),
    "a number": (3, "a JSON object"),
    "no rule": ({"@type": "Set", "uid": "urn:p"}, "has no rule"),
    "an unknown field": ({"uid": "urn:p", "permissions": []}, "unknown field 'permissions'"),
    "a rule that is a value": ({"uid": "urn:p", "permission": 5}, "permission is an object"),
    "a uid that is none": ({"uid": 5, "permission": {}}, "a name is asked"),
    "a keyword we do not take": ({"uid": "urn:p", "@reverse": {}}, "not taken"),
    "no operator": (rule(constraint={"leftOperand": "count", "rightOperand": 1}), "0 values of operator"),
    "no left operand": (rule(constraint={"operator": "eq", "rightOperand": 1}), "0 values of leftOperand"),
    "no right operand": (rule(constraint={"leftOperand": "count", "operator": "eq"}), "no rightOperand"),
    "two right operands": (
        rule(
            constraint={"leftOperand": "count", "operator": "eq", "rightOperand": 1, "rightOperandReference": "urn:x"}
        ),
        "both rightOperand and",
    ),
    "two operators": (
        rule(constraint={"leftOperand": "count", "operator": ["eq", "lt"], "rightOperand": 1}),
        "2 values of operator",
    ),
    "a constraint that is a value": (rule(constraint="always"), "has 0 values of leftOperand"),
    "two joins": (rule(constraint={"and": [nested(0)], "or": [nested(0)]}), "more than one way"),
    "joins too deep": (rule(constraint=nested(20)), "nested deeper than 16"),
    "objects too deep": (rule(constraint=nested(40)), "nested deeper than 32"),
    "a constraint that holds itself": (
        {"@graph": [rule(constraint={"@id": "urn:c"}), {"@id": "urn:c", "and": [{"@id": "urn:c"}]}]},
        "holds itself",
    ),
    "a duty without action": (rule(duty={"uid": "urn:d", "target": "urn:x"}), "names no action"),
    "a remedy of a permission": (rule(remedy={"action": "delete"}), "duty is meant"),
    "a consequence of a consequence": (
        rule(duty={"action": "pay", "consequence": {"action": "pay", "consequence": {"action": "pay"}}}),
        "has a consequence of its own",
    ),
    "an unknown conflict strategy": ({**rule(), "conflict": "toss"}, "one of perm, prohibit, invalid"),
    "a policy that inherits from itself": ({**rule(), "inheritFrom": "urn:p"}, "inherits from itself"),
    "policies in a circle": (
        {
            "@graph": [
                {"@type": "Set", "uid": "urn:a", "inheritFrom": "urn:b", "permission": {"action": "read"}},
                {"@type": "Set", "uid": "urn:b", "inheritFrom": "urn:a", "permission": {"action": "read"}},
            ]
        },
        "in a circle",
    ),
    "a value beside @value": (
        rule(constraint={"leftOperand": "count", "operator": "eq", "rightOperand": {"@value": 1, "x": 2}}),
        "beside @value",
    ),
    "an action without a name": (rule(action={"refinement": nested(0)}), "names no action"),
    "too many rules": ({"uid": "urn:p", "permission": [{"action": "read"}] * 2001}, "at most 2000"),
    "too many values": (
        rule(constraint={"leftOperand": "spatial", "operator": "isAnyOf", "rightOperand": list(range(10_001))}),
        "more than 10000 values",
    ),
    "too many prefixes": ({**rule(), "@context": {f"p{n}": "urn:x:" for n in range(60)}}, "more than 50 prefixes"),
}


def doubled(depth: int) -> Json:
    """Return joins that share their parts: few words that say 2 ** depth constraints."""
    nodes: list[object] = [rule(constraint={"@id": "urn:j0"})]
    nodes += [{"@id": f"urn:j{n}", "or": [{"@id": f"urn:j{n}:{side}"} for side in "ab"]} for n in range(depth)]
    nodes += [{"@id": f"urn:j{n}:{side}", "or": [{"@id": f"urn:j{n + 1}"}]} for n in range(depth - 1) for side in "ab"]
    leaf = {"leftOperand": "count", "operator": "lt", "rightOperand": 1}
    return {"@graph": [*nodes, *({"@id": f"urn:j{depth - 1}:{side}", **leaf} for side in "ab")]}


def multiplied(width: int) -> Json:
    """Return a join of many names for one node, again and again: a thousand times what it seems to say."""
    levels: list[object] = [
        {"@id": f"urn:m{n}:{k}", "or": [{"@id": f"urn:m{n + 1}:{j}"} for j in range(width)]}
        for n in range(6)
        for k in range(width)
    ]
    leaf = {"leftOperand": "count", "operator": "lt", "rightOperand": 1}
    return {
        "@graph": [
            rule(constraint={"@id": "urn:m0:0"}),
            *levels,
            *({"@id": f"urn:m6:{k}", **leaf} for k in range(width)),
        ]
    }


def inherited(depth: int) -> Json:
    """Return policies in a row, each the child of the next."""
    more = [{**rule(), "uid": f"urn:i{n}", "inheritFrom": f"urn:i{n + 1}"} for n in range(depth)]
    return {"@graph": [*more, {**rule(), "uid": f"urn:i{depth}"}]}


MALFORMED |= {
    "parts that multiply": (multiplied(20), "more than 50000 constraints"),
    "ancestors without end": (inherited(50), "more than 32 others"),
    "rules that share too many assets": (
        {
            "uid": "urn:p",
            "target": [f"urn:x:{n}" for n in range(1000)],
            "permission": [{"action": "read"} for _ in range(200)],
        },
        "more than 50000 actions, assets",
    ),
}


def test_parts_that_are_shared_are_read_as_often_as_they_are_named() -> None:
    (policy,) = read_policies(read_graph(doubled(6)))
    assert evaluate(policy, read_request({"action": "read"})).outcome == "undecided"


def test_an_ancestor_by_two_ways_is_inherited_once() -> None:
    policies = [
        {"uid": "urn:a", "inheritFrom": ["urn:b", "urn:c"], "permission": {"uid": "urn:ra", "action": "print"}},
        {"uid": "urn:b", "inheritFrom": "urn:d", "permission": {"uid": "urn:rb", "action": "play"}},
        {"uid": "urn:c", "inheritFrom": "urn:d", "permission": {"uid": "urn:rc", "action": "index"}},
        {"uid": "urn:d", "permission": {"uid": "urn:rd", "action": "read"}},
    ]
    (policy,) = read_policies(read_graph({"@graph": policies}))
    assert sorted(rule.id for rule in policy.rules) == ["urn:ra", "urn:rb", "urn:rc", "urn:rd"]


@pytest.mark.parametrize("name", list(MALFORMED))
def test_a_malformed_policy_is_refused_with_what_is_asked(name: str) -> None:
    document, problem = MALFORMED[name]
    with pytest.raises(PolicyInvalid, match=problem):
        read_policies(read_graph(document))


@pytest.mark.parametrize(
    ("read", "document", "problem"),
    [
        (read_request, {"action": "read", "mood": "good"}, "unknown field 'mood'"),
        (read_request, {"action": 3}, "a name is asked"),
        (read_request, {"action": "read", "time": "tomorrow"}, "RFC 3339"),
        (read_request, {"action": "read", "context": ["CN"]}, "an object of left operands"),
        (read_request, {"action": "read", "purpose": {"deep": 1}}, "unknown field 'deep'"),
        (read_request, {"action": "read", "purpose": {"dct:title": "x"}}, "a value is asked"),
        (read_request, {"@type": "Request", "uid": "urn:q"}, "asks 0 questions"),
        (read_request, {"@type": "Request", "permission": [{"action": "read"}, {"action": "use"}]}, "asks 2 questions"),
        (read_request, {"@type": "Request", "permission": {"action": ["read", "use"]}}, "2 values of action"),
        (read_request, {"action": "read", "purpose": ["urn:x"] * 101}, "at most 100"),
        (read_world, {"weather": "fine"}, "unknown field 'weather'"),
        (read_world, {"time": 3}, "a name is asked"),
        (read_world, {"counts": {"read": -1}}, "from 0 on"),
        (read_world, {"counts": {"read": True}}, "from 0 on"),
        (read_world, {"counts": [1]}, "an object of at most"),
        (read_world, {"events": {"urn:e": 3}}, "a time, or null"),
        (read_world, {"duties": {"urn:d": "perhaps"}}, "one of active"),
        (read_world, {"payments": [{"unit": "EUR"}]}, "an amount"),
        (read_world, {"performed": [{"party": "urn:x"}]}, "an action is asked"),
        (read_world, {"performed": {"action": "pay"}}, "a list of at most"),
    ],
)
def test_a_malformed_question_is_refused_with_what_is_asked(
    read: Callable[[object], object], document: object, problem: str
) -> None:
    with pytest.raises(PolicyInvalid, match=problem):
        read(document)


def test_a_hostile_text_is_read_in_little_time_and_memory() -> None:
    """A string without its end cost three hundred times its length of memory, words side by side the square of time.

    What it costs is held by what is left of a bounded address space, and by a number of words that took minutes.
    """
    code = (
        "import resource\nfrom hdex.catalog.odrl.turtle import parse\nfrom hdex.catalog.errors import PolicyInvalid\n"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for begun in ('\"\"\"', '\"', '<', \"'''\"):\n"
        "    try:\n        parse('<s> <p> ' + begun + 'a' * 4_000_000)\n    except PolicyInvalid:\n        pass\n"
        "    else:\n        raise SystemExit('read')\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < used + 100_000, 'memory'\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (15, 15))\n"
        "parse('<s> <p> (' + 'true1' * 20_000 + ') .')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sizes_are_bounded() -> None:
    with pytest.raises(PolicyInvalid, match="at most"):
        read_graph(b" " * (MAX_TEXT + 1))
    with pytest.raises(PolicyInvalid, match="not UTF-8 at byte 4"):
        read_graph(b"<a> \xff")
    graph = Graph(count=MAX_STATEMENTS)
    with pytest.raises(PolicyInvalid, match="more than"):
        graph.add("urn:a", "urn:b", Iri("urn:c"))


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="<>[]();.,a:@\"'^_ \n#1e-prefixbase", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_policies(read_graph(text))
    except PolicyInvalid:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["use", "read", "urn:x", "count", "lt", ""]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["uid", "@id", "permission", "prohibition", "obligation", "action", "constraint", "leftOperand", "operator",
             "rightOperand", "and", "xone", "@graph", "@list", "@value", "@type", "duty", "target", "inheritFrom"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_any_json_is_read_or_refused(document: object) -> None:
    try:
        policies = read_policies(read_graph(document))
    except PolicyInvalid:
        return
    json.dumps(to_json(evaluate(policies, read_request({"action": "read"}))))
