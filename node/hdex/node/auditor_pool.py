"""What the hospitals of one study earned together, split by a rule that all can recompute, and who pays whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hdex.catalog.invoice import Invoice
from hdex.catalog.money import to_decimal
from hdex.catalog.revenue import Pool, Revenue, SplitRule, pool
from hdex.federated.shapley import Scores, shapley
from hdex.ledger.bundle import Evidence
from hdex.ledger.event import Action
from hdex.node.auditor_usage import audit_invoice, events_of, rows_of_study
from hdex.node.errors import RequestInvalid


@dataclass(frozen=True, slots=True)
class Pooled:
    """A pool in one currency, and what does not hold of the papers it was made from; empty: all of it holds."""

    study: str
    revenue: Revenue
    papers: Mapping[str, str]  # number -> digest
    currency: str
    weights: Mapping[str, int | float]
    pool: Pool
    offences: tuple[str, ...]


def pool_invoices(
    evidence: Evidence, papers: Sequence[Invoice], study: str, revenue: Revenue, scores: Scores | None = None
) -> Pooled:
    """Return the pool of papers about one study. Credit notes lower what their hospital earned.

    scores: of the study's coalitions, for the rule `shapley`. Raises RequestInvalid for papers that do not go together,
    NotFound where the evidence lacks a log that they stand on, PriceInvalid as `pool` does.
    """
    if not papers or len({paper.currency for paper in papers}) != 1:
        raise RequestInvalid("name invoices in one currency, at least one")
    if len({paper.number for paper in papers}) != len(papers):
        raise RequestInvalid("a paper is named twice")
    offences = [f"{paper.number}: {why}" for paper in papers for why in audit_invoice(evidence, paper).offences]
    offences += [f"{paper.number}: is not about this study" for paper in papers if not is_about(evidence, paper, study)]
    weights = weights_of(evidence, study, revenue, scores)
    if scores is not None and not is_logged(evidence, scores.digest()):
        offences.append("no log of the evidence holds the digest of these scores")
    earned = dict.fromkeys(weights, 0)
    for paper in papers:
        earned[paper.provider.id] = earned.get(paper.provider.id, 0) + paper.subtotal_cents
    named = {paper.number: paper.digest() for paper in sorted(papers, key=lambda paper: paper.number)}
    made = pool(earned, revenue, weights)
    return Pooled(study, revenue, named, papers[0].currency, weights, made, tuple(offences))


def weights_of(evidence: Evidence, study: str, revenue: Revenue, scores: Scores | None) -> dict[str, int | float]:
    """Return hospital -> weight by the rule. Raises RequestInvalid where scores lack, or are of another study."""
    if revenue.rule == SplitRule.ROWS:
        return dict(rows_of_study(evidence, study))
    if scores is None or scores.study_digest != study:
        raise RequestInvalid("the rule shapley needs the scores of this study's coalitions")
    return dict(shapley(scores))


def is_about(evidence: Evidence, paper: Invoice, study: str) -> bool:
    """Return whether a paper's contract was used for this study; a credit note is about what its contract is about."""
    return any(
        event.contract == paper.agreement.request_id and event.policy_digest == study
        for log in evidence.logs
        if log.node == paper.provider.id
        for _, event in events_of(log)
        if event.action is Action.ROUND_SUBMIT
    )


def is_logged(evidence: Evidence, digest: str) -> bool:
    """Return whether a log of the evidence holds the digest of coalition scores."""
    return any(
        event.action is Action.STUDY_APPROVE and event.result_digest == digest
        for log in evidence.logs
        for _, event in events_of(log)
    )


def settlement_of(found: Pooled) -> dict[str, object]:
    """Return what hospitals compare: whoever pools the same papers by the same rule has the same document."""
    return {
        "study": found.study,
        "rule": found.revenue.rule.value,
        "fee_basis_points": found.revenue.fee_basis_points,
        "platform": found.revenue.platform or "",
        "papers": dict(found.papers),
        **told(found),
    }


def rows_of(found: Pooled) -> list[dict[str, object]]:
    """Return what each participant earned, gets, pays and receives, by name; amounts as decimals of the currency."""
    split, sides = found.pool.split, found.pool.transfers
    due = dict(split.parts) | ({split.platform: split.fee} if split.fee else {})

    def money(cents: int) -> str:
        return str(to_decimal(cents, found.currency))

    return [
        {
            "participant": name,
            "earned": money(found.pool.earned.get(name, 0)),
            "weight": found.weights.get(name, ""),
            "share": money(due.get(name, 0)),
            "pays": money(sum(one.amount for one in sides if one.payer == name)),
            "receives": money(sum(one.amount for one in sides if one.payee == name)),
        }
        for name in sorted({*found.pool.earned, *due})
    ]


def differences(ours: Mapping[str, object], theirs: Mapping[str, object]) -> list[str]:
    """Return the names of what two settlements say differently, sorted; empty: they are the same."""
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def told(found: Pooled) -> dict[str, object]:
    """Return a pool as a document."""
    split = found.pool.split
    return {
        "currency": found.currency,
        "earned_cents": dict(found.pool.earned),
        "weights": dict(found.weights),
        "fee_cents": split.fee,
        "cents": dict(split.parts),
        "transfers": [{"payer": one.payer, "payee": one.payee, "cents": one.amount} for one in found.pool.transfers],
        "offences": list(found.offences),
    }
