"""What the hospitals of a study earned together: split by a rule that all can recompute, compared by its digest."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.node.billing_stage import OFFICER, BillingStage, priced

from hdex.catalog.invoice import Invoice
from hdex.catalog.revenue import Revenue, SplitRule
from hdex.federated.shapley import Scores, coalitions
from hdex.node.auditor_pool import differences, pool_invoices, rows_of, settlement_of, told
from hdex.node.auditor_usage import rows_of_study
from hdex.node.cli.audit_pool import lines_of
from hdex.node.errors import NotFound, RequestInvalid


@pytest.fixture
def stage(tmp_path: Path) -> BillingStage:
    return BillingStage(tmp_path)


STUDY = "5d" * 32


def studied(stage: BillingStage) -> Invoice:
    """Return the invoice of a contract that a study used."""
    log = stage.market.hospital.ground.recorder
    stage.contract(priced("per_round", 1_000))
    for rows in (380, 400, 390):
        question = f"{rows:064x}"
        log.allow("round.join", OFFICER, contract="c-1", policy_digest=STUDY, request_digest=question)
        log.allow("round.submit", OFFICER, contract="c-1", policy_digest=STUDY, request_digest=question, rows=rows)
    log.deny("round.submit", OFFICER, "study.min_rows", policy_digest=STUDY, rows=9_000)
    log.allow("round.submit", OFFICER, contract="c-2", policy_digest="00" * 32, rows=9_000)
    return stage.billing.issue_to_date("c-1", OFFICER).invoice


def test_what_a_study_earned_is_split_by_the_rows_that_the_logs_hold(stage: BillingStage) -> None:
    invoice = studied(stage)
    assert invoice.subtotal_cents == 3_000
    assert rows_of_study(stage.evidence(), STUDY) == {"hospital-a": 400}
    rule = Revenue(rule=SplitRule.ROWS, fee_basis_points=250, platform="exchange")
    found = pool_invoices(stage.evidence(), [invoice], STUDY, rule)
    assert found.offences == ()
    assert (found.pool.split.fee, dict(found.pool.split.parts)) == (75, {"hospital-a": 2_925})
    assert [(one.payee, one.amount) for one in found.pool.transfers] == [("exchange", 75)]
    ours = settlement_of(found)
    assert ours["papers"] == {invoice.number: invoice.digest()}
    assert ours == settlement_of(pool_invoices(stage.evidence(), [invoice], STUDY, rule))  # as another reckons it
    other = settlement_of(pool_invoices(stage.evidence(), [invoice], STUDY, replace(rule, fee_basis_points=300)))
    assert differences(ours, other) == ["cents", "fee_basis_points", "fee_cents", "transfers"]
    assert lines_of(rows_of(found)) == [
        "participant  earned  weight  share  pays  receives",
        "exchange     0.00            0.75   0.00  0.75",
        "hospital-a   30.00   400     29.25  0.75  0.00",
    ]
    assert rows_of(found) == [
        {"participant": "exchange", "earned": "0.00", "weight": "", "share": "0.75", "pays": "0.00",
         "receives": "0.75"},
        {"participant": "hospital-a", "earned": "30.00", "weight": 400, "share": "29.25", "pays": "0.75",
         "receives": "0.00"},
    ]  # fmt: skip
    with pytest.raises(NotFound):
        pool_invoices(stage.evidence(), [invoice], "77" * 32, rule)
    with pytest.raises(RequestInvalid):
        pool_invoices(stage.evidence(), [invoice, invoice], STUDY, rule)
    with pytest.raises(RequestInvalid):
        pool_invoices(stage.evidence(), [], STUDY, rule)


def test_shapley_values_count_only_with_scores_of_this_study_that_a_log_holds(stage: BillingStage) -> None:
    invoice = studied(stage)
    rule = Revenue(rule=SplitRule.SHAPLEY)
    worth = {one: float(len(one)) for one in coalitions(["hospital-a", "hospital-b"])}
    scores = Scores(STUDY, (("hospital-a",), ("hospital-b",)), worth)
    found = pool_invoices(stage.evidence(), [invoice], STUDY, rule, scores)
    assert found.offences == ("no log of the evidence holds the digest of these scores",)
    stage.market.hospital.ground.recorder.allow("study.approve", OFFICER, result_digest=scores.digest())
    found = pool_invoices(stage.evidence(), [invoice], STUDY, rule, scores)
    assert found.offences == ()
    assert told(found)["transfers"] == [{"payer": "hospital-a", "payee": "hospital-b", "cents": 1_500}]
    with pytest.raises(RequestInvalid):
        pool_invoices(stage.evidence(), [invoice], STUDY, rule)
    with pytest.raises(RequestInvalid):
        pool_invoices(stage.evidence(), [invoice], STUDY, rule, Scores("00" * 32, scores.players, worth))


def test_a_paper_about_something_else_does_not_enter_a_pool_unnoticed(stage: BillingStage) -> None:
    studied(stage)
    product = priced("one_off", 500, id="hospital-a.other")
    stage.contract(product, contract_id="c-3")
    stage.market.hospital.ground.recorder.allow("query.run", OFFICER, contract="c-3")
    other = stage.billing.issue_to_date("c-3", OFFICER).invoice
    found = pool_invoices(stage.evidence(), [other], STUDY, Revenue(rule=SplitRule.ROWS))
    assert found.offences == (f"{other.number}: is not about this study",)
