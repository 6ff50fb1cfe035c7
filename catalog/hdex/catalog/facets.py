"""By what products can be narrowed: each facet and what one product says in it."""

from collections.abc import Callable, Mapping
from typing import Any

Document = Mapping[str, Any]


def _grade(document: Document) -> tuple[str, ...]:
    grade = document.get("quality", {}).get("grade")
    return (grade,) if isinstance(grade, str) and grade else ()


FACETS: dict[str, Callable[[Document], tuple[str, ...]]] = {
    "level": lambda document: (str(document["level"]),),
    "provider": lambda document: (document["provider"]["id"],),
    "mode": lambda document: tuple(document["delivery_modes"]),
    "category": lambda document: tuple((document.get("health") or {}).get("categories", ())),
    "purpose": lambda document: tuple(document["terms"].get("permitted", ())),
    "price": lambda document: (document["price"]["basis"],),
    "plan": lambda document: (document["price"]["plan"],),
    "grade": _grade,
}


def facet_values(document: Document) -> dict[str, tuple[str, ...]]:
    """Return the values of each facet, sorted and each once, from a product's document (which has been checked)."""
    return {name: tuple(sorted(set(read(document)))) for name, read in FACETS.items()}
