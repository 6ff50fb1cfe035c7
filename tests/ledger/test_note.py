"""Signed notes, checkpoints and cosignatures against what others publish and really run."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.ledger.errors import NoteInvalid
from hdex.ledger.note import (
    SignatureType,
    Signer,
    Verifier,
    add_signatures,
    cosign,
    format_checkpoint,
    note_hash,
    parse_checkpoint,
    parse_note,
    sign_note,
    verify_note,
)

VECTORS = json.loads((Path(__file__).resolve().parents[1] / "vectors/c2sp_notes.json").read_text())
NOW = datetime(2026, 11, 21, 22, tzinfo=UTC)
LOG = Signer("hdex/hospital-a/2026", bytes(range(32)))
WITNESS = Signer("hospital-b", bytes(range(1, 33)))
CHECKPOINT = sign_note(format_checkpoint(LOG.name, 7, bytes(32)), LOG)


def cosigner(signer: Signer) -> Verifier:
    return Verifier(signer.name, signer.public_key, SignatureType.COSIGNATURE_V1)


def test_the_published_note_is_made_byte_for_byte() -> None:
    vector = VECTORS["signed"]
    encoded = vector["skey"].removeprefix("PRIVATE+KEY+PeterNeumann+c74f20a3+")
    seed = base64.b64decode(encoded)[1:]
    assert sign_note(vector["text"], Signer("PeterNeumann", seed)) == vector["note"]


def test_the_published_note_verifies_under_its_published_key() -> None:
    vector = VECTORS["signed"]
    key = Verifier.from_vkey(vector["vkey"])
    assert [found.verifier for found in verify_note(vector["note"], [key])] == [key]


def test_a_checkpoint_of_a_running_log_verifies_with_three_running_witnesses() -> None:
    live = VECTORS["live"]
    log = Verifier(live["log"]["name"], base64.b64decode(live["log"]["spki"])[-32:])
    witnesses = [Verifier.from_vkey(vkey) for vkey in live["witnesses"]]
    found = verify_note(live["note"], [log, *witnesses])
    assert [one.verifier for one in found[1:]] == witnesses
    assert {one.time for one in found[1:]} == {datetime.fromtimestamp(0x6AAC1610, UTC)}
    assert parse_checkpoint(live["note"]).size == 114068855


def test_the_specifications_examples_parse_and_print_unchanged() -> None:
    for text in (VECTORS["poem"], VECTORS["checkpoint"]["note"], VECTORS["live"]["note"]):
        assert str(parse_note(text)) == text
    assert parse_note(VECTORS["poem"]).text.count("\n\n") == 1


def test_the_specifications_checkpoint_has_its_parts() -> None:
    vector = VECTORS["checkpoint"]
    found = parse_checkpoint(vector["note"])
    assert (found.origin, found.size, base64.b64encode(found.root).decode()) == (
        vector["origin"],
        vector["size"],
        vector["root"],
    )
    assert format_checkpoint(found.origin, found.size, found.root) == parse_note(vector["note"]).text
    assert int.from_bytes(parse_note(vector["note"]).signatures[1].signature[:8], "big") == vector["cosigned_at"]


def test_a_cosigned_checkpoint_names_log_witness_and_time() -> None:
    note = add_signatures(CHECKPOINT, [cosign(CHECKPOINT, WITNESS, NOW)])
    found = verify_note(note, [Verifier(LOG.name, LOG.public_key), cosigner(WITNESS)])
    assert [(one.verifier.name, one.time) for one in found] == [(LOG.name, None), (WITNESS.name, NOW)]
    assert note_hash(note) == note_hash(CHECKPOINT)
    assert add_signatures(note, [cosign(CHECKPOINT, WITNESS, NOW)]) == note


def test_a_cosignature_is_not_a_log_signature_of_the_same_key() -> None:
    note = add_signatures(CHECKPOINT, [cosign(CHECKPOINT, WITNESS, NOW)])
    with pytest.raises(NoteInvalid, match="no known key"):
        verify_note(note, [Verifier(WITNESS.name, WITNESS.public_key)])


def test_a_known_key_whose_signature_fails_condemns_the_note() -> None:
    forged = CHECKPOINT.replace("\n7\n", "\n8\n")
    with pytest.raises(NoteInvalid, match="does not hold"):
        verify_note(forged, [Verifier(LOG.name, LOG.public_key)])


def test_a_changed_cosignature_time_is_found() -> None:
    line = cosign(CHECKPOINT, WITNESS, NOW)
    signature = parse_note(CHECKPOINT + line).signatures[1]
    later = (int.from_bytes(signature.signature[:8], "big") + 1).to_bytes(8, "big") + signature.signature[8:]
    moved = type(signature)(signature.name, signature.key_id, later).line()
    with pytest.raises(NoteInvalid, match="does not hold"):
        verify_note(CHECKPOINT + moved, [cosigner(WITNESS)])


def test_signatures_of_unknown_keys_are_ignored() -> None:
    stranger = Signer(LOG.name, bytes(32))
    line = sign_note(parse_note(CHECKPOINT).text, stranger).rpartition("\n\n")[2]
    note = add_signatures(CHECKPOINT, [line])
    assert len(parse_note(note).signatures) == 2
    assert len(verify_note(note, [Verifier(LOG.name, LOG.public_key)])) == 1


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n\u2014 name AAAAAAA=",
        "text\n\n- name AAAAAAA=\n",
        "text\n\n\u2014 na+me AAAAAAA=\n",
        "text\n\n\u2014  AAAAAAA=\n",
        "text\n\n\u2014 name AAAA\n",
        "text\n\n\u2014 name AAAAAAB=\n",
        "text\n\n\u2014 name AAAA AAA=\n",
        "te\rxt\n\n\u2014 name AAAAAAA=\n",
        "te\ud800xt\n\n\u2014 name AAAAAAA=\n",
        "te\x00xt\n\n\u2014 name AAAAAAA=\n",
        "text\n\n" + "\u2014 name AAAAAAA=\n" * 65,
        "t" * 70000 + "\n\n\u2014 name AAAAAAA=\n",
    ],
)
def test_a_malformed_note_is_refused(note: str) -> None:
    with pytest.raises(NoteInvalid):
        parse_note(note)


@pytest.mark.parametrize(
    "text",
    [
        "origin\n7\n",
        "\n7\nAAAA\n",
        "origin\n07\n" + "A" * 43 + "=\n",
        "origin\n+7\n" + "A" * 43 + "=\n",
        "origin\n\u0667\n" + "A" * 43 + "=\n",
        "origin\n7\nAAAA\n",
        "origin\n7\n" + "A" * 42 + "B=\n",
        "origin\n7\n" + "A" * 43 + "\n",
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        parse_checkpoint(text)


def test_a_key_whose_hash_is_not_its_own_is_refused() -> None:
    for vkey in ("a+00000000+" + base64.b64encode(b"\x01" + bytes(32)).decode(), "a+00000000+AwEB", "a", "a+b+c"):
        with pytest.raises(NoteInvalid):
            Verifier.from_vkey(vkey)


def test_a_signer_never_prints_its_key() -> None:
    assert LOG.seed.hex() not in repr(LOG)
    assert "seed" not in repr(LOG)


@given(st.text(max_size=200))
def test_no_text_makes_the_parser_fail_otherwise(text: str) -> None:
    for parse in (parse_note, parse_checkpoint):
        try:
            parse(text)
        except NoteInvalid:
            continue


@given(
    st.binary(min_size=32, max_size=32), st.integers(0, 2**63 - 1), st.lists(st.text("ab +é", min_size=1), max_size=3)
)
def test_what_is_formatted_parses_to_the_same(root: bytes, size: int, extensions: list[str]) -> None:
    found = parse_checkpoint(sign_note(format_checkpoint("origin", size, root, extensions), LOG))
    assert (found.size, found.root, list(found.extensions)) == (size, root, extensions)
