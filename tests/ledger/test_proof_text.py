"""One entry's proof as text: the published form, under 2 kB, believed by nobody who was not asked."""

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.evidence_story import NODES, log_signer, origin, trust, usual_consortium, witness_signer

from hdex.ledger.errors import NoteInvalid, ProofInvalid
from hdex.ledger.merkle import leaf_hash, node_hash
from hdex.ledger.note import Signer, add_signatures, cosign, format_checkpoint, sign_note
from hdex.ledger.proof_text import Included, format_proof, parse_proof, verify_proof
from hdex.ledger.trust import Trust, trust_from_document

# c2sp.org/tlog-proof: the example's lines, up to its checkpoint whose signatures are cut there
HEAD = """c2sp.org/tlog-proof@v1
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=
"""
SIGNER = Signer("example.com/fancylog", bytes(32))
CHECKPOINT = sign_note(
    "example.com/fancylog\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n", SIGNER
)  # the example's text
EXAMPLE = HEAD + "\n" + CHECKPOINT


def test_the_published_form_is_read_and_written_byte_for_byte() -> None:
    proof = parse_proof(EXAMPLE)
    assert (proof.index, len(proof.hashes), proof.checkpoint, proof.extra) == (73894, 5, CHECKPOINT, None)
    assert proof.hashes[0] == base64.b64decode("gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=")
    assert format_proof(proof.index, proof.hashes, proof.checkpoint) == EXAMPLE


def test_extra_data_has_its_line() -> None:
    text = EXAMPLE.replace("\nindex", "\nextra YWdlLXYxLjIuMQ==\nindex", 1)
    proof = parse_proof(text)
    assert proof.extra == b"age-v1.2.1"
    assert format_proof(proof.index, proof.hashes, proof.checkpoint, extra=proof.extra) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        EXAMPLE.replace("@v1", "@v2"),
        EXAMPLE.replace("index 7", "index 07"),
        EXAMPLE.replace("index 73894\n", ""),
        EXAMPLE.replace("index", "\nindex", 1),
        EXAMPLE.replace("PlQ=\n", "PlQ\n"),
        EXAMPLE.replace("gSKy", "?SKy"),
        EXAMPLE.replace(HEAD, HEAD + "AAAA\n"),
        EXAMPLE.replace("index", "extra ???\nindex", 1),
        EXAMPLE.replace(HEAD, HEAD + "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n" * 60),
        HEAD,
        HEAD + "\nno checkpoint\n",
        EXAMPLE + "x" * 400_000,
    ],
)
def test_another_text_is_no_proof(text: str) -> None:
    with pytest.raises((ProofInvalid, NoteInvalid)):
        parse_proof(text)


def test_every_entry_of_a_log_is_proven_offline_to_who_trusts_its_witnesses() -> None:
    consortium = usual_consortium()
    log = consortium.logs["hospital-a"]
    for index, entry in enumerate(log.entries(0, log.size)):
        text = format_proof(index, log.inclusion(index, log.size), log.cosigned()[-1])
        shown = verify_proof(text, leaf_hash(entry), trust())
        assert shown == Included(log.origin, index, log.size, ("hospital-b", "hospital-c"))


def proof_of(index: int) -> tuple[str, bytes]:
    log = usual_consortium().logs["hospital-a"]
    return format_proof(index, log.inclusion(index, log.size), log.cosigned()[-1]), log.entries(index, index + 1)[0]


def test_what_is_not_proven_is_refused() -> None:
    text, entry = proof_of(5)
    found = leaf_hash(entry)
    with pytest.raises(ProofInvalid, match="another root"):
        verify_proof(text, leaf_hash(entry + b" "), trust())
    for wrong in (text.replace("index 5", "index 4"), text.replace("index 5", "index 17")):
        with pytest.raises(ProofInvalid):
            verify_proof(wrong, found, trust())
    alone = sign_note(text.partition("\n\n")[2].partition("\n\n")[0] + "\n", log_signer("hospital-a"))
    with pytest.raises(NoteInvalid, match="quorum"):
        verify_proof(text.partition("\n\n")[0] + "\n\n" + alone, found, trust())
    foreign = trust_from_document({"policy": {"witnesses": 0}, "logs": [], "witnesses": []})
    with pytest.raises(NoteInvalid, match="no log of this origin"):
        verify_proof(text, found, foreign)


@given(st.data())
def test_no_changed_character_is_believed(data: st.DataObject) -> None:
    text, entry = PROOF
    at = data.draw(st.integers(0, len(text) - 1))
    mark = data.draw(st.sampled_from("AQgw=+/019\n "))
    changed = text[:at] + mark + text[at + 1 :]
    try:
        shown = verify_proof(changed, leaf_hash(entry), trust())
    except (ProofInvalid, NoteInvalid):
        return
    # only an unknown witness's line may change without being noticed: there is none in this text
    assert changed == text or set(shown.cosigners) < {"hospital-b", "hospital-c"}


PROOF = proof_of(11)


def wide_trust() -> Trust:
    witnesses = [f"hospital-{letter}" for letter in "bcde"]
    return trust_from_document(
        {
            "policy": {"witnesses": 4},
            "logs": [{"node": NODES[0], "origin": origin(NODES[0]), "log_key": log_signer(NODES[0]).public_key.hex()}],
            "witnesses": [{"name": name, "key": witness_signer(name).public_key.hex()} for name in witnesses],
        }
    )


@pytest.mark.parametrize("index", [0, 524_287, 999_998])
def test_at_a_million_entries_the_text_with_four_cosignatures_is_under_2_kb(index: int) -> None:
    """Any 20 hashes lead to some root: this one is signed, so nothing is built but the text."""
    size, leaf = 1_000_000, leaf_hash(b"entry")
    hashes: list[bytes] = []
    running, fn, sn = leaf, index, size - 1
    while sn:  # RFC 9162, section 2.1.3.2
        if fn & 1 or fn < sn:
            hashes.append(sha256(f"{len(hashes)}".encode()).digest())
            running = node_hash(hashes[-1], running) if fn & 1 else node_hash(running, hashes[-1])
        elif fn == sn:
            while not fn & 1 and sn:
                fn, sn = fn >> 1, sn >> 1
            continue
        fn, sn = fn >> 1, sn >> 1
    note = sign_note(format_checkpoint(origin(NODES[0]), size, running), log_signer(NODES[0]))
    now = usual_consortium().now
    note = add_signatures(note, [cosign(note, witness_signer(f"hospital-{letter}"), now) for letter in "bcde"])
    text = format_proof(index, hashes, note)
    assert len(hashes) <= 20
    assert len(text.encode()) < 2_000
    assert len(verify_proof(text, leaf, wide_trust()).cosigners) == 4
