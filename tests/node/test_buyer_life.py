"""The life of a contract at the buyer's desk: by its provider's word, and what the buyer's people do about it."""

from pathlib import Path
from typing import Any

import pytest
from tests.catalog.samples import sample_product
from tests.node.buyer_stage import Organisation, contract_of
from tests.node.desk_stage import said
from tests.node.market_stage import BUYER, OFFICER, released
from tests.node.test_desk_pages import ACTIVE, EVIL

from hdex.catalog.contract import State
from hdex.catalog.contract_life import LifeState
from hdex.catalog.limits import Limits
from hdex.ledger.event import Action, format_time
from hdex.node.errors import PeerUnavailable
from hdex.node.fetches import Fetch
from hdex.node.signed import sign

DELETED = {"deleted": "the file\r\nthe copy on the analysis server", "copies": "2"}


@pytest.fixture
def us(tmp_path: Path) -> Organisation:
    made = Organisation(tmp_path)
    made.sign_in()
    return made


def final(us: Organisation, **product: object) -> str:
    """Return the path of a contract that is in force, each about a product of its own."""
    number = us.market.hospital.ground.log.size
    listed = us.market.list_product(sample_product(id=f"hospital-a.n{number}", **product), released())
    contract = contract_of(us, listed.id)
    us.decide(contract)
    us.desk_.buyer.accept(contract)
    return f"/contracts/{contract}"


def revoked(us: Organisation, reason: str = "the consent was withdrawn") -> str:
    """Return the path of a contract whose file is here and that the hospital has ended."""
    path = final(us, limits=Limits(deletion_days=7))
    us.desk_.buyer.fetch(id_of(path))
    us.market.negotiations.revoke(id_of(path), reason, OFFICER)
    return path


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def later(us: Organisation, **delta: float) -> None:
    """Let time pass, and sign in anew: a session ends before a term does."""
    us.market.later(**delta)
    us.sign_in()


def order(us: Organisation, path: str, kind: str, reason: str) -> None:
    """Have the privacy officer of hospital A suspend or resume a contract."""
    paper = {"contract": id_of(path), "reason": reason, "at": format_time(us.market.now)}
    secret = us.market.people["privacy_officer"].secret("sign")
    us.market.negotiations.lives.order(kind, sign(kind, paper, "hospital-a/privacy_officer", secret), actor=OFFICER)


def reads(us: Organisation) -> int:
    """Return how often the hospital remembers that somebody read how a contract stands."""
    return sum(event.action is Action.CONTRACT_READ for event in us.market.hospital.ground.events())


def away(us: Organisation, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take hospital A off the line; return the contracts that it is asked about all the same."""
    asked = list[str]()

    def cut(provider: str, contract_id: str) -> Any:
        asked.append(contract_id)
        raise PeerUnavailable(f"{provider} does not answer")

    monkeypatch.setattr(us.market.counters[BUYER], "standing", cut)
    return asked


def test_a_contract_stands_by_its_providers_word_with_what_is_used_and_left(us: Organisation) -> None:
    path = final(us)
    words = us.words(path)
    assert "in force" in words
    assert "Complete deliveries 1 0 1 0 %" in words
    assert "Counted by the hospital at every access" in words
    us.desk_.buyer.fetch(id_of(path))
    words = us.words(path)
    assert "Complete deliveries 1 1 0 100 %" in words
    assert "complete, its receipt is there" in words


def test_a_provider_that_is_away_is_named_and_what_is_known_here_stays(
    us: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [final(us), final(us)]
    asked = away(us, monkeypatch)
    words = us.words(paths[0])
    assert "hospital-a has not told how the contract stands there" in words
    assert "Complete deliveries 1 1" in words
    assert f"{paths[0]}/renew" not in us.page(paths[0])
    assert "wait until the provider answers" in us.words(f"{paths[0]}/renew", 403)
    asked.clear()
    assert us.words("/contracts").count("hospital-a does not answer") == 2
    assert len(asked) == 1  # nobody waits twice for whoever is away
    assert "hospital-a does not answer" in us.words("/")


def test_an_answer_that_is_no_word_is_not_shown(us: Organisation, monkeypatch: pytest.MonkeyPatch) -> None:
    path = final(us)
    told = {"contract": id_of(path), "life": "<b>fine</b>", "limits": {}, "used": {}, "steps": []}
    monkeypatch.setattr(us.market.counters[BUYER], "standing", lambda provider, contract_id: told)
    words = us.words(path)
    assert "cannot be read" in words
    assert "fine" not in words


def test_lists_repeat_a_word_and_a_contract_s_page_asks_anew(us: Organisation) -> None:
    path = final(us)
    us.words("/contracts")
    before = reads(us)
    us.words("/contracts")
    us.words("/")
    assert reads(us) == before
    us.words(path)
    assert reads(us) == before  # it was asked; the same again so soon is no second event
    order(us, path, "contract.suspend", "an audit")
    assert "suspended" not in us.words("/contracts")
    assert "suspended" in us.words(path)
    assert reads(us) == before + 1
    order(us, path, "contract.resume", "it went well")
    us.market.later(minutes=2)
    us.words("/")
    assert reads(us) == before + 2


def test_a_suspended_contract_waits_for_its_provider(us: Organisation) -> None:
    path = final(us)
    order(us, path, "contract.suspend", "an audit is under way")
    words = us.words(path)
    assert "hospital-a has suspended it" in words
    assert "suspended · privacy officer an audit is under way" in words
    assert f"{path}/fetch" not in us.forms(path)
    assert "Suspended: hospital-a." in us.words("/")
    assert f"{path}/renew" not in us.page(path)
    order(us, path, "contract.resume", "the audit is over")
    assert f"{path}/fetch" in us.forms(path)


def test_what_is_owed_is_a_task_with_its_day_until_it_is_attested(us: Organisation) -> None:
    path = revoked(us)
    words = us.words("/")
    assert "Delete and attest it" in words
    assert "until 28 Nov 2026" in words
    later(us, days=8)
    assert "overdue since 28 Nov 2026" in us.words("/")
    words = us.words(path)
    assert "The attestation of deletion was due 28 Nov 2026" in words
    assert "the consent was withdrawn" in words
    assert "Signed and sent." in us.act(f"{path}/attest", f"{path}/attest", **DELETED, delete="yes")
    record = us.market.negotiations.get(id_of(path))
    assert record.lives is LifeState.CLOSED
    assert record.attestation is not None
    assert record.attestation["document"]["deleted"] == ["the file", "the copy on the analysis server"]
    assert us.desk_.holder.held(id_of(path)) == []  # the times at which states were seen are no rows
    assert "closed · you" in us.words(path)
    assert "Nothing waits for anybody" in us.words("/")


def test_what_lies_here_is_not_attested_and_a_paper_that_cannot_stand_deletes_nothing(us: Organisation) -> None:
    path = revoked(us)
    form = us.forms(f"{path}/attest")[f"{path}/attest"] | DELETED
    assert "attestation.file_here" in said(us.send(f"{path}/attest", form).text)
    long = us.send(f"{path}/attest", form | {"delete": "yes", "deleted": "x" * 501})
    assert "attestation.lines" in said(long.text)
    assert us.send(f"{path}/attest", form | {"delete": "yes", "deleted": " "}).status_code == 400
    assert us.send(f"{path}/attest", form | {"delete": "yes", "copies": "-1"}).status_code == 400
    assert "desk.changed" in said(us.send(f"{path}/attest", form | {"delete": "yes", "digest": "0" * 64}).text)
    assert len(us.desk_.holder.held(id_of(path))) == 1
    assert us.market.negotiations.get(id_of(path)).lives is LifeState.OBLIGATIONS_OPEN


def test_what_is_kept_is_named_under_its_clause(us: Organisation) -> None:
    path = revoked(us)
    assert "What is kept under the clause" in us.words(f"{path}/attest")
    us.act(f"{path}/attest", f"{path}/attest", **DELETED, delete="yes", kept_derived_products="a risk model")
    attestation = us.market.negotiations.get(id_of(path)).attestation
    assert attestation is not None
    assert attestation["document"]["kept"] == [{"what": "a risk model", "clause": "derived_products"}]


def test_nothing_is_deleted_while_it_arrives(us: Organisation, monkeypatch: pytest.MonkeyPatch) -> None:
    path = final(us)
    form = us.forms(f"{path}/attest")[f"{path}/attest"] | DELETED
    monkeypatch.setattr(us.desk_.fetches, "of", lambda contract: Fetch(is_running=True))
    assert "attestation.arriving" in said(us.send(f"{path}/attest", form | {"delete": "yes"}).text)


def test_a_contract_is_given_back_before_its_end(us: Organisation) -> None:
    path = final(us)
    assert "given back before its term" in us.words(f"{path}/attest")
    us.act(f"{path}/attest", f"{path}/attest", **DELETED)
    assert us.market.negotiations.get(id_of(path)).lives is LifeState.CLOSED


def test_a_renewal_is_asked_for_and_takes_the_old_contracts_place(us: Organisation) -> None:
    path = final(us)
    later(us, days=30)
    form = us.forms(f"{path}/renew")[f"{path}/renew"]
    answer = us.send(f"{path}/renew", form | {"statement": "the follow-up"})
    assert answer.status_code == 303, said(answer.text)
    newer = answer.headers["location"].partition("?")[0]
    assert "until then the old contract stays" in us.words(answer.headers["location"])
    assert f'href="{path}"' in us.page(newer)
    us.decide(id_of(newer))
    us.act(newer, f"{newer}/accept")
    assert us.market.negotiations.get(id_of(path)).lives is LifeState.CLOSED
    assert "contract.state" in us.words(f"{path}/renew", 403)
    assert us.desk_.standing(id_of(newer)).asked["statement"] == "the follow-up"


def test_a_request_is_withdrawn_with_its_reason(us: Organisation) -> None:
    contract = contract_of(us, us.market.stents().id)
    path = f"/contracts/{contract}"
    form = us.forms(f"{path}/withdraw")[f"{path}/withdraw"]
    assert us.send(f"{path}/withdraw", form).status_code == 400  # the provider reads why
    assert "It is withdrawn." in us.act(f"{path}/withdraw", f"{path}/withdraw", reason="the project was stopped")
    record = us.market.negotiations.get(contract)
    assert (record.state, record.next_step) == (State.TERMINATED, "the project was stopped")
    assert us.browser.get(f"{path}/withdraw").status_code == 403
    assert us.browser.get(f"{path}/sell").status_code == 404
    assert us.browser.get("/contracts/nobodys/withdraw").status_code in (403, 404)


def test_a_stranger_s_reason_stays_text(us: Organisation) -> None:
    evil = " ".join(EVIL[:6])
    plain = final(us)
    order(us, plain, "contract.suspend", evil)
    over = revoked(us, evil)
    contract = contract_of(us, us.market.stents().id, statement=evil)
    pages = [us.page(path) for path in (plain, over, f"{over}/attest", f"/contracts/{contract}/withdraw", "/")]
    us.act(f"{over}/attest", f"{over}/attest", deleted=evil, copies="1", delete="yes", kept_derived_products=evil)
    us.act(f"/contracts/{contract}/withdraw", f"/contracts/{contract}/withdraw", reason=evil)
    pages += [us.page(path) for path in (over, f"/contracts/{contract}", "/contracts")]
    for page in pages:
        assert not ACTIVE.search(page[page.index("<main") :])


def test_a_term_that_is_over_is_said_by_the_provider(us: Organisation) -> None:
    path = final(us)
    later(us, days=400)
    words = us.words(path)
    assert "term over · " not in words  # by the clock: nobody is named
    assert "closed" in words
    assert f"{path}/fetch" not in us.forms(path)
