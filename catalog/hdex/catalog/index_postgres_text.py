"""Words and queries as PostgreSQL's full-text search takes them: `tsvector` and `tsquery` texts, and the one statement.

Every token is folded letters and digits only (`words`), so quoting it is enough; everything else goes as a parameter.
"""

from collections.abc import Iterator, Sequence

from hdex.catalog.asked import WEIGHTS, Term, TermKind
from hdex.catalog.facets import FACETS
from hdex.catalog.ports import Query
from hdex.catalog.words import GAP, MOST, Field, SearchWords

LETTERS = {"title": "A", "keywords": "B", "body": "D"}
_IN_ORDER = 'score DESC, issued_ms DESC, id COLLATE "C"'
_LATER = '(issued_ms < :at_ms OR (issued_ms = :at_ms AND id COLLATE "C" > :at_id))'
_AFTER = f"(score < :at_score OR (score = :at_score AND {_LATER}))"
_HAN = frozenset({TermKind.PAIR, TermKind.HAN_PHRASE})
Values = dict[str, object]


def word_vector(words: SearchWords) -> str:
    """Return the `tsvector` of words and stems; a stem is written `=stem` and stands at the beginning of its field."""
    return " ".join(part for letter, start, field in _fields(words) for part in _words_of(field, letter, start))


def han_vector(words: SearchWords) -> str:
    """Return the `tsvector` of Han pairs."""
    return " ".join(part for letter, start, field in _fields(words) for part in _placed(field.han, letter, start))


def question(query: Query, asked: Sequence[Term]) -> tuple[str, Values]:
    """Return the statement that answers a query, and its parameters.

    Its rows are (kind, id, score, issued_ms): hits of the page and one more, the total, and each facet's counts.
    """
    where, score, values = _text_part(asked)
    chosen = query.chosen()
    values |= {f"is_{name}": value.replace("\x00", " ") for name, value in chosen.items()}
    fits = {name: f"f_{name} @> ARRAY[:is_{name}]" for name in chosen}
    values |= {"wanted": query.limit + 1, "skipped": query.offset}
    after = "TRUE"
    if query.after is not None:
        after = _AFTER
        values |= {"at_score": query.after.score, "at_ms": query.after.issued_ms, "at_id": query.after.id}
    columns = ", ".join(f"f_{name}" for name in FACETS)
    counts = "".join(_counted(name, fits) for name in FACETS)
    hits = f"score, issued_ms FROM found WHERE {_every(fits)} AND {after} ORDER BY {_IN_ORDER}"
    if not asked:  # all score alike: the index over the newest has their order, and the page's end is found early
        later = f"(1 < :at_score OR (1 = :at_score AND {_LATER}))" if query.after is not None else "TRUE"
        where_listed = f"WHERE state = 'LISTED' AND {_every(fits)} AND {later}"
        hits = f"1 AS score, issued_ms FROM hdex_product {where_listed} ORDER BY issued_ms DESC, id"
    sql = (  # every part of it is written in this file
        f"WITH found AS MATERIALIZED (SELECT id, issued_ms, {columns}, {score} AS score FROM hdex_product"  # noqa: S608
        f" WHERE state = 'LISTED'{where})"
        f" (SELECT 'hit' AS kind, id, {hits}"
        " LIMIT :wanted OFFSET :skipped)"
        f" UNION ALL SELECT 'total', '', CAST(count(*) AS integer), 0 FROM found WHERE {_every(fits)}{counts}"
    )
    return sql, values


def _text_part(asked: Sequence[Term]) -> tuple[str, str, Values]:
    """Return the condition, the score and their parameters."""
    if not asked:
        return "", "1", {}
    values: Values = {}
    where, scores = "", []
    for column, kinds in (
        ("words", [t for t in asked if t.kind not in _HAN]),
        ("han", [t for t in asked if t.kind in _HAN]),
    ):
        if kinds:
            values[f"all_{column}"] = " & ".join(f"({_term(term)})" for term in kinds)
            where += f" AND {column} @@ CAST(:all_{column} AS tsquery)"
        for number, term in enumerate(kinds):
            cases = ""
            for name in ("title", "keywords"):
                values[f"{column}_{number}_{name}"] = _term(term, LETTERS[name])
                cases += f" WHEN {column} @@ CAST(:{column}_{number}_{name} AS tsquery) THEN {WEIGHTS[name]}"
            scores.append(f"CASE{cases} ELSE {WEIGHTS['body']} END")
    return where, " + ".join(scores), values


def _term(term: Term, letter: str = "") -> str:
    """Return the `tsquery` of one term, in the field of a letter or in any."""
    if term.kind in {TermKind.PHRASE, TermKind.HAN_PHRASE}:
        return " <-> ".join(_lexeme(token, letter) for token in term.tokens)
    text = _lexeme(term.word, ("*" if term.is_prefix else "") + letter)
    if term.kind == TermKind.PAIR:
        return text
    return f"{text} | {_lexeme(term.stem, letter)} | {_lexeme('=' + term.stem, letter)}"


def _lexeme(token: str, marks: str) -> str:
    return f"'{token}'" + (f":{marks}" if marks else "")


def _fields(words: SearchWords) -> Iterator[tuple[str, int, Field]]:
    start = 1
    for name, field in (("title", words.title), ("keywords", words.keywords), ("body", words.body)):
        yield LETTERS[name], start, field
        start += MOST[name] + 2  # no phrase reaches from one field into the next


def _words_of(field: Field, letter: str, start: int) -> Iterator[str]:
    yield from _placed(field.words, letter, start)
    yield from (f"'={root}':{start}{letter}" for root in field.stems)


def _placed(tokens: Sequence[str], letter: str, start: int) -> Iterator[str]:
    yield from (f"'{token}':{at}{letter}" for at, token in enumerate(tokens, start) if token != GAP)


def _counted(name: str, fits: dict[str, str]) -> str:
    others = _every({other: fit for other, fit in fits.items() if other != name})
    alike = f"SELECT f_{name} AS held, count(*) AS times FROM found WHERE {others} GROUP BY f_{name}"  # noqa: S608
    return (  # few products are alone with all their values: those alike are taken apart once
        f" UNION ALL SELECT '{name}', value, CAST(sum(times) AS integer), 0 FROM ({alike}) AS alike_{name},"  # noqa: S608
        " unnest(held) AS value GROUP BY value"
    )


def _every(fits: dict[str, str]) -> str:
    return " AND ".join(fits.values()) or "TRUE"
