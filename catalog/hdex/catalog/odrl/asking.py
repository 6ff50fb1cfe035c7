"""Requests and states of the world from outside: plain JSON of our own, or statements in the words that others use.

Source of the statements' words: odrl:Request as in Solid policies, and the vocabularies https://w3id.org/force/sotw and
https://w3id.org/force/compliance-report (Slabbinck et al., "Interoperable Interpretation and Evaluation of ODRL
Policies", 2025).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from hdex.catalog.errors import PolicyInvalid
from hdex.catalog.odrl.compare import UNIT
from hdex.catalog.odrl.duties import STATES
from hdex.catalog.odrl.graph import Graph, Iri, Literal, Term
from hdex.catalog.odrl.names import DCT, ODRL, RDF, RDF_TYPE, REPORT, SKOS, SOTW, XSD, expand, words
from hdex.catalog.odrl.reader import REQUEST_TYPE, read_graph
from hdex.catalog.odrl.situation import Performance, Request, World, moment

Source = str | bytes | Mapping[str, object]
_FEATURES = {"TemporalData": "dateTime", "Purpose": "purpose", "Recipient": "recipient"}
_LINKED = ("@context", "@graph", "@type", "type", "permission", "odrl:permission")
_REQUEST_FIELDS = frozenset({"id", "action", "assignee", "target", "purpose", "time", "context"})
_WORLD_FIELDS = frozenset(
    {"time", "context", "counts", "events", "payments", "performed", "duties", "partOf", "types", "broader"}
)
_PERFORMED_FIELDS = frozenset({"action", "party", "target", "at", "context"})
_PAYMENT_FIELDS = frozenset({"amount", "unit", "party", "target", "at"})
_STATING = ("", "eq", "isA", "isAllOf")  # the operators by which a request's constraint says what is so
MAX_ITEMS = 10_000
MAX_VALUES = 100  # of one left operand
MAX_COUNT = 2**53 - 1


def read_request(source: Source) -> Request:
    """Return the one question of a document. Raises PolicyInvalid."""
    if isinstance(source, Mapping) and not any(key in source for key in _LINKED):
        return _plain_request(source)
    graph = read_graph(source, blank="q")
    evaluated = [*graph.of_type(SOTW + "EvaluationRequest")]
    if len(evaluated) > 1:
        raise PolicyInvalid(f"the request asks {len(evaluated)} questions; one evaluation request is asked")
    if evaluated:
        return _evaluation_request(graph, evaluated[0])
    asking = [*graph.of_type(REQUEST_TYPE)] or [s for s in graph.held if graph.objects(s, ODRL + "permission")]
    rules = [(one, rule) for one in asking for rule in graph.names(one, ODRL + "permission")]
    if len(rules) != 1:
        raise PolicyInvalid(f"the request asks {len(rules)} questions; one permission is asked")
    return _odrl_request(graph, *rules[0])


def read_world(source: Source | None) -> World:
    """Return the state of the world that a document tells; without one nothing is known. Raises PolicyInvalid."""
    if source is None:
        return World()
    if isinstance(source, Mapping) and not any(key in source for key in _LINKED):
        return _plain_world(source)
    graph = read_graph(source, blank="w")
    issued = [text for s in graph.held if s.endswith("currentTime") for text in graph.texts(s, DCT + "issued")]
    values: dict[str, tuple[Term, ...]] = {}
    _add(values, _parameters(graph, None))
    timed = issued or [value.text for value in values.pop(ODRL + "dateTime", ())]
    return World(
        time=moment(_single(timed, "time", "world"), "the world's time") if timed else None,
        values=values,
        duties=dict(_duty_reports(graph)),
        facts=graph,
    )


def _evaluation_request(graph: Graph, asked: str) -> Request:
    def one(name: str) -> str:
        return _single(graph.texts(asked, SOTW + name), name)

    values = _stated(graph, asked, SOTW + "context")
    _add(values, _parameters(graph, asked))
    timed = values.pop(ODRL + "dateTime", ()) or graph.objects(asked, DCT + "issued")
    return Request(
        id=asked,
        rule=asked,
        action=one("requestedAction"),
        assignee=one("requestingParty"),
        target=one("requestedTarget"),
        values=values,
        time=_timed(timed),
        facts=graph,
    )


def _odrl_request(graph: Graph, request: str, rule: str) -> Request:
    def one(name: str) -> str:
        return _single(graph.texts(rule, ODRL + name) or graph.texts(request, ODRL + name), name)

    values = _stated(graph, rule, ODRL + "constraint", SOTW + "context")
    timed = values.pop(ODRL + "dateTime", ())
    action = one("action")
    return Request(
        id=request,
        rule=rule,
        action=next(iter(graph.names(action, RDF + "value")), action),
        assignee=one("assignee"),
        target=one("target"),
        values=values,
        time=_timed(timed),
        facts=graph,
    )


def _stated(graph: Graph, subject: str, *predicates: str) -> dict[str, tuple[Term, ...]]:
    """Return what a request's constraints say is so, by left operand."""
    values: dict[str, tuple[Term, ...]] = {}
    for node in graph.names(subject, *predicates):
        left = _single(graph.texts(node, ODRL + "leftOperand"), "leftOperand")
        operator = _single(graph.texts(node, ODRL + "operator"), "operator").removeprefix(ODRL)
        if operator not in _STATING:
            raise PolicyInvalid(f"the request's {operator[:80]} states no value: a request's constraints are eq")
        _add(values, [(left, tuple(graph.objects(node, ODRL + "rightOperand")))])
    return values


def _add(values: dict[str, tuple[Term, ...]], more: Iterable[tuple[str, tuple[Term, ...]]]) -> None:
    for left, said in more:
        values[left] = tuple(dict.fromkeys((*values.get(left, ()), *said)))
        _bounded(len(values[left]), left[:80])


def _timed(said: Sequence[Term]) -> datetime | None:
    return moment(_single([one.text for one in said], "time"), "the request's time") if said else None


def _single(found: Sequence[str], name: str, of: str = "request") -> str:
    """Return the one text of a name, empty without any."""
    if len(found) > 1:
        raise PolicyInvalid(f"the {of} names {len(found)} values of {name}; one is asked")
    return next(iter(found), "")


def _parameters(graph: Graph, asked: str | None) -> Iterator[tuple[str, tuple[Term, ...]]]:
    """Yield what parameters say, by left operand: those of one request, or all of a world."""
    nodes = graph.names(asked, SOTW + "requestParameter") if asked else list(graph.held)
    for node in nodes:
        for feature in graph.names(node, SOTW + "describesFeature"):
            local = feature.removeprefix(SOTW)
            word = _FEATURES.get(local, local[:1].lower() + local[1:]) if local != feature else feature
            left = ODRL + word if ODRL + word in words().left_operands else word
            values = tuple(graph.objects(node, SOTW + "value"))
            yield left, values


def _duty_reports(graph: Graph) -> Iterator[tuple[str, str]]:
    for node in graph.of_type(REPORT + "DutyReport"):
        for duty in graph.names(node, REPORT + "rule"):
            for state in graph.names(node, REPORT + "deonticState"):
                yield duty, state.removeprefix(REPORT)


def _plain_request(source: Mapping[str, object]) -> Request:
    _known(source, _REQUEST_FIELDS, "request")
    values = dict(_context(source.get("context"), "request.context"))
    if "purpose" in source:
        values[ODRL + "purpose"] = _terms(source["purpose"], "request.purpose")
    action = _text(source, "action", "request")
    return Request(
        id=_text(source, "id", "request"),
        action=expand(action) if action else "",
        assignee=_name(_text(source, "assignee", "request")),
        target=_name(_text(source, "target", "request")),
        values=values,
        time=_time(source, "time", "request"),
    )


def _plain_world(source: Mapping[str, object]) -> World:
    _known(source, _WORLD_FIELDS, "world")
    performed = (_performance(one, "performed") for one in _items(source, "performed"))
    payments = (_payment(one) for one in _items(source, "payments"))
    events = {_name(k): _event(v, k) for k, v in _object(source, "events").items()}
    return World(
        time=_time(source, "time", "world"),
        values=dict(_context(source.get("context"), "world.context")),
        counts={_counted(k): _count(v, k) for k, v in _object(source, "counts").items()},
        events=events,
        duties={_name(k): _state(v, k) for k, v in _object(source, "duties").items()},
        performed=(*performed, *payments),
        facts=_facts(source),
    )


def _facts(source: Mapping[str, object]) -> Graph:
    graph = Graph()
    for field, predicate in (("partOf", ODRL + "partOf"), ("types", RDF_TYPE), ("broader", SKOS + "broader")):
        for key, value in _object(source, field).items():
            for term in _terms(value, f"world.{field}"):
                graph.add(_name(key), predicate, Iri(_name(term.text)))
    return graph


def _performance(held: object, where: str) -> Performance:
    if not isinstance(held, Mapping):
        raise PolicyInvalid(f"world.{where}: an object is asked, found {type(held).__name__}")
    _known(held, _PERFORMED_FIELDS, f"world.{where}")
    action = _text(held, "action", where)
    if not action:
        raise PolicyInvalid(f"world.{where}: an action is asked")
    return Performance(
        action=expand(action),
        party=_name(_text(held, "party", where)),
        target=_name(_text(held, "target", where)),
        at=_time(held, "at", where),
        values=dict(_context(held.get("context"), where)),
    )


def _payment(held: object) -> Performance:
    if not isinstance(held, Mapping) or "amount" not in held:
        raise PolicyInvalid("world.payments: an object with an amount is asked")
    _known(held, _PAYMENT_FIELDS, "world.payments")
    left = ODRL + "payAmount"
    amount = Literal(str(held["amount"]), XSD + "decimal")
    unit = _text(held, "unit", "payments")
    return Performance(
        action=ODRL + "compensate",
        party=_name(_text(held, "party", "payments")),
        target=_name(_text(held, "target", "payments")),
        at=_time(held, "at", "payments"),
        values={left: (amount,)} | ({left + UNIT: (Literal(unit),)} if unit else {}),
    )


def _context(held: object, where: str) -> Iterator[tuple[str, tuple[Term, ...]]]:
    if held is None:
        return
    if not isinstance(held, Mapping):
        raise PolicyInvalid(f"{where}: an object of left operands is asked, found {type(held).__name__}")
    for key, value in held.items():
        left = expand(str(key))
        if isinstance(value, Mapping) and set(value) == {"amount", "unit"}:
            yield left, (Literal(str(value["amount"]), XSD + "decimal"),)
            yield left + UNIT, (Literal(_text(value, "unit", where)),)
        else:
            yield left, _terms(value, f"{where}.{str(key)[:40]}")


def _terms(value: object, where: str) -> tuple[Term, ...]:
    """Return plain values as terms, each as JSON-LD would read it."""
    held = value if isinstance(value, list) else [value]
    _bounded(len(held), where)
    graph = read_graph({"@id": "_:value", "odrl:rightOperand": held})
    found = tuple(graph.objects("_:value", ODRL + "rightOperand"))
    if any(isinstance(term, Iri) and term.value.startswith("_:") for term in found):
        raise PolicyInvalid(f"{where}: a value is asked, found an object")
    return found


def _bounded(count: int, where: str) -> None:
    if count > MAX_VALUES:
        raise PolicyInvalid(f"{where}: {count} values; at most {MAX_VALUES} are read")


def _known(source: Mapping[str, object], fields: frozenset[str], where: str) -> None:
    if unknown := sorted(str(key) for key in source if key not in fields):
        raise PolicyInvalid(f"{where}: unknown field {unknown[0][:40]!r}; known are {', '.join(sorted(fields))}")


def _object(source: Mapping[str, object], field: str) -> Mapping[str, object]:
    held = source.get(field, {})
    if not isinstance(held, Mapping) or len(held) > MAX_ITEMS:
        raise PolicyInvalid(f"world.{field}: an object of at most {MAX_ITEMS} entries is asked")
    return held


def _items(source: Mapping[str, object], field: str) -> list[object]:
    held = source.get(field, [])
    if not isinstance(held, list) or len(held) > MAX_ITEMS:
        raise PolicyInvalid(f"world.{field}: a list of at most {MAX_ITEMS} entries is asked")
    return held


def _text(source: Mapping[str, object], field: str, where: str) -> str:
    held = source.get(field, "")
    if not isinstance(held, str):
        raise PolicyInvalid(f"{where}.{field}: a name is asked, found {type(held).__name__}")
    return held


def _time(source: Mapping[str, object], field: str, where: str) -> datetime | None:
    text = _text(source, field, where)
    return moment(text, f"{where}.{field}") if text else None


def _event(value: object, key: str) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise PolicyInvalid(f"world.events.{key[:40]}: a time, or null for an event to come, is asked")
    return moment(value, f"world.events.{key[:40]}")


def _count(value: object, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        raise PolicyInvalid(f"world.counts.{key[:40]}: a whole number from 0 on is asked")
    return value


def _counted(key: str) -> str:
    """Return what is counted: an action by its word, or a rule by its name."""
    return expand(key) if expand(key) in words().actions else _name(key)


def _state(value: object, key: str) -> str:
    if not isinstance(value, str) or value.lower() not in STATES:
        raise PolicyInvalid(f"world.duties.{key[:40]}: one of {', '.join(sorted(STATES))} is asked")
    return value


def _name(text: str) -> str:
    return expand(text) if ":" in text else text
