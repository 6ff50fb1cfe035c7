"""An organisation's drafts, what it sends again after a cut line, and what its reviewers sign."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.node.access_people import HOME, Doors, People
from tests.node.access_stage import PDF, declaration, form_document
from tests.node.market_stage import BUYER, Market

from hdex.catalog.errors import AccessFormInvalid, OrganisationInvalid
from hdex.catalog.product import DataProduct
from hdex.node.applicant import Applicant
from hdex.node.documents import Document
from hdex.node.errors import ConfigInvalid, NotFound, PeerUnavailable
from hdex.node.reviewer import Reviewer


class Side:
    """The applicant with its folder, and one reviewer a role."""

    def __init__(self, market: Market, folder: Path) -> None:
        self.market, self.people = market, People(market)
        self.doors, self.folder = Doors(self.people), folder
        folder.mkdir()
        (folder / "ethics.pdf").write_bytes(PDF)
        self.applicant = Applicant(
            BUYER, market.keys[BUYER], offices=self.doors, reviews=self.doors, folder=folder, clock=market.clock
        )
        self.product: DataProduct = market.stents()

    def reviewer(self, role: str) -> Reviewer:
        doors = Doors(self.people, role)
        return Reviewer(f"{HOME}/{role}", self.market.people[role], doors, doors, self.market.clock)

    def draft(self, name: str = "r-1", **given: Any) -> Path:
        form = form_document(self.product, self.market.now)
        known = ("id", "revision", "applicant", "provider", "product", "version", "manifest_digest")
        said = {key: value for key, value in form.items() if key not in known}
        return self.applicant.draft(name, self.product, self.product.digest(), said | given)

    def submit(self, name: str = "r-1") -> Document:
        return self.applicant.submit(name, self.folder / "ethics.pdf")


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return Side(Market(tmp_path, vetted=False), tmp_path / "requests")


@pytest.fixture
def vetted(side: Side) -> Side:
    side.applicant.apply(HOME, declaration(BUYER))
    side.reviewer("data_steward").decide_vetting(BUYER, "endorse", "as registered")
    until = "2027-06-30T16:00:00.000Z"
    side.reviewer("privacy_officer").decide_vetting(BUYER, "approve", "papers seen", until=until)
    return side


def test_a_declaration_that_cannot_be_right_is_not_sent(side: Side) -> None:
    with pytest.raises(OrganisationInvalid):
        side.applicant.apply(HOME, declaration(BUYER) | {"code": "91350100M000100Y44"})
    assert side.people.vettings.all() == []
    assert list(side.folder.glob("vetting-*")) == []


def test_the_same_declaration_is_the_same_paper_until_it_is_renewed(vetted: Side) -> None:
    assert vetted.applicant.apply(HOME, declaration(BUYER))["state"] == "VALID"
    assert len(vetted.people.vettings.all()) == 1
    vetted.market.later(days=200)
    vetted.applicant.renew(HOME)
    assert vetted.applicant.apply(HOME, declaration(BUYER))["state"] == "APPLIED"
    assert [one["state"] for one in vetted.applicant.vettings(HOME)] == ["VALID", "APPLIED"]


def test_a_draft_is_not_sent_and_not_overwritten(vetted: Side) -> None:
    path = vetted.draft()
    assert vetted.applicant.status("r-1")["state"] == "DRAFT"
    with pytest.raises(ConfigInvalid):
        vetted.draft()
    assert vetted.applicant.withdraw("r-1", "never mind")["state"] == "WITHDRAWN"
    assert not path.exists()
    with pytest.raises(NotFound):
        vetted.submit()
    for name in ("../x", "", "a/b"):
        with pytest.raises(ConfigInvalid):
            vetted.draft(name)
    assert vetted.people.requests.all() == []


def test_after_a_cut_line_the_very_same_form_is_sent_again(vetted: Side) -> None:
    vetted.draft()
    vetted.doors.cut = True
    with pytest.raises(PeerUnavailable):
        vetted.submit()
    vetted.market.later(hours=1)
    vetted.doors.cut = False
    assert (vetted.submit()["state"], vetted.submit()["revision"]) == ("SUBMITTED", 1)
    assert [action for action, _ in vetted.people.told()].count("access.submit") == 1


def test_a_returned_form_goes_out_as_the_next_revision_without_being_told(vetted: Side) -> None:
    path = vetted.draft()
    vetted.submit()
    steward = vetted.reviewer("data_steward")
    steward.decide_request("r-1", "take", "mine")
    steward.decide_request("r-1", "return", "name the contractor")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"summary": "none is needed"}), encoding="utf-8")
    again = vetted.submit()
    assert (again["state"], again["revision"], again["form"]["summary"]) == ("SUBMITTED", 2, "none is needed")
    for arrow, role in (("take", "data_steward"), ("endorse", "data_steward"), ("endorse", "privacy_officer")):
        vetted.reviewer(role).decide_request("r-1", arrow, "fits")
    vetted.reviewer("ethics_committee").message("r-1", "one question")
    vetted.applicant.message("r-1", "one answer")
    assert vetted.reviewer("ethics_committee").decide_request("r-1", "approve", "covered")["state"] == "APPROVED"
    assert [one["text"] for one in vetted.applicant.status("r-1")["messages"]] == ["one question", "one answer"]


def test_a_form_that_is_not_filled_in_is_not_sent(vetted: Side) -> None:
    path = vetted.draft(title="")
    with pytest.raises(AccessFormInvalid) as refused:
        vetted.submit()
    assert refused.value.rule == "form.title"
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(ConfigInvalid):
        vetted.submit()
    vetted.draft("r-2", ethics="none")
    with pytest.raises(ConfigInvalid):
        vetted.submit("r-2")
    with pytest.raises(ConfigInvalid):
        vetted.applicant.submit("r-2", vetted.folder / "absent.pdf")
    assert not list(vetted.folder.glob("*.sent.json"))


def test_a_sent_request_is_withdrawn_where_it_stands(vetted: Side) -> None:
    vetted.draft()
    vetted.submit()
    assert vetted.applicant.withdraw("r-1", "the project ended")["state"] == "WITHDRAWN"
    assert vetted.people.requests.get("r-1").history[-1]["step"]["document"]["reason"] == "the project ended"


def test_a_decision_about_nobody_says_so(side: Side) -> None:
    with pytest.raises(NotFound):
        side.reviewer("data_steward").decide_vetting(BUYER, "endorse", "as registered")
