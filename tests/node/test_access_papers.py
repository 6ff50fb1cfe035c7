"""What applicants and reviewers hand in beside their decisions: papers, messages, texts. All of it is untrusted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.samples import sample_product
from tests.node.access_people import HOME, People
from tests.node.access_stage import PDF
from tests.node.market_stage import BUYER, Market, person

from hdex.catalog.errors import AccessFormInvalid, CatalogError
from hdex.catalog.product import DataProduct
from hdex.catalog.spreadsheet import to_csv
from hdex.node.errors import AccessDenied, RequestInvalid, SignatureInvalid
from hdex.node.hospital.access_checks import shelf
from hdex.node.hospital.access_views import LINE, request_view
from hdex.node.signed import sign

TRIPS = ("=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "＝1+1", "<script>alert(1)</script>")
SECRET = "restenosis of a queen"


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path)


@pytest.fixture
def people(market: Market) -> People:
    return People(market)


@pytest.fixture
def product(market: Market) -> DataProduct:
    """The carotid product under terms that leave every use to people."""
    return market.stents(terms=replace(sample_product().terms, needs_approval=("*",)))


@pytest.mark.parametrize(
    ("changed", "document", "error"),
    [
        ({}, b"%PDF-" + b"x" * 3_000_000, AccessFormInvalid),
        ({}, b"%PDF- another paper", AccessFormInvalid),
        ({}, b"<html>", AccessFormInvalid),
        ({}, b"", AccessFormInvalid),
        ({"provider": "hospital-b"}, PDF, AccessDenied),
        ({"manifest_digest": "00" * 32}, PDF, CatalogError),
        ({"starts": "2026-01-01", "ends": "2026-02-01"}, PDF, AccessFormInvalid),
        ({"summary": "x" * 9000}, PDF, CatalogError),
    ],
)
def test_what_cannot_be_reviewed_is_refused_remembered_and_not_kept(
    people: People, product: DataProduct, changed: dict[str, Any], document: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        people.submit(product, document, **changed)
    assert people.requests.all() == []
    assert people.told() == [("access.submit", "deny")]


def test_the_ethics_paper_lies_encrypted_in_the_vault_and_only_reviewers_read_it(
    market: Market, people: People, product: DataProduct, tmp_path: Path
) -> None:
    record = people.submit(product, title=SECRET)
    people.message(record, SECRET)
    assert market.hospital.vault.read(*shelf(record.form)) == PDF
    assert not any(PDF in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert people.requests.read_document("r-1", person(HOME, "ethics_committee")) == PDF
    said = market.desks[HOME].log.entries(0, market.desks[HOME].log.size)
    assert not any(word in leaf for leaf in said for word in (SECRET.encode(), b"Li Wei", b"ethics committee %%"))
    (read,) = [event for event in people.events() if event.result_digest]
    assert read.result_digest == record.form.ethics.document_digest


def test_both_sides_talk_in_bounded_plain_text(people: People, product: DataProduct) -> None:
    record = people.submit(product)
    people.message(record, "which contractor?", "data_steward")
    record = people.message(record, "none\n=1+1")
    view = request_view(record, people.requests, people.market.now)
    assert [(one["by"], one["text"]) for one in view["messages"]] == [
        (f"{HOME}/data_steward", "which contractor?"),
        (BUYER, "none\n=1+1"),
    ]
    assert people.message(record, "none\n=1+1") == record  # the same paper again
    for text in ("", "  ", "x" * 4001, "\x1b[31m"):
        with pytest.raises(RequestInvalid):
            people.message(record, text)
    people.withdraw(record)
    with pytest.raises(AccessDenied) as closed:
        people.message(record, "still there?")
    assert closed.value.rule == "access.closed"


def test_nobody_speaks_below_a_name_that_did_not_sign(people: People, product: DataProduct) -> None:
    people.submit(product)
    paper = {"id": "r-1", "text": "approved, go ahead", "at": "x"}
    envelope = sign("access.message", paper, BUYER, people.market.keys[BUYER].secret("sign"))
    borrowed = {**envelope["signatures"][0], "signer": f"{HOME}/privacy_officer"}
    with pytest.raises(SignatureInvalid):
        people.requests.message({**envelope, "signatures": [borrowed, *envelope["signatures"]]}, person(BUYER))
    assert people.requests.get("r-1").messages == ()


def test_messages_are_bounded_in_number(people: People, product: DataProduct) -> None:
    record = people.submit(product)
    limits = replace(people.requests.policy.limits, messages=2)
    people.requests.policy = replace(people.requests.policy, limits=limits)
    for text in ("one", "two"):
        people.message(record, text)
    with pytest.raises(AccessDenied) as full:
        people.message(record, "three")
    assert full.value.rule == "access.messages"


def test_an_applicant_has_so_many_requests_waiting_at_once(people: People, product: DataProduct) -> None:
    limits = replace(people.requests.policy.limits, open_requests=2)
    people.requests.policy = replace(people.requests.policy, limits=limits)
    for name in ("r-1", "r-2"):
        people.submit(product, id=name)
    with pytest.raises(AccessDenied) as many:
        people.submit(product, id="r-3")
    assert many.value.rule == "access.many"


@pytest.mark.parametrize("text", TRIPS)
def test_texts_of_others_run_nothing_in_a_spreadsheet(people: People, product: DataProduct, text: str) -> None:
    view = request_view(people.submit(product, title=text), people.requests, people.market.now)
    assert view["title"] == text  # kept as it is
    cell = to_csv(["title"], [[view["title"]]]).decode("utf-8-sig").splitlines()[1].strip('"')
    assert cell[0] not in "=+-@\t "
    assert text in cell
    assert set(LINE) <= set(view)
