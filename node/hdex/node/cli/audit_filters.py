"""The options by which the auditor's verbs choose events: one list, given to a verb as one query."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hdex.ledger.ports import EventQuery

FILTERS = {
    "product": "Events about this product.",
    "contract": "Events under this contract.",
    "grant": "Events under this grant.",
    "organisation": "Events of this organisation.",
    "role": "Events of this role.",
    "purpose": "Events for this purpose (DUO code).",
    "action": "Events of this action, for example export.",
    "decision": "Events so decided: allow or deny.",
}
OPTIONS: dict[str, Any] = {
    **{name: Annotated[str | None, typer.Option(help=text)] for name, text in FILTERS.items()},
    "time": Annotated[str | None, typer.Option(help="FROM..TO: days or RFC 3339 times in UTC; one may be empty.")],
    "actor": Annotated[list[str] | None, typer.Option(help="Events of this actor commitment (hex); may be repeated.")],
}


def filtered(verb: Callable[..., None]) -> Callable[..., None]:
    """Return the verb with the options above instead of its `query`, which is None where none of them was given."""

    @wraps(verb)
    def command(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in OPTIONS}
        verb(query=query_of(**chosen), **given)

    own = [one for one in inspect.signature(verb).parameters.values() if one.name != "query"]
    kind = inspect.Parameter.KEYWORD_ONLY
    added = [inspect.Parameter(name, kind, default=None, annotation=option) for name, option in OPTIONS.items()]
    parameters = [one.replace(kind=kind) for one in own] + added
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def query_of(*, time: str | None, actor: list[str] | None, **asked: str | None) -> "EventQuery | None":
    """Return the query of the options, None when none was given. Raises BadParameter."""
    from hdex.ledger.ports import EventQuery

    if not time and not actor and not any(asked.values()):
        return None
    require_known(asked)
    since, until = between(time) if time else (None, None)
    fields: dict[str, Any] = dict(asked)
    return EventQuery(**fields, actor=tuple(actor or ()), since=since, until=until)


def require_known(asked: dict[str, str | None]) -> None:
    """Raise BadParameter for an action or decision that no event can have: nothing found would be no answer."""
    from difflib import get_close_matches

    from hdex.ledger.event import Action, Decision

    for name, kind in (("action", Action), ("decision", Decision)):
        value, known = asked.get(name), [str(member.value) for member in kind]
        if value is not None and value not in known:
            near = get_close_matches(value, known, n=1)
            raise typer.BadParameter(f"no event has this {name}" + (f"; did you mean {near[0]}?" if near else ""))


def between(span: str) -> tuple[datetime | None, datetime | None]:
    """Return both ends of FROM..TO; a day as TO is meant whole. Raises BadParameter."""
    first, dots, last = span.partition("..")
    if not dots or not (first or last):
        raise typer.BadParameter("a time is FROM..TO, for example 2026-11-01..2026-11-30")
    since, until = moment(first), moment(last, whole=timedelta(days=1))
    if since and until and since >= until:
        raise typer.BadParameter("the time ends before it begins")
    return since, until


def moment(text: str, *, whole: timedelta = timedelta()) -> datetime | None:
    """Return a time in UTC, a day alone as its midnight plus `whole`. Nothing is None. Raises BadParameter."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("a time holds something that is neither a day nor an RFC 3339 time") from None
    if len(text) <= len("2026-11-01"):
        found += whole
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
