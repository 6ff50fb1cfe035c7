"""What a contract used, counted again from an evidence file; and an invoice held against that count, offline."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields

from hdex.catalog.invoice import Invoice, InvoiceKind
from hdex.ledger.bundle import Evidence, LogEvidence
from hdex.ledger.event import Action, Decision, Event, parse
from hdex.ledger.merkle import leaf_hash, root
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.shard import origin_of
from hdex.ledger.usage import Access, Usage, access_of, usage
from hdex.node.errors import NotFound

OF_PAPER = {InvoiceKind.INVOICE: Action.INVOICE_ISSUE, InvoiceKind.CREDIT_NOTE: Action.INVOICE_CREDIT}


@dataclass(frozen=True, slots=True)
class Recount:
    """What was held against what, and what does not hold; empty offences: all of it holds."""

    usage: Usage | None
    checked: tuple[str, ...]
    offences: tuple[str, ...]


def recount(evidence: Evidence, node: str, contract: str, month: str, *, start: int = 0, size: int = -1) -> Usage:
    """Return what a contract used in a month, in the entries start <= index < size of that year's log.

    size below 0: all entries that the evidence holds. Raises NotFound where it does not hold that log whole.
    """
    logs, origin = logs_of(evidence, node), origin_of(node, int(month[:4]))
    held = next((log for log in logs if log.origin == origin), None)
    if held is None:
        raise NotFound(f"the evidence does not hold the log {origin} whole: export it without a filter")
    if size > len(held.entries):
        raise NotFound(
            f"the evidence holds {len(held.entries)} entries of {origin}, the count asks {size}: export anew"
        )
    accesses = [access for log in logs for access in accesses_of(log, contract)]
    return usage(contract, accesses, month, origin, start=start, size=len(held.entries) if size < 0 else size)


def audit_invoice(evidence: Evidence, invoice: Invoice) -> Recount:
    """Return whether an invoice follows from the entries of the evidence. Raises NotFound as `recount` does."""
    node, said = invoice.provider.id, invoice.usage
    offences = list(paper_offences(evidence, invoice))
    checked = ["every figure follows from the agreement and the usage in the paper", "its digest stands in the log"]
    if said is None:
        return Recount(None, tuple(checked), tuple(offences))
    found = recount(evidence, node, said.contract, said.month, start=said.start, size=said.size)
    for field in fields(Usage):
        mine, theirs = getattr(found, field.name), getattr(said, field.name)
        if mine != theirs:
            offences.append(f"usage.{field.name}: the log says {mine}, the invoice {theirs}")
    offences += head_offences(evidence, invoice)
    checked += [f"usage counted again from entries 0 to {said.size} of {said.origin}", "their root is the signed one"]
    return Recount(found, tuple(checked), tuple(offences))


def rows_of_study(evidence: Evidence, study: str) -> dict[str, int]:
    """Return hospital -> rows that its log says stood behind its sums of a study (by digest), the most of any round.

    Raises NotFound where no log of the evidence knows the study.
    """
    found: dict[str, int] = {}
    for log in evidence.logs:
        for _, event in events_of(log):
            of_study = event.action is Action.ROUND_SUBMIT and event.policy_digest == study
            if of_study and event.decision is Decision.ALLOW and event.rows is not None:
                found[log.node] = max(found.get(log.node, 0), event.rows)
    if not found:
        raise NotFound("no log of the evidence holds sums of this study: name its digest, and export without a filter")
    return found


def paper_offences(evidence: Evidence, invoice: Invoice) -> Iterator[str]:
    """Yield what the log says against a paper: not remembered, twice, or under an agreement that was not granted."""
    events = [event for log in logs_of(evidence, invoice.provider.id) for _, event in events_of(log)]
    action, digest = OF_PAPER[invoice.kind], invoice.digest()
    written = [event for event in events if event.action is action and event.result_digest == digest]
    if len(written) != 1:
        yield f"the log holds {len(written)} events of this paper, 1 is asked"
    grants = {
        event.grant for event in events
        if event.action is Action.GRANT_ISSUE and event.decision is Decision.ALLOW
        and event.contract == invoice.agreement.request_id
    }  # fmt: skip
    if grant_of(invoice.agreement_digest) not in grants:
        yield "the log holds no grant for the agreement in the paper: both sides never finished that one"


def grant_of(agreement_digest: str) -> str:
    """Return the grant id that follows from an agreement's digest, as the provider derives it."""
    return hashlib.sha256(b"hdex/grant/v1\n" + bytes.fromhex(agreement_digest)).hexdigest()[:32]


def head_offences(evidence: Evidence, invoice: Invoice) -> Iterator[str]:
    """Yield what is wrong with the head that a usage stands on."""
    said = invoice.usage
    if said is None:
        return
    head = parse_checkpoint(said.checkpoint)
    held = next(log for log in logs_of(evidence, invoice.provider.id) if log.origin == said.origin)
    if (head.origin, head.size) != (said.origin, said.size):
        yield "the usage stands on a checkpoint of another log or size"
    elif root([leaf_hash(entry) for entry in held.entries[: said.size]]) != head.root:
        yield "the entries of the evidence do not hash to the checkpoint that the usage stands on"


def logs_of(evidence: Evidence, node: str) -> list[LogEvidence]:
    """Return a participant's whole logs, oldest year first."""
    return sorted((log for log in evidence.logs if log.node == node), key=lambda log: log.origin)


def events_of(log: LogEvidence) -> Iterator[tuple[int, Event]]:
    """Yield (index, event) of every entry."""
    for index, entry in enumerate(log.entries):
        yield index, parse(entry)


def accesses_of(log: LogEvidence, contract: str) -> Iterator[Access]:
    """Yield the accesses under a contract."""
    for index, event in events_of(log):
        if event.contract == contract and (found := access_of(event, log.origin, index)) is not None:
            yield found


def told(found: Usage) -> dict[str, object]:
    """Return a usage as a document."""
    return asdict(found)
