"""Compact JSON-LD under the ODRL context, and the plain variants people write, -> statements.

No JSON-LD processor: the context is fixed. A document may add prefixes of its own in `@context`; nothing is fetched.
Accepted alike: a single value or a list, `uid`, `id` or `@id`, `type` or `@type`, `odrl:` prefixes, full IRIs, typed
literals (`@value` with `@type`), `@list`, `@graph`.
"""

from collections.abc import Mapping
from typing import cast

from hdex.catalog.errors import PolicyInvalid
from hdex.catalog.odrl.graph import Graph, Iri, Literal, Term
from hdex.catalog.odrl.names import DCT, DESCRIPTIONS, ODRL, PREFIXES, RDF, RDF_TYPE, SCHEMES, XSD, expand, words

MAX_DEPTH = 32
MAX_PREFIXES = 50
_IDS = ("@id", "uid", "id")
_TYPES = ("@type", "type")
# A string under these is a word of the vocabulary, under the next ones a name, elsewhere a value.
_WORDS = frozenset(ODRL + name for name in ("action", "includedIn", "leftOperand", "operator", "conflict"))
_NAMES = frozenset(
    ODRL + name
    for name in (
        "target", "assigner", "assignee", "profile", "inheritFrom", "source", "partOf", "rightOperandReference",
        "dataType", "output", "relation", "function", "permission", "prohibition", "obligation", "duty", "remedy",
        "consequence", "constraint", "refinement", "and", "or", "xone", "andSequence", "hasPolicy", "attributedParty",
        "attributingParty", "compensatedParty", "compensatingParty", "consentedParty", "consentingParty",
        "contractedParty", "contractingParty", "informedParty", "informingParty", "trackedParty", "trackingParty",
    )
)  # fmt: skip


def parse(document: object, *, blank: str = "b") -> Graph:
    """Return the statements of a JSON document. Raise PolicyInvalid naming the field that cannot be read."""
    if not isinstance(document, Mapping | list):
        raise PolicyInvalid(f"a policy document is a JSON object, found {type(document).__name__}")
    reader = _Reader(blank)
    for item in document if isinstance(document, list) else [document]:
        reader.top(item)
    return reader.graph


class _Reader:
    def __init__(self, blank: str) -> None:
        self.graph = Graph()
        self._blank = blank
        self._made = 0
        self._prefixes = dict(PREFIXES)

    def top(self, item: object) -> None:
        """Read one object, or all of its `@graph`."""
        if not isinstance(item, Mapping):
            raise PolicyInvalid(f"an object is asked, found {type(item).__name__}")
        self._context(item.get("@context"))
        if "@graph" in item:
            for one in _listed(item["@graph"]):
                self.top(one)
            return
        self._node(item, "document", 0)

    def _context(self, context: object) -> None:
        for part in _listed(context):
            if not isinstance(part, Mapping):
                continue  # an address of a context: ours is fixed
            for prefix, target in part.items():
                if isinstance(target, str) and not str(prefix).startswith("@") and target.startswith(SCHEMES):
                    self._prefixes[str(prefix)] = target
        if len(self._prefixes) > len(PREFIXES) + MAX_PREFIXES:
            raise PolicyInvalid(f"@context declares more than {MAX_PREFIXES} prefixes")

    def _node(self, held: Mapping[object, object], where: str, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise PolicyInvalid(f"{where}: nested deeper than {MAX_DEPTH}")
        subject = self._subject(held, where)
        for raw, value in held.items():
            key = str(raw)
            if key in _IDS or key == "@context":
                continue
            if key in _TYPES:
                for kind in _listed(value):
                    self.graph.add(subject, RDF_TYPE, Iri(self._word(kind, f"{where}.{key}")))
                continue
            predicate = self._predicate(key, where)
            for one in _listed(value):
                self._add(subject, predicate, one, where=f"{where}.{key}", depth=depth)
        return subject

    def _subject(self, held: Mapping[object, object], where: str) -> str:
        for key in _IDS:
            if key in held:
                found = held[key]
                if not isinstance(found, str) or not found:
                    raise PolicyInvalid(f"{where}.{key}: a name is asked, found {type(found).__name__}")
                return self._name(found)
        self._made += 1
        return f"_:{self._blank}{self._made}"

    def _predicate(self, key: str, where: str) -> str:
        if key.startswith("@"):
            raise PolicyInvalid(f"{where}: {key[:40]!r} is not taken in this form of JSON-LD")
        if key in DESCRIPTIONS:
            return DCT + key
        if ":" in key or key in words().properties:
            return expand(key, self._prefixes)
        raise PolicyInvalid(f"{where}: unknown field {key[:40]!r}")

    def _add(self, subject: str, predicate: str, value: object, *, where: str, depth: int) -> None:
        if isinstance(value, Mapping) and "@list" in value:
            for one in _listed(value["@list"]):
                self._add(subject, predicate, one, where=where, depth=depth + 1)
            return
        self.graph.add(subject, predicate, self._term(predicate, value, where, depth))

    def _term(self, predicate: str, value: object, where: str, depth: int) -> Term:
        if isinstance(value, Mapping):
            return self._object(predicate, value, where, depth)
        if isinstance(value, bool):
            return Literal(str(value).lower(), XSD + "boolean")
        if isinstance(value, int):
            return Literal(str(value), XSD + "integer")
        if isinstance(value, float):
            return Literal(repr(value), XSD + "double")
        if not isinstance(value, str):
            raise PolicyInvalid(f"{where}: a value is asked, found {type(value).__name__}")
        if predicate in _WORDS:
            return Iri(self._word(value, where))
        if predicate in _NAMES:
            return Iri(self._name(value))
        return self._plain(value)

    def _object(self, predicate: str, value: Mapping[object, object], where: str, depth: int) -> Term:
        if "@value" in value:
            return self._typed(value, where)
        if set(value) == {"@id"}:
            found = value["@id"]
            if not isinstance(found, str) or not found:
                raise PolicyInvalid(f"{where}.@id: a name is asked")
            return Iri(self._word(found, where) if predicate in _WORDS else self._name(found))
        if predicate == ODRL + "action" and not set(value).isdisjoint(_IDS):
            return self._refined_action(value, where, depth)
        return Iri(self._node(value, where, depth + 1))

    def _refined_action(self, value: Mapping[object, object], where: str, depth: int) -> Iri:
        """Return a node of its own for an action named with refinements, which are this rule's and not the action's."""
        named = next(str(value[key]) for key in _IDS if key in value)
        rest = {key: held for key, held in value.items() if key not in _IDS}
        node = self._node(rest, where, depth + 1)
        self.graph.add(node, RDF + "value", Iri(self._word(named, where)))
        return Iri(node)

    def _typed(self, value: Mapping[object, object], where: str) -> Literal:
        if beyond := set(value) - {"@value", "@type", "@language"}:
            raise PolicyInvalid(f"{where}: {str(next(iter(beyond)))[:40]!r} beside @value")
        plain = self._term("", value["@value"], where, MAX_DEPTH) if not isinstance(value["@value"], Mapping) else None
        if plain is None:
            raise PolicyInvalid(f"{where}.@value: a plain value is asked")
        kind = value.get("@type")
        if kind is None:
            return plain if isinstance(plain, Literal) else Literal(str(value["@value"]))
        if not isinstance(kind, str):
            raise PolicyInvalid(f"{where}.@type: a datatype is asked")
        text = plain.text if isinstance(plain, Literal) else str(value["@value"])
        return Literal(text, expand(kind, self._prefixes))

    def _plain(self, value: str) -> Term:
        """Return a string as a name where it is written as one (prefix known), else as a value."""
        prefix = value.partition(":")[0]
        if ":" in value and prefix in self._prefixes and " " not in value:
            return Iri(expand(value, self._prefixes))
        return Literal(value)

    def _word(self, value: object, where: str) -> str:
        if isinstance(value, Mapping) and isinstance(value.get("@id"), str):
            value = value["@id"]
        if not isinstance(value, str) or not value:
            raise PolicyInvalid(f"{where}: a word of the vocabulary is asked, found {type(value).__name__}")
        return expand(value, self._prefixes)

    def _name(self, value: str) -> str:
        return expand(value, self._prefixes) if ":" in value else value


def _listed(value: object) -> list[object]:
    if value is None:
        return []
    return cast(list[object], value) if isinstance(value, list) else [value]
