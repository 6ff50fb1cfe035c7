"""What a person types of a question, as its values: `systolic >= 140`, `sex in male,female`."""

import re
from typing import Any

from hdex.node.errors import RequestInvalid

CONDITION = re.compile(r"\s*([\w.-]+)\s*(<=|>=|!=|=|<|>|\bin\b|\bbetween\b)\s*(.+?)\s*")


def condition(text: str) -> dict[str, Any]:
    """Return a condition that was typed. Raises RequestInvalid."""
    found = CONDITION.fullmatch(text)
    if found is None:
        raise RequestInvalid("a condition is written as: column operator value")
    column, op, value = found.groups()
    values = split(value) if op in ("in", "between") else [value]
    return {"column": column, "op": op, "values": [typed(one) for one in values]}


def typed(text: str) -> str | float | bool:
    """Return a value as a number or a truth where it is written as one, else as text; quotes keep it text."""
    if text in ("true", "false"):
        return text == "true"
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    try:
        return float(text)
    except ValueError:
        return text


def split(text: str) -> list[str]:
    """Return what stands between commas."""
    return [one.strip() for one in text.split(",") if one.strip()]
