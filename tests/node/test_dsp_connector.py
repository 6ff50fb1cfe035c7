"""A connector in both roles over the memory network: order, refusals, repetition, and what the log remembers."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.node.dsp_stage import AGREEMENT, CONSUMER, DATASET, OFFER, PROVIDER, STRANGER, Pair, Side, pair, reactions

from hdex.catalog.contract import Message, Party, TransferMessage
from hdex.catalog.dsp import CONTEXT
from hdex.catalog.errors import TransitionForbidden
from hdex.ledger.errors import LogFailed
from hdex.ledger.event import Action
from hdex.node.dsp import connector as connectors
from hdex.node.dsp.conformance import profile_of
from hdex.node.dsp.outbox import Patience
from hdex.node.dsp.ports import Answer
from hdex.node.dsp.process import Document, Process
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid

OFFER_OF_OURS: Document = {"@type": "Offer", "@id": OFFER, "target": DATASET, "permission": [{"action": "use"}]}
WHOLE = [("offer", 1), ("accept", 0), ("agree", 1), ("verify", 0), ("finalize", 1)]  # act, side: 0 is the consumer


def ask(pid: str = "urn:c:1", **changes: object) -> Document:
    told = {"@context": [CONTEXT], "@type": "ContractRequestMessage", "consumerPid": pid, "offer": OFFER_OF_OURS}
    return {**told, "callbackAddress": f"https://{CONSUMER}.example/dsp", **changes}


def ending(pids: Document, kind: str = "ContractNegotiationTerminationMessage") -> Document:
    return {"@context": [CONTEXT], "@type": kind, **pids, "code": "1", "reason": ["enough"]}


def pids_of(answer: Document) -> Document:
    return {name: answer[name] for name in ("providerPid", "consumerPid")}


def play(stage: Pair, pid: str, acts: list[tuple[str, int]]) -> None:
    for verb, side in acts:
        process = stage.consumer.connector.process(pid)
        connector = (stage.consumer, stage.provider)[side].connector
        connector.act(process.peer_pid if side else pid, verb)
        stage.carry()


def test_both_sides_walk_to_finalized_and_both_logs_say_the_same() -> None:
    stage = pair()
    process = stage.request()
    play(stage, process.pid, WHOLE)
    assert stage.states(process.pid) == ("FINALIZED", "FINALIZED")
    words = ["request", "offer", "accept", "agree", "verify", "finalize"]
    assert stage.consumer.said() == stage.provider.said() == [f"contract.{word}" for word in words]
    agreed = stage.consumer.connector.process(process.pid)
    assert agreed.agreement == stage.provider.connector.process(agreed.peer_pid).agreement
    assert agreed.agreement is not None
    assert (agreed.agreement["target"], agreed.agreement["assignee"]) == (DATASET, CONSUMER)


def test_a_transfer_goes_to_its_end_with_stops() -> None:
    stage = pair()
    begun = stage.consumer.connector.request_transfer(
        PROVIDER, stage.provider.address, agreement_id=AGREEMENT, format="HttpData-PULL"
    )
    stage.carry()
    for verb, side, state in (("start", 1, "STARTED"), ("suspend", 0, "SUSPENDED"), ("start", 1, "STARTED"),
                              ("complete", 0, "COMPLETED")):  # fmt: skip
        play(stage, begun.pid, [(verb, side)])
        assert stage.states(begun.pid) == (state, state)


def test_the_same_request_again_is_the_same_process_and_another_under_its_id_is_refused() -> None:
    side = pair().provider
    first, again = (side.ask(CONSUMER, "POST", "/negotiations/request", ask()) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert len(side.processes.live()) == 1
    other = side.ask(CONSUMER, "POST", "/negotiations/request", ask(offer={**OFFER_OF_OURS, "@id": "urn:o:2"}))
    assert (other.status_code, other.json()["code"]) == (400, "process.other")
    of_another = side.ask(STRANGER, "POST", "/negotiations/request", ask())
    assert of_another.status_code == 201
    assert of_another.json()["providerPid"] != first.json()["providerPid"]


def test_to_a_third_party_a_process_does_not_exist() -> None:
    side = pair().provider
    shown = side.ask(CONSUMER, "POST", "/negotiations/request", ask()).json()
    path = f"/negotiations/{shown['providerPid']}"
    unknown = side.ask(STRANGER, "GET", "/negotiations/urn:uuid:none")
    foreign = side.ask(STRANGER, "GET", path)
    assert (unknown.status_code, foreign.status_code) == (404, 404)
    assert foreign.json()["reason"][0].replace(shown["providerPid"], "urn:uuid:none") == unknown.json()["reason"][0]
    assert side.ask(STRANGER, "POST", f"{path}/termination", ending(pids_of(shown))).status_code == 404
    assert side.ask(CONSUMER, "GET", path).json()["state"] == "REQUESTED"
    assert side.ask(CONSUMER, "GET", path.replace("negotiations", "transfers")).status_code == 404


def test_who_shows_no_certificate_is_told_so_and_nothing_else() -> None:
    answer = pair().provider.ask("", "POST", "/negotiations/request", ask())
    assert (answer.status_code, answer.json()["code"]) == (401, "identity-refused")


def test_a_message_that_does_not_fit_is_refused_by_name_and_moves_nothing() -> None:
    stage = pair()
    process = stage.request()
    verification = {"@context": [CONTEXT], "@type": "ContractAgreementVerificationMessage"}
    pids = {"providerPid": process.peer_pid, "consumerPid": process.pid}
    path = f"/negotiations/{process.peer_pid}"
    answer = stage.provider.ask(CONSUMER, "POST", f"{path}/agreement/verification", {**verification, **pids})
    assert answer.status_code == 400
    told = answer.json()
    assert (told["@type"], told["code"]) == ("ContractNegotiationError", "transition-forbidden")
    assert pids_of(told) == pids
    assert "REQUESTED" in told["reason"][0]  # the state found
    assert "provider: ContractAgreementMessage" in told["reason"][0]  # a message allowed
    assert stage.states(process.pid) == ("REQUESTED", "REQUESTED")
    assert stage.provider.said()[-1] == "!contract.verify"


@pytest.mark.parametrize(
    ("path", "document", "status", "said"),
    [
        ("/negotiations/request", ask(callbackAddress="https://nobody.example"), 400, "nobody is reached"),
        ("/negotiations/request", ask(providerPid="urn:p"), 400, "never both"),
        ("/negotiations/request", ask(callbackAddress=None), 400, "never both"),
        ("/negotiations/request", ask(offer={**OFFER_OF_OURS, "@id": "urn:o:9"}), 400, "not made here"),
        ("/negotiations/request", ask(offer={**OFFER_OF_OURS, "target": "urn:d:9"}), 400, "not made here"),
        ("/negotiations/request", ask(offer={"@id": "x", "@type": "Offer", "target": "y"}), 400, "permission"),
        ("/negotiations/request", {**ask(), "@context": ["https://other"]}, 400, "@context"),
        ("/negotiations/request", {**ask(), "@type": "ContractOfferMessage"}, 400, "@type must be"),
        ("/negotiations/request", [], 400, "no JSON object"),
        ("/negotiations/urn:uuid:no/events", ask(), 400, "@type must be"),
        ("/negotiations/urn:uuid:no/elsewhere", ask(), 404, "no such path"),
        ("/catalog/request", {"@context": [CONTEXT], "@type": "CatalogRequestMessage", "filter": [1]}, 400, "filter"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(path: str, document: object, status: int, said: str) -> None:
    answer = pair().provider.ask(CONSUMER, "POST", path, document)
    assert answer.status_code == status
    assert said in answer.json()["reason"][0]


def test_long_and_deep_bodies_are_not_read() -> None:
    side = pair().provider
    assert side.ask(CONSUMER, "POST", "/transfers/request", raw=b"[" * 5000).status_code == 400
    assert side.ask(CONSUMER, "POST", "/transfers/request", raw=b" " * 300_000).status_code == 413
    assert side.ask(CONSUMER, "POST", "/transfers/request", raw=b"\xff").json()["@type"] == "TransferError"


def test_messages_of_another_process_and_for_another_data_set_are_refused() -> None:
    stage = pair()
    first, second = stage.request(), stage.request()
    path = f"/negotiations/{first.peer_pid}/termination"
    mixed = ending({"providerPid": first.peer_pid, "consumerPid": second.pid})
    assert "consumerPid" in stage.provider.ask(CONSUMER, "POST", path, mixed).json()["reason"][0]
    play(stage, first.pid, [("offer", 1)])
    counter = ask(first.pid, providerPid=first.peer_pid, offer={**OFFER_OF_OURS, "target": "urn:d:2"})
    del counter["callbackAddress"]
    answer = stage.provider.ask(CONSUMER, "POST", f"/negotiations/{first.peer_pid}/request", counter)
    assert "another data set" in answer.json()["reason"][0]


def test_nothing_is_stored_or_sent_when_the_log_fails() -> None:
    stage = pair()
    process = stage.request()
    stage.provider.leaves.fails = True
    with pytest.raises(LogFailed):
        stage.provider.connector.act(process.peer_pid, "offer")
    assert stage.provider.processes.waiting(stage.provider.now) == []
    assert stage.states(process.pid) == ("REQUESTED", "REQUESTED")
    answer = stage.provider.ask(CONSUMER, "POST", "/negotiations/request", ask("urn:c:2"))
    assert answer.status_code == 503
    assert len(stage.provider.processes.live()) == 1


def test_what_a_peer_did_not_hear_is_said_again_in_order() -> None:
    stage = pair()
    process = stage.request()
    stage.provider.courier.down.add(stage.consumer.address)
    stage.provider.connector.act(process.peer_pid, "offer")
    stage.provider.connector.act(process.peer_pid, "terminate", reason="changed our mind")
    for pause in (1, 2, 4, 8, 8):
        assert stage.provider.outbox.flush() == 1
        assert stage.provider.outbox.flush() == 0  # not before its time
        stage.provider.later(pause)
    stage.provider.courier.down.clear()
    stage.carry()
    ended = stage.consumer.connector.process(process.pid)
    assert (ended.state, ended.reason, ended.visits["OFFERED"]) == ("TERMINATED", "changed our mind", 1)


def test_a_message_that_arrived_although_its_answer_was_lost_is_not_taken_back() -> None:
    stage = pair()
    process = stage.request()
    handle = stage.provider.network[stage.consumer.address]
    lost = iter([True])

    def deaf(sender: str, method: str, path: str, document: Document | None) -> Answer:
        answer = handle(sender, method, path, document)
        return Answer(503, {}) if next(lost, False) else answer

    stage.provider.network[stage.consumer.address] = deaf
    stage.provider.connector.act(process.peer_pid, "offer")
    stage.carry()
    stage.provider.later(1)
    stage.carry()  # refused this time: the consumer stands in OFFERED already, which is asked and found
    for _ in range(3):
        stage.provider.later(8)
        stage.carry()
    assert stage.states(process.pid) == ("OFFERED", "OFFERED")
    assert stage.provider.said()[-1] == "contract.offer"


def test_what_a_peer_refuses_for_good_is_taken_back() -> None:
    stage = pair()
    process = stage.request()
    stage.provider.network[stage.consumer.address] = lambda *_: Answer(400, {"reason": ["we do not like it"]})
    stage.provider.connector.act(process.peer_pid, "offer")
    stage.carry()
    stage.provider.later(1)
    stage.carry()
    back = stage.provider.connector.process(process.peer_pid)
    assert (back.state, back.visits, back.reason) == (
        "REQUESTED", {"REQUESTED": 1}, "the other side answered 400: we do not like it",
    )  # fmt: skip
    assert stage.provider.said()[-1] == "!contract.refuse"


def test_a_request_that_is_refused_has_ended() -> None:
    stage = pair()
    offer = {**OFFER_OF_OURS, "@id": "urn:o:9"}
    process = stage.consumer.connector.request(PROVIDER, stage.provider.address, offer=offer)
    stage.carry()
    stage.consumer.later(1)
    stage.carry()
    ended = stage.consumer.connector.process(process.pid)
    assert ended.state == "TERMINATED"
    assert "not made here" in ended.reason
    with pytest.raises(AccessDenied):
        stage.consumer.connector.request(PROVIDER, "https://nobody.example/dsp", offer=offer)


def test_a_providers_message_may_overtake_its_answer_to_the_request() -> None:
    stage = pair()
    process = stage.consumer.connector.request(PROVIDER, stage.provider.address, offer=OFFER_OF_OURS)
    with pytest.raises(NotFound):
        stage.consumer.connector.show(process.kind, process.pid, stage.provider.me.identity)
    told = ending({"providerPid": "urn:p:1", "consumerPid": process.pid})
    path = f"/negotiations/{process.pid}/termination"
    assert stage.consumer.ask(PROVIDER, "POST", path, told).status_code == 200
    ended = stage.consumer.connector.process(process.pid)
    assert (ended.state, ended.peer_pid, ended.reason) == ("TERMINATED", "urn:p:1", "enough")


def test_after_a_stop_the_desk_hears_of_everything_that_is_open() -> None:
    stage = pair(provider=reactions(Party.PROVIDER, DATASET, REQUESTED=["offer"]))
    process = stage.request()
    stage.provider.delayed.clear()  # it stopped before its reaction
    stage.provider.connector.resume()
    stage.provider.react()
    stage.carry()
    assert stage.states(process.pid) == ("OFFERED", "OFFERED")


def test_the_nth_reaction_answers_the_nth_time_and_only_while_the_state_lasts() -> None:
    stage = pair(provider=reactions(Party.PROVIDER, DATASET, REQUESTED=["offer", "terminate"]))
    process = stage.request()
    stage.provider.react()
    stage.carry()
    assert stage.states(process.pid) == ("OFFERED", "OFFERED")
    play(stage, process.pid, [("counter", 0)])
    stage.provider.react()
    stage.carry()
    assert stage.states(process.pid) == ("TERMINATED", "TERMINATED")
    late = stage.request()
    play(stage, late.pid, [("terminate", 0)])
    stage.provider.react()  # its time came after the consumer had ended it
    assert stage.states(late.pid) == ("TERMINATED", "TERMINATED")


def test_a_late_reaction_does_not_answer_a_later_visit() -> None:
    stage = pair(provider=reactions(Party.PROVIDER, DATASET, REQUESTED=["offer", ""]))
    process = stage.request()
    play(stage, process.pid, [("offer", 1), ("counter", 0)])
    stage.provider.react()  # of the first visit; now it is the second
    stage.carry()
    assert stage.states(process.pid) == ("REQUESTED", "REQUESTED")


def test_a_verb_of_the_other_kind_or_role_is_refused() -> None:
    stage = pair()
    process = stage.request()
    with pytest.raises(RequestInvalid, match="a negotiation cannot start"):
        stage.consumer.connector.act(process.pid, "start")
    with pytest.raises(TransitionForbidden):
        stage.consumer.connector.act(process.pid, "agree")


def test_the_catalogue_comes_in_pages_that_miss_and_repeat_nothing() -> None:
    table = {"datasets": {f"urn:d:{n}": [f"urn:o:{n}"] for n in range(5)}, "page": 2}
    side = pair(provider=profile_of(table)).provider
    asked = {"@context": [CONTEXT], "@type": "CatalogRequestMessage"}
    answer, seen = side.ask(CONSUMER, "POST", "/catalog/request", asked), []
    while True:
        seen += [one["@id"] for one in answer.json()["dataset"]]
        link = answer.headers.get("Link")
        if link is None:
            break
        url, _, relation = link.partition("; ")
        assert relation == 'rel="next"'
        answer = side.ask(CONSUMER, "GET", url.strip("<>").removeprefix(side.address))
    assert seen == [f"urn:d:{n}" for n in range(5)]
    assert side.said() == ["catalogue.read"] * 3


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(["offer", "accept", "agree", "verify", "finalize", "terminate", "counter"]),
                          st.integers(0, 1)), max_size=12))  # fmt: skip
def test_whatever_the_two_try_they_stand_in_the_same_state(acts: list[tuple[str, int]]) -> None:
    stage = pair()
    process = stage.request()
    for act in acts:
        with suppress(TransitionForbidden):
            play(stage, process.pid, [act])
        mine, theirs = stage.states(process.pid)
        assert mine == theirs
    allowed = sum(not said.startswith("!") for said in stage.provider.said())
    assert allowed == sum(stage.consumer.connector.process(process.pid).visits.values())  # one event a step


def test_the_profile_offers_what_was_asked_for() -> None:
    stage = pair(profile_of({"datasets": {DATASET: ["urn:o:0", OFFER]}}))
    process = stage.request()
    play(stage, process.pid, [("offer", 1)])
    assert stage.consumer.connector.process(process.pid).offer["@id"] == OFFER


def test_one_peer_does_not_fill_the_store() -> None:
    side = Side(PROVIDER, pair().provider.network, most_open=2)
    answers = [side.ask(CONSUMER, "POST", "/negotiations/request", ask(f"urn:c:{n}")) for n in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert side.ask(STRANGER, "POST", "/negotiations/request", ask()).status_code == 201


def test_every_message_has_its_event() -> None:
    assert set(connectors.EVENTS) == {*Message, *TransferMessage}
    assert set(connectors.EVENTS.values()) <= set(Action)
    assert len(set(connectors.EVENTS.values())) == len(connectors.EVENTS)


def test_a_desk_that_fails_fails_no_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = pair(provider=reactions(Party.PROVIDER, DATASET, REQUESTED=["offer"]))
    broken = [LogFailed("the disk is gone")]
    desk = stage.provider.connector._desk
    entered = desk.entered

    def fails_once(_: object, process: Process) -> None:
        if broken:
            raise broken.pop()
        entered(process)

    monkeypatch.setattr(type(desk), "entered", fails_once)
    process = stage.request()
    assert stage.states(process.pid) == ("REQUESTED", "REQUESTED")
    stage.provider.connector.resume()  # told again
    stage.provider.react()
    stage.carry()
    assert stage.states(process.pid)[1] == "OFFERED"


def test_patience_ends() -> None:
    patience = Patience(first_s=1.0, longest_s=4.0, refusals=3, give_up_s=10.0)
    assert [patience.pause(n).total_seconds() for n in range(4)] == [1, 2, 4, 4]
    assert [patience.spent(n) for n in range(6)] == [False, False, False, False, True, True]
