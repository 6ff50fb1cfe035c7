"""`hdex catalog evaluate` and `precheck`: may this be done under that policy, may we apply under those terms?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.options import Json

if TYPE_CHECKING:
    from hdex.catalog.odrl import Answer

MAX_DEPTH = 40  # of JSON-LD; what it says may be nested 32 deep
TURTLE = (".ttl", ".nt", ".n3")
PolicyFile = Annotated[Path, typer.Argument(help="ODRL policy: JSON-LD, or Turtle.")]
RequestFile = Annotated[Path, typer.Argument(help="The question: our JSON, or an odrl:Request.")]
WorldFile = Annotated[Path | None, typer.Option("--world", help="State of the world: our JSON, or Turtle.")]


def evaluate(
    policy: PolicyFile,
    request: RequestFile,
    world: WorldFile = None,
    turtle: Annotated[bool, typer.Option("--turtle", help="Print a compliance report in Turtle instead.")] = False,
    as_json: Json = False,
) -> None:
    """Evaluate an ODRL 2.2 policy: permitted, prohibited or undecided, and the rule that decided."""
    from hdex.catalog import odrl
    from hdex.node.cli.serving import show

    policies = odrl.read_policies(odrl.read_graph(read(policy)))
    answer = odrl.evaluate(policies, odrl.read_request(read(request)), odrl.read_world(read(world) if world else None))
    if turtle:
        print(odrl.to_turtle(answer), end="")
    elif as_json:
        show(odrl.to_json(answer), as_json=True)
    else:
        show(_in_words(answer), as_json=False)


def precheck(
    terms: Annotated[Path, typer.Argument(help="Terms, a manifest, or a structured data use (JSON).")],
    request: Annotated[Path, typer.Argument(help="An access request, or a structured research purpose (JSON).")],
    at: Annotated[str, typer.Option(help="Moment of the question, RFC 3339; now where it is not given.")] = "",
    as_json: Json = False,
) -> None:
    """Ask before any contract: approve, deny, or ask the committee, and the rule that decided."""
    from datetime import UTC, datetime

    from hdex.catalog.duo import precheck as answer_of
    from hdex.ledger.event import format_time
    from hdex.node.cli.serving import show
    from hdex.node.json_file import read_object

    moment = at or format_time(datetime.now(UTC))
    found = answer_of(read_object(terms), read_object(request), at=moment)
    said = {"advice": found.advice.value, "rule": found.rule}
    if as_json:
        why, then = ({"en": text.en, "zh": text.zh} for text in (found.why, found.next))
        show(said | {"why": why, "next": then}, as_json=True)
        return
    show(said | {"why": found.why.en, "next": found.next.en}, as_json=False)


def read(path: Path) -> bytes | dict[str, object]:
    """Return a file that anybody may have written: Turtle as text, JSON as its value. Raises ConfigInvalid."""
    from hdex.ledger.document import load
    from hdex.node.errors import ConfigInvalid
    from hdex.node.json_file import read_bytes

    raw = read_bytes(path)
    begins = raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if path.suffix.lower() in TURTLE or begins not in (b"{", b"["):
        return raw
    try:
        found = load(raw, max_depth=MAX_DEPTH)
    except ValueError as error:
        if begins == b"[":
            return raw  # Turtle may begin with a nameless thing
        raise ConfigInvalid(f"{path} cannot be read as JSON: {error}") from error
    return found if isinstance(found, dict) else {"@graph": found}


def _in_words(answer: "Answer") -> dict[str, object]:
    """Return an answer as a person reads it: one line per rule, and one per duty."""
    duties = [one for report in answer.rules for one in report.duties] + list(answer.obligations)
    return {
        "outcome": answer.outcome.value,
        "rule": answer.rule or "none",
        "reason": answer.reason,
        "rules": [f"{one.rule.kind.value} {one.rule.id}: {one.active.value}" for one in answer.rules],
        "duties": [f"{one.duty.id}: {one.state.value}" for one in duties],
        "notes": [note for policy in answer.policies for note in policy.notes],
    }
