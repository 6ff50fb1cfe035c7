"""What Flower's records carry: a question to a site, a contribution back, or a typed error."""

from collections.abc import Sequence

import rfc8785
from pydantic_core import from_json

from hdex.federated.apps.flower import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from hdex.federated.contribution import Contribution, parse_header
from hdex.federated.errors import (
    CiphertextInvalid,
    FederatedError,
    SiteLost,
    StudyInvalid,
    error_document,
    error_from_document,
)
from hdex.federated.regional import RegionalSum, Reply
from hdex.federated.standing import Standing

STYPES = {"paillier": "hdex.paillier.v1", "plain": "hdex.plain.v1"}
REGIONAL = "hdex.regional.v1"
OPENING_TYPE = "query.opening"  # Flower's message type of an opening
STANDING_TYPE = "query.standing"  # and of the question before the first round
ERROR_CODE = 500


def question_record(envelope: bytes, question: bytes) -> RecordDict:
    """Return the content of a round's message."""
    return RecordDict({"round": ConfigRecord({"study": envelope, "question": question})})


def read_question(content: RecordDict) -> tuple[bytes, bytes]:
    """Return (study envelope, question)."""
    record = content.config_records.get("round", ConfigRecord())
    study, question = record.get("study"), record.get("question")
    if not isinstance(study, bytes) or not isinstance(question, bytes):
        raise StudyInvalid("the message asks no round")
    return study, question


def contribution_record(contribution: Contribution, secure: str) -> RecordDict:
    """Return the content of a reply: the payload as an Array of our own stype, header and signature beside it."""
    payload = contribution.payload
    array = Array(dtype="bytes", shape=(len(payload),), stype=STYPES[secure], data=payload)
    header = ConfigRecord({"header": contribution.header.to_bytes(), "signature": contribution.signature})
    return RecordDict({"sum": ArrayRecord({"payload": array}), "contribution": header})


def read_contribution(content: RecordDict, secure: str) -> Contribution:
    """Return the contribution in a reply, its payload checked against the header."""
    try:
        array = content.array_records["sum"]["payload"]
        record = content.config_records["contribution"]
        header, signature = record["header"], record["signature"]
    except KeyError as error:
        raise CiphertextInvalid("the reply holds no contribution") from error
    if not isinstance(header, bytes) or not isinstance(signature, bytes):
        raise CiphertextInvalid("the reply's header or signature is not bytes")
    if array.stype != STYPES[secure]:
        raise CiphertextInvalid(f"the reply holds {array.stype}; {STYPES[secure]} is needed")
    contribution = Contribution(parse_header(header), signature, bytes(array.data))
    contribution.check()
    return contribution


def regional_record(answer: RegionalSum) -> RecordDict:
    """Return the content of a region's reply."""
    data = answer.to_bytes()
    return RecordDict({"sum": ArrayRecord({"payload": Array("bytes", (len(data),), REGIONAL, data)})})


def read_reply(content: RecordDict, secure: str) -> Reply:
    """Return what a site or a region answers, checked against its own digests."""
    array = content.array_records.get("sum", ArrayRecord()).get("payload")
    if array is not None and array.stype == REGIONAL:
        return RegionalSum.from_bytes(bytes(array.data))
    return read_contribution(content, secure)


def opening_record(envelope: bytes, number: int, contributions: Sequence[bytes]) -> RecordDict:
    """Return the content of a message that asks a share holder for its part of a round's sum."""
    asked = ConfigRecord({"study": envelope, "round": number, "contributions": list(contributions)})
    return RecordDict({"opening": asked})


def read_opening(content: RecordDict) -> tuple[bytes, int, list[bytes]]:
    """Return (study envelope, round, contributions)."""
    record = content.config_records.get("opening", ConfigRecord())
    study, number, contributions = record.get("study"), record.get("round"), record.get("contributions")
    if not isinstance(study, bytes) or type(number) is not int or not isinstance(contributions, list):
        raise StudyInvalid("the message asks for no part of a sum")
    return study, number, [one for one in contributions if isinstance(one, bytes)]


def standing_question(envelope: bytes) -> RecordDict:
    """Return the content of a message that asks how a site, or the sites of a region, stand towards a study."""
    return RecordDict({"standing": ConfigRecord({"study": envelope})})


def read_standing_question(content: RecordDict) -> bytes:
    """Return the study's envelope."""
    study = content.config_records.get("standing", ConfigRecord()).get("study")
    if not isinstance(study, bytes):
        raise StudyInvalid("the message asks about no study")
    return study


def study_envelope(content: RecordDict) -> bytes:
    """Return the study that a message is about, whatever it asks."""
    if "standing" in content.config_records:
        return read_standing_question(content)
    return read_question(content)[0]


def standing_record(said: Sequence[Standing]) -> RecordDict:
    """Return the content of a site's or region's answer."""
    return RecordDict({"standing": ConfigRecord({"said": rfc8785.dumps([one.document() for one in said])})})


def read_standings(content: RecordDict) -> list[Standing]:
    """Return what is said of each site."""
    said = content.config_records.get("standing", ConfigRecord()).get("said")
    try:
        found = from_json(said) if isinstance(said, bytes) else None
    except ValueError as error:
        raise StudyInvalid("the answer is not JSON") from error
    if not isinstance(found, list):
        raise StudyInvalid("the answer does not say how a site stands")
    return [Standing.from_document(one) for one in found]


def part_record(part: bytes) -> RecordDict:
    """Return the content of a share holder's reply."""
    return RecordDict({"part": ConfigRecord({"part": part})})


def read_part(content: RecordDict) -> bytes:
    """Return the part in a share holder's reply."""
    part = content.config_records.get("part", ConfigRecord()).get("part")
    if not isinstance(part, bytes):
        raise CiphertextInvalid("the reply holds no part of a sum")
    return part


def error_reply(error: FederatedError, message: Message) -> Message:
    """Return a reply that carries a typed error."""
    return Message(Error(ERROR_CODE, error_document(error)), reply_to=message)


def is_lost(message: Message) -> bool:
    """Return whether a reply says that a site below it did not answer."""
    return message.has_error() and isinstance(error_from_document(message.error.reason or ""), SiteLost)


def reply_error(message: Message, site: str) -> FederatedError:
    """Return the typed error a site's reply carries."""
    return error_from_document(message.error.reason or "", prefix=f"{site}: ")
