"""What a buyer's person typed, as the documents that the command line's verbs take. Texts stay texts.

Lists are typed line by line, parts of a line with semicolons between: `Li Wei; statistician; 2026-03-01`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hdex.catalog.price import PricePlan
from hdex.catalog.product import DeliveryMode
from hdex.catalog.quote import Amounts, Order
from hdex.catalog.terms import AccessRequest
from hdex.node.buyer import Wish
from hdex.node.errors import RequestInvalid
from hdex.node.question import KINDS, MEASURING, Question, question_of
from hdex.node.question_text import condition, split

Form = Mapping[str, str]
Document = dict[str, Any]
LINES = 100
TYPED = ("title", "summary", "publication_plan", "protection", "starts", "ends")  # of an access form, as they are
ALL = Order()


def said(form: Form, name: str) -> str:
    """Return a field's text without its ends; empty where it is not there. A browser ends lines with CR and LF."""
    return form.get(name, "").replace("\r\n", "\n").strip()


def is_on(form: Form, name: str) -> bool:
    """Return whether a box is ticked."""
    return said(form, name) == "yes"


def number(form: Form, name: str, *, least: int = 0, most: int = 10**9, absent: int = 0) -> int:
    """Return a whole number of a form. Raises RequestInvalid."""
    text = said(form, name)
    if not text:
        return absent
    if not text.isascii() or not text.isdecimal() or len(text) > 10 or not least <= int(text) <= most:
        raise RequestInvalid(f"{name} is a whole number from {least} to {most}")
    return int(text)


def real(form: Form, name: str) -> float:
    """Return a number of a form, 0 where none is typed. Raises RequestInvalid."""
    try:
        return float(said(form, name) or "0")
    except ValueError as error:
        raise RequestInvalid(f"{name} is a number") from error


def lines(form: Form, name: str, parts: Sequence[str]) -> list[dict[str, str]]:
    """Return a list that was typed line by line: one {part: text} a line. Raises RequestInvalid."""
    found = []
    for line in filter(None, (one.strip() for one in form.get(name, "").splitlines())):
        told = [one.strip() for one in line.replace("；", ";").split(";")]
        if len(told) != len(parts):
            raise RequestInvalid(f"{name}: each line has {len(parts)} parts, with semicolons between")
        found.append(dict(zip(parts, told, strict=True)))
    if len(found) > LINES:
        raise RequestInvalid(f"{name}: {LINES} lines at most")
    return found


def typed_lines(rows: Sequence[Mapping[str, Any]], parts: Sequence[str]) -> str:
    """Return a list as it is typed; the other way of `lines`."""
    return "\n".join("; ".join(str(row.get(part, "")) for part in parts) for row in rows)


def declaration(form: Form, participant: str) -> Document:
    """Return what an organisation declares about itself."""
    affiliates = lines(form, "affiliates", ("code", "en", "zh"))
    breaches = lines(form, "breaches", ("date", "what", "notified"))
    return {
        "participant": participant,
        **{name: said(form, name) for name in ("code", "country", "security_certificate", "statement")},
        "name": {"en": said(form, "name_en"), "zh": said(form, "name_zh")},
        "foreign_control": is_on(form, "foreign_control"),
        "foreign_share_percent": real(form, "foreign_share_percent"),
        "storage_countries": split(said(form, "storage_countries")),
        "security_grade": number(form, "security_grade", most=9),
        **{name: said(form, name) or None for name in ("security_expires", "licence_expires")},
        "affiliates": [{"code": one["code"], "name": {"en": one["en"], "zh": one["zh"]}} for one in affiliates],
        "persons": lines(form, "persons", ("name", "role")),
        "breaches": [{**one, "notified": one["notified"].lower() in ("yes", "是")} for one in breaches],
    }


def access(form: Form, me: str, at: str) -> AccessRequest:
    """Return what the terms are asked, in one's own name."""
    return replace(
        AccessRequest(purpose=said(form, "purpose"), recipient=me, at=at, disease=said(form, "disease") or None),
        commercial=is_on(form, "commercial"),
        for_profit=is_on(form, "for_profit"),
    )


def access_form(form: Form) -> Document:
    """Return the fields of an access request that a person fills in."""
    return {
        **{name: said(form, name) for name in TYPED},
        "ethics": {"number": said(form, "ethics_number"), "expires": said(form, "ethics_expires")},
        "team": lines(form, "team", ("name", "role", "trained")),
        "contractors": lines(form, "contractors", ("name", "code", "country")),
        "columns": split(said(form, "columns")),
        "delivery_mode": mode(form).value,
    }


def mode(form: Form) -> DeliveryMode:
    """Return the delivery mode of a form. Raises RequestInvalid."""
    text = said(form, "mode")
    if text not in set(DeliveryMode):
        raise RequestInvalid(f"mode is one of {', '.join(DeliveryMode)}")
    return DeliveryMode(text)


def order(form: Form) -> Order:
    """Return plan and columns of a form. Raises RequestInvalid."""
    plan = said(form, "plan")
    if plan and plan not in set(PricePlan):
        raise RequestInvalid(f"plan is one of {', '.join(PricePlan)}")
    return Order(plan=PricePlan(plan) if plan else None, columns=tuple(split(said(form, "columns"))))


def amounts(form: Form) -> Amounts:
    """Return how much is ordered. Raises RequestInvalid."""
    rows = number(form, "rows")
    return Amounts(
        quantity=number(form, "quantity", least=1, absent=1),
        rows=rows or None,
        months=number(form, "months", least=1, absent=1),
    )


def wish(form: Form, product: str, me: str, at: str) -> Wish:
    """Return the contract that a form asks for. Raises RequestInvalid."""
    asked = access(form, me, at)
    rounds = number(form, "rounds", most=1000)
    return Wish(
        product, mode(form).value, asked, max_rounds=rounds, statement=said(form, "statement"), order=order(form)
    )


def question(form: Form) -> Question:
    """Return the question that a form asks. Raises RequestInvalid.

    A field that a kind does not know is left out: the form shows all of them, and a browser sends what stands there.
    """
    kind = said(form, "kind")
    if kind not in KINDS:
        raise RequestInvalid(f"kind is one of {', '.join(KINDS)}")
    conditions = filter(None, (one.strip() for one in form.get("where", "").splitlines()))
    return question_of(
        {
            "kind": kind,
            "column": said(form, "column") if kind in MEASURING else "",
            "by": [] if kind == "histogram" else split(said(form, "by")),
            "where": [condition(one) for one in conditions],
            "probabilities": numbers(form, "probabilities") if kind == "quantile" else [],
            "edges": numbers(form, "edges") if kind == "histogram" else [],
            "epsilon": real(form, "epsilon"),
        }
    )


def numbers(form: Form, name: str) -> list[float]:
    """Return numbers with commas between. Raises RequestInvalid."""
    try:
        return [float(one) for one in split(said(form, name))]
    except ValueError as error:
        raise RequestInvalid(f"{name} are numbers with commas between") from error
