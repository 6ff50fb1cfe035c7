"""RDF 1.1 Turtle -> statements. The whole grammar but for two things: nothing is fetched, and nesting is bounded.

Source: W3C Recommendation "RDF 1.1 Turtle", 25 February 2014, section 6. Section numbers and production names in
comments are its.
"""

import re
from collections.abc import Iterator
from urllib.parse import urljoin

from hdex.catalog.errors import PolicyInvalid
from hdex.catalog.odrl.graph import Graph, Iri, Literal, Term
from hdex.catalog.odrl.names import RDF, RDF_TYPE, XSD

MAX_DEPTH = 32
# Possessive, so that a text without its end is given up at once and keeps no places to go back to; a prefix is bounded,
# for whatever could begin one is looked through for its colon.
_TOKEN = re.compile(
    r"""
    (?P<skip>[ \t\r\n]+|\#[^\r\n]*)
    |(?P<iri><(?:[^\x00-\x20<>"{}|^`\\]++|\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8})*+>)
    |(?P<long>"{3}(?:[^"\\]++|\\.|"{1,2}(?!"))*+"{3}|'{3}(?:[^'\\]++|\\.|'{1,2}(?!'))*+'{3})
    |(?P<quoted>"(?:[^"\\\r\n]++|\\.)*+"|'(?:[^'\\\r\n]++|\\.)*+')
    |(?P<lang>@[A-Za-z]+(?:-[A-Za-z0-9]+)*)
    |(?P<number>[+-]?(?:\d+\.\d*[eE][+-]?\d+|\.?\d+[eE][+-]?\d+|\d*\.\d+|\d+))
    |(?P<blank>_:[\w](?:[\w.·-]*[\w·-])?)
    |(?P<pname>(?:[^\W\d_](?:[\w.·-]{0,100}[\w·-])?)?:(?:(?:[\w:]|%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?\#@%])
        (?:(?:[\w:.·-]|%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?\#@%])*(?:[\w:·-]|%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?\#@%]))?)?)
    |(?P<word>[A-Za-z]+)
    |(?P<mark>\^\^|[.;,\[\]()])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
Token = tuple[str, str, int]


def parse(text: str, *, blank: str = "b") -> Graph:
    """Return the statements of a Turtle text. Raise PolicyInvalid naming the line; `blank` begins made-up names."""
    return _Parser(text, blank).document()


class _Parser:
    """Recursive descent over tokens; one reading, one graph."""

    def __init__(self, text: str, blank: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens)
        self._graph = Graph()
        self._prefixes: dict[str, str] = {}
        self._base = ""
        self._blank = blank
        self._made = 0

    def document(self) -> Graph:
        while self._next[0] != "end":
            self._statement()
        return self._graph

    def _statement(self) -> None:
        kind, text, _ = self._next
        if kind == "lang" and text in ("@prefix", "@base"):
            self._directive(text[1:])
            self._expect(".")
        elif kind == "word" and text.lower() in ("prefix", "base"):
            self._directive(text.lower())
        else:
            self._triples()
            self._expect(".")

    def _directive(self, name: str) -> None:
        self._take()
        prefix = self._take("pname")[1] if name == "prefix" else ""
        target = self._resolve(self._take("iri")[1])
        if name == "base":
            self._base = target
        elif prefix.endswith(":") and prefix.count(":") == 1:
            self._prefixes[prefix[:-1]] = target
        else:
            raise self._wrong("a prefix ends with a colon")

    def _triples(self) -> None:
        if self._next[1] == "[":
            subject = self._blank_node(0)
            if self._next[1] == ".":  # blankNodePropertyList predicateObjectList?
                return
        else:
            found = self._collection(0) if self._next[1] == "(" else self._named()
            if isinstance(found, Literal):
                raise self._wrong("a subject is a name, not a value")
            subject = found.value
        self._properties(subject, 0)

    def _properties(self, subject: str, depth: int) -> None:
        """predicateObjectList: verb objectList (';' (verb objectList)?)*"""
        while True:
            predicate = self._verb()
            self._graph.add(subject, predicate, self._object(depth))
            while self._next[1] == ",":
                self._take()
                self._graph.add(subject, predicate, self._object(depth))
            if self._next[1] != ";":
                return
            while self._next[1] == ";":
                self._take()
            if self._next[1] in (".", "]"):
                return

    def _verb(self) -> str:
        if self._next[:2] == ("word", "a"):
            self._take()
            return RDF_TYPE
        found = self._named()
        if isinstance(found, Literal) or found.value.startswith("_:"):
            raise self._wrong("a predicate is an IRI")
        return found.value

    def _object(self, depth: int) -> Term:
        if depth > MAX_DEPTH:
            raise self._wrong(f"nested deeper than {MAX_DEPTH}")
        if self._next[1] == "[" and self._next[0] == "mark":
            return Iri(self._blank_node(depth + 1))
        if self._next[1] == "(" and self._next[0] == "mark":
            return self._collection(depth + 1)
        return self._named()

    def _blank_node(self, depth: int) -> str:
        self._take()
        node = self._fresh()
        if self._next[1] != "]":
            self._properties(node, depth)
        self._expect("]")
        return node

    def _collection(self, depth: int) -> Iri:
        self._take()
        items = []
        while self._next[1] != ")" or self._next[0] != "mark":
            items.append(self._object(depth))
        self._take()
        node: Iri = Iri(RDF + "nil")
        for item in reversed(items):
            cell = self._fresh()
            self._graph.add(cell, RDF + "first", item)
            self._graph.add(cell, RDF + "rest", node)
            node = Iri(cell)
        return node

    def _named(self) -> Term:
        kind, text, _ = self._next
        if kind in ("quoted", "long"):
            return self._literal()
        if kind == "number":
            self._take()
            return Literal(text, XSD + _number_type(text))
        if kind == "word" and text in ("true", "false"):
            self._take()
            return Literal(text, XSD + "boolean")
        return Iri(self._iri())

    def _literal(self) -> Literal:
        kind, text, _ = self._take()
        value = self._unescape(text[3:-3] if kind == "long" else text[1:-1])
        if self._next[0] == "lang":
            self._take()
            return Literal(value, RDF + "langString")
        if self._next[1] == "^^":
            self._take()
            return Literal(value, self._iri())
        return Literal(value)

    def _iri(self) -> str:
        kind, text, _ = self._take()
        if kind == "iri":
            return self._resolve(text)
        if kind == "blank":
            return f"_:{self._blank}.{text[2:]}"
        if kind == "pname":
            prefix, _, local = text.partition(":")
            if prefix not in self._prefixes:
                raise self._wrong(f"prefix {prefix[:40]!r} is not declared")
            return self._prefixes[prefix] + re.sub(r"\\(.)", r"\1", local)
        raise self._wrong(f"a name is asked, found {text[:20]!r}")

    def _resolve(self, token: str) -> str:
        found = self._unescape(token[1:-1])
        return urljoin(self._base, found) if self._base else found

    def _unescape(self, text: str) -> str:
        def one(match: re.Match[str]) -> str:
            code = match[1] or match[2]
            if code:
                number = int(code, 16)
                if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
                    raise self._wrong("an escape names no character")
                return chr(number)
            if match[3] not in _PLAIN_ESCAPES:
                raise self._wrong("an unknown escape")
            return _PLAIN_ESCAPES[match[3]]

        return _ESCAPE.sub(one, text) if "\\" in text else text

    def _fresh(self) -> str:
        self._made += 1
        return f"_:{self._blank}{self._made}"

    def _expect(self, mark: str) -> None:
        if self._next[:2] != ("mark", mark):
            raise self._wrong(f"{mark!r} is asked, found {self._next[1][:20]!r}")
        self._take()

    def _take(self, kind: str = "") -> Token:
        token = self._next
        if token[0] == "end" or (kind and token[0] != kind):
            raise self._wrong(f"{kind or 'more'} is asked, found {token[1][:20] or 'the end'!r}")
        self._next = next(self._tokens)
        return token

    def _wrong(self, problem: str) -> PolicyInvalid:
        return PolicyInvalid(f"Turtle, line {self._next[2]}: {problem}")


def _tokens(text: str) -> Iterator[Token]:
    place, line = 0, 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise PolicyInvalid(f"Turtle, line {line}: {text[place]!r} begins nothing that is known")
        kind, found = str(match.lastgroup), match[0]
        if kind != "skip":
            yield kind, found, line
        line += found.count("\n")
        place = match.end()
    yield "end", "", line


def _number_type(text: str) -> str:
    if "e" in text.lower():
        return "double"
    return "decimal" if "." in text else "integer"
