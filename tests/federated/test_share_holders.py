"""A study without a key holder: its sites open the sums together, and go on when one of them is silent."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.federated.samples import NOW, SITES, Consortium, RecordingSite, consortium, now, table, with_shared_key
from tests.federated.test_keyholder import MATRIX, as_bytes

from hdex.federated.apps.flower import Run as FlowerRun
from hdex.federated.apps.flower import node_id
from hdex.federated.apps.records import question_record, reply_error
from hdex.federated.apps.region import RegionSession
from hdex.federated.apps.replies import members_of
from hdex.federated.apps.site import SiteSession
from hdex.federated.broadcast import Broadcast
from hdex.federated.channel_memory import Handler, MemoryChannel
from hdex.federated.combine import combine
from hdex.federated.contributor import Contributor
from hdex.federated.draft import Question
from hdex.federated.errors import DisclosureRefused, FrameInvalid, Refusal, SiteLost, StudyInvalid
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.grid_stream import StreamGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.opened import join_parts, split_parts
from hdex.federated.receipts import Receipt, RoundReceipt, replay
from hdex.federated.regional import sign_sum
from hdex.federated.run import run_study
from hdex.federated.share_holder import ShareHolder
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import Study, Threshold
from hdex.federated.waiting import Patience

LINEAR = Question("pressure", ("age", "bmi"), "DUO:0000006", kind="linear")
COUNT = Question("", ("age",), "DUO:0000006", kind="count")
FOUR = (*SITES, "hospital-d")


def party_of(sites: tuple[str, ...] = SITES, needed: int = 2, question: Question | None = COUNT) -> Consortium:
    frames = {site: table(220 + 60 * at, seed=at) for at, site in enumerate(sites)}
    return with_shared_key(consortium(frames, question=question), needed)


class Run:
    """A study over the Grid, with what its coordinator keeps."""

    def __init__(self, party: Consortium) -> None:
        self.party = party
        self.journal = MemoryJournal()
        self.kept: dict[int, tuple[tuple[bytes, ...], bytes]] = {}
        self.handlers = party.handlers()

    def opened(self, number: int, contributions: Any, proof: bytes) -> None:
        self.kept[number] = (tuple(contributions), proof)

    def run(self, silent_from: dict[str, int] | None = None) -> dict[str, Any]:
        """Run with sites (name -> n) that answer nothing from their n-th frame on."""
        quiet = {site: hushed(self.handlers[site], at) for site, at in (silent_from or {}).items()}
        ticks = count()
        grid = StreamGrid(MemoryChannel(self.handlers | quiet), clock=lambda: next(ticks) / 100)  # no real time passes
        patience = Patience(3.0, 1.0, clock=lambda: NOW + timedelta(seconds=next(ticks) / 100))
        return run_study(
            self.party.envelope,
            grid=grid,
            decryptor=self.party.keyholder,
            journal=self.journal,
            patience=patience,
            opened=self.opened,
        ).document()

    def receipt(self) -> Receipt:
        records = self.journal.rounds(self.party.study.id)
        return Receipt(self.party.envelope, tuple(RoundReceipt(one, *self.kept[one.round]) for one in records))


def hushed(handle: Handler, at: int) -> Handler:
    """Return a site that stops answering with its `at`-th frame."""
    frames = count(1)

    def handle_some(frame: bytes) -> bytes:
        if next(frames) >= at:
            raise FrameInvalid("nobody is there")
        return handle(frame)

    return handle_some


def test_three_sites_fit_what_a_key_holder_would_open() -> None:
    alone, together = consortium(question=LINEAR), with_shared_key(consortium(question=LINEAR))
    one = run_study(
        alone.envelope, grid=InprocGrid(alone.handlers()), decryptor=alone.keyholder, journal=MemoryJournal()
    ).document()
    several = Run(together).run()
    assert several["sites"] == list(SITES)
    assert several["rounds"] == one["rounds"]
    for mine, theirs in zip(several["coefficients"], one["coefficients"], strict=True):
        assert mine["estimate"] == pytest.approx(theirs["estimate"], abs=1e-12)


def test_a_silent_site_is_left_out_and_its_mask_is_missed_by_nobody() -> None:
    party = party_of(FOUR, needed=3)
    run = Run(party)
    result = run.run({"hospital-b": 1})
    assert result["sites"] == ["hospital-a", "hospital-c", "hospital-d"]
    frames = [party.sites[site].frame(party.study) for site in result["sites"]]
    row = run.journal.rounds(party.study.id)[0]
    assert sum(frame.height for frame in frames) in row.state
    assert (row.attempt, [reply.site for reply in row.replies]) == (2, result["sites"])


def test_the_first_rounds_population_is_that_of_all_rounds_and_survives_a_crash() -> None:
    party = party_of(FOUR, needed=3, question=LINEAR)
    run = Run(party)
    result = run.run({"hospital-b": 1})
    rows = run.journal.rounds(party.study.id)
    assert len(rows) > 1
    assert {tuple(reply.site for reply in row.replies) for row in rows} == {tuple(result["sites"])}
    assert replay(Receipt.from_bytes(run.receipt().to_bytes()), {}).proven == len(rows)
    run.journal = MemoryJournal()
    for row in rows[:-1]:
        run.journal.commit(row)
    assert run.run() == result  # hospital-b is back, and is not asked


def test_with_masks_or_below_the_floor_a_silent_site_ends_the_study() -> None:
    masked = consortium({site: table(220, seed=at) for at, site in enumerate(FOUR)}, question=COUNT)
    with pytest.raises(SiteLost):
        Run(masked).run({"hospital-b": 1})
    with pytest.raises(SiteLost):
        Run(party_of()).run({"hospital-b": 1})  # three sites are the fewest


def test_who_took_part_in_the_first_round_takes_part_in_all() -> None:
    run = Run(party_of(FOUR, needed=3, question=LINEAR))
    with pytest.raises(SiteLost, match="round 2 from hospital-b"):
        run.run({"hospital-b": 3})
    result = run.run()  # it is back: the study goes on with all four
    assert result["sites"] == list(FOUR)


def test_a_dead_or_lying_share_holder_is_replaced() -> None:
    party = party_of(FOUR, needed=3)
    run = Run(party)
    stolen = party.sites["hospital-a"]

    class Liar(RecordingSite):
        """Opens with another party's secret, so that its share does not unseal."""

        def shared_secret(self, peer_mask_key: bytes) -> bytes:
            return stolen.shared_secret(peer_mask_key)

    liar = Liar(party.sites["hospital-b"].frame(party.study))
    liar.sign = party.sites["hospital-b"].sign  # type: ignore[method-assign]
    session = SiteSession("hospital-b", liar, replies=MemoryStore(), clock=now)
    run.handlers["hospital-b"] = session.handle
    assert run.run()["sites"] == list(FOUR)
    proven = {part[5] for part in split_parts(run.kept[1][1])}  # the low byte of the party
    assert proven == {1, 3, 4}


def test_a_share_holder_that_falls_silent_after_its_sums_is_not_waited_for_alone() -> None:
    party = party_of(FOUR, needed=3)
    run = Run(party)
    assert run.run({"hospital-a": 2})["sites"] == list(FOUR)
    assert {part[5] for part in split_parts(run.kept[1][1])} == {2, 3, 4}


def test_a_refusal_of_a_share_holder_is_told_its_node() -> None:
    holder, told = Holder(), list[tuple[bytes, str]]()
    refused = ShareHolder(
        SITES[0],
        holder.party.sites[SITES[0]],
        replies=holder.stores[SITES[0]],
        clock=now,
        on_refusal=lambda question, error: told.append((question, str(error))),
    )
    answered = as_bytes(holder.answered)
    with pytest.raises(Refusal):
        refused.answer(holder.party.envelope, 1, answered[:2])
    refused.answer(holder.party.envelope, 1, answered)
    with pytest.raises(Refusal):
        refused.answer(holder.party.envelope, 1, [answered[0], *Holder(holder.party).fresh(1)])
    assert told[0][0] == b"".join(answered[:2])
    assert len(told) == 2


def test_too_few_share_holders_open_nothing() -> None:
    party = party_of(FOUR, needed=3)
    run = Run(party)
    with pytest.raises(SiteLost, match="fewer than 3 share holders"):
        run.run(dict.fromkeys(FOUR[:2], 2))
    assert run.journal.rounds(party.study.id) == []
    assert run.run()["sites"] == list(FOUR)


def told() -> tuple[Run, dict[str, list[dict[str, Any]]]]:
    run = Run(party_of())
    run.run()
    receipt = run.receipt()
    study, one = receipt.study, receipt.rounds[0]
    said: dict[str, Any] = {"decision": "allow", "policy_digest": study.digest()}
    logs: dict[str, list[dict[str, Any]]] = {site: [] for site in SITES}
    for reply in one.record.replies:
        asked = {"action": "round.submit", "request_digest": one.record.broadcast_digest}
        logs[reply.site].append(said | asked | {"result_digest": reply.digest})
    for part in split_parts(one.proof):
        site = SITES[part[5] - 1]
        logs[site].append(said | {"action": "round.submit", "result_digest": sha256(part).hexdigest()})
    seal = {"action": "round.seal", "result_digest": one.record.digest()}
    approved = {"action": "study.approve", "request_digest": study.digest(), "policy_digest": "cd" * 32}
    logs["exchange"] = [said | seal, said | approved]
    return run, logs


def test_an_auditor_replays_the_parts_without_any_key() -> None:
    run, logs = told()
    receipt = Receipt.from_bytes(run.receipt().to_bytes())
    found = replay(receipt, logs)
    assert found.offences == ()
    assert (found.verified, found.proven) == (True, 1)
    first = receipt.rounds[0]
    parts = split_parts(first.proof)
    forged = {
        "proof": join_parts([parts[0], parts[0]]),
        "cut": first.proof[:-1],
        "one part": join_parts(parts[:1]),
        "changed": join_parts([parts[0][:-1] + bytes([parts[0][-1] ^ 1]), parts[1]]),
        "key holder's": b"HPO1" + first.proof[4:],
    }
    for proof in forged.values():
        assert not replay(replace(receipt, rounds=(replace(first, proof=proof),)), logs).verified
    logs["hospital-a"] = logs["hospital-a"][:1]
    assert any("has not logged its part" in offence for offence in replay(receipt, logs).offences)


@pytest.fixture(scope="module")
def holder() -> "Holder":
    """Return a holder whom refused requests leave as he was."""
    return Holder()


class Holder:
    """One site as a share holder that has answered round 1, and what the coordinator may ask it."""

    def __init__(self, party: Consortium | None = None) -> None:
        self.party = party or party_of(question=None)
        self.stores = {site: MemoryStore() for site in self.party.study.sites}
        question = Broadcast(self.party.study.id, self.party.study.digest(), 1, 1, "moments", None).to_bytes()
        self.answered = [
            Contributor(name, site, replies=self.stores[name], clock=now).answer(self.party.envelope, question)
            for name, site in self.party.sites.items()
        ]

    def part(self, contributions: list[bytes], *, number: int = 1, late: bool = False, site: str = SITES[0]) -> bytes:
        def clock() -> Any:
            return NOW + timedelta(days=2) if late else NOW

        holder = ShareHolder(site, self.party.sites[site], replies=self.stores[site], clock=clock)
        return holder.answer(self.party.envelope, number, contributions)

    def fresh(self, after: int) -> list[bytes]:
        """Return what the sites from this place on have sent."""
        return [one.to_bytes() for one in self.answered[after:]]

    def refused(self, contributions: list[bytes], **asked: Any) -> str:
        with pytest.raises(Refusal) as caught:
            self.part(contributions, **asked)
        return caught.value.rule


# What only the opened sum shows is nothing a share holder sees.
UNSEEN = {"payload of another site", "masks left out", "scaled copy", "other encoding", "header not canonical"}


@pytest.mark.parametrize("case", sorted(set(MATRIX) - UNSEEN))
def test_a_share_holder_refuses_what_a_key_holder_refuses(case: str, holder: "Holder") -> None:
    rule, forge = MATRIX[case]
    assert holder.refused(forge(holder.party, holder.answered)) == rule


def test_a_share_holder_opens_each_round_once_and_over_one_set_of_sites() -> None:
    holder = Holder(party_of(FOUR, needed=3, question=None))
    answered = as_bytes(holder.answered)
    first = holder.part(answered)
    assert holder.part(answered[::-1]) == first
    assert holder.refused(answered[:3]) == "sites_changed"
    other = Holder(holder.party)
    other.stores = holder.stores
    again = [other.answered[0].to_bytes(), *answered[1:]]
    assert holder.refused(again, site=SITES[0]) == "own_contribution"
    assert holder.refused([*answered[:3], other.answered[3].to_bytes()]) == "already_opened"


def test_a_share_holder_has_its_own_word() -> None:
    holder = Holder()
    answered = as_bytes(holder.answered)
    assert holder.refused(answered, late=True) == "deadline"
    assert holder.refused(answered, number=0) == "max_rounds"
    assert holder.refused(answered, number=2) == "round_mismatch"
    holder.party.sites[SITES[0]].refuse[1] = "contract.revoked"
    assert holder.refused(answered) == "contract.revoked"
    holder.party.sites[SITES[0]].refuse.clear()
    holder.party.sites[SITES[0]].refuse_release = "log.failed"
    assert holder.refused(answered) == "log.failed"
    holder.party.sites[SITES[0]].refuse_release = None
    part = holder.part(answered)
    released = holder.party.sites[SITES[0]].released[-1]
    assert (released.digest, released.rows) == (sha256(part).hexdigest(), -1)


def test_a_share_holder_of_another_study_opens_nothing() -> None:
    holder = Holder(with_shared_key(consortium({s: table(220, seed=1) for s in FOUR}, question=None),
                                    2, parties=FOUR[:3]))  # fmt: skip
    assert holder.refused(as_bytes(holder.answered), site=FOUR[3]) == "no_share"
    assert holder.part(as_bytes(holder.answered), site=FOUR[2])
    unshared = Holder(consortium())
    assert unshared.refused(as_bytes(unshared.answered)) == "no_share"


def test_a_site_that_is_told_a_false_study_never_opens_below_its_floor() -> None:
    holder = Holder()
    assert holder.refused(as_bytes(holder.answered[:2])) == "roster_incomplete"
    low = Holder(replace(holder.party, study=replace(holder.party.study, min_sites=1)))
    with pytest.raises(DisclosureRefused):
        low.part(as_bytes(low.answered[:2]))


def test_no_region_stands_between_a_share_holder_and_what_it_opens() -> None:
    holder = Holder()
    study, key = holder.party.study, Ed25519PrivateKey.generate()
    hidden = sign_sum("north", holder.answered, combine(study, holder.answered).to_bytes(), sign=key.sign)
    assert holder.refused([hidden.to_bytes()]) == "region_unknown"
    with pytest.raises(StudyInvalid, match="leave regions or threshold out"):
        members_of(study, {"north": SITES})
    region = RegionSession("north", {s: (s,) for s in SITES}, InprocGrid({}), sign=key.sign, kept=MemoryStore())
    grid = InprocGrid({"north": region.handle})
    grid.set_run(FlowerRun.create_empty(1))
    question = Broadcast(study.id, study.digest(), 1, 1, "moments", None).to_bytes()
    content = question_record(holder.party.envelope, question)
    [reply] = grid.send_and_receive([grid.create_message(content, "train", node_id("north"), "1")])
    with pytest.raises(StudyInvalid, match="leave regions or threshold out"):
        raise reply_error(reply, "north")


BROKEN: dict[str, Callable[[Study], Study]] = {
    "one opens alone": lambda s: replace(s, threshold=Threshold(SITES, 1)),
    "not more than half": lambda s: replace(s, threshold=Threshold(("a", "b", "c", "d"), 2)),
    "more than all": lambda s: replace(s, threshold=Threshold(SITES, 4)),
    "unsorted": lambda s: replace(s, threshold=Threshold(SITES[::-1], 2)),
    "named twice": lambda s: replace(s, threshold=Threshold((SITES[0], *SITES), 3)),
    "a stranger": lambda s: replace(s, threshold=Threshold((*SITES[:2], "hospital-x"), 2)),
    "a party fewer": lambda s: replace(s, threshold=Threshold(SITES[:2], 2)),
    "no key": lambda s: replace(s, dealt=None),
    "nobody": lambda s: replace(s, threshold=None),
    "no hex": lambda s: replace(s, dealt=replace(dealt(s), shares=("xyz", *dealt(s).shares[1:]))),
    "no number": lambda s: replace(s, dealt=replace(dealt(s), base="")),
    "plain sums": lambda s: replace(s, secure="plain"),
}


def dealt(study: Study) -> Any:
    return study.dealt


@cache
def shared_study() -> Study:
    return party_of().study


@pytest.mark.parametrize("case", BROKEN)
def test_a_study_that_shares_a_key_in_no_sound_way_is_refused(case: str) -> None:
    with pytest.raises(StudyInvalid):
        BROKEN[case](shared_study())


def test_a_shared_key_has_one_population_and_so_no_quorum() -> None:
    options = {"hidden": [1], "rounds": 2, "batch": 64, "learning_rate": 0.5}
    party = party_of(question=Question("event", ("age",), "DUO:0000006", kind="fedavg", options=options))
    with pytest.raises(StudyInvalid, match="leave quorum or threshold out"):
        replace(party.study, quorum=3)


def test_the_document_holds_the_shared_key_and_only_where_there_is_one() -> None:
    study = shared_study()
    assert Study.from_document(json.loads(json.dumps(study.document()))) == study
    assert not {"threshold", "dealt"} & set(consortium().study.document())
