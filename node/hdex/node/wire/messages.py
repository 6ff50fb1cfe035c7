"""Our values <-> protocol messages: each turned in one place."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

from hdex.ledger.document import load
from hdex.node.contract_record import ContractRecord
from hdex.node.documents import Document
from hdex.node.errors import RequestInvalid, SignatureInvalid
from hdex.node.signed import Envelope
from hdex.proto.v1 import common_pb2

MAX_DEPTH = 32  # a manifest with its preview has nine levels
Say = Callable[[str, str], None]
Run = Callable[[Say], Document]
Said = SimpleQueue[common_pb2.Progress | BaseException | None]
LOOK_S = 1.0


def pack(envelope: Envelope) -> common_pb2.Envelope:
    """Return a signed document as its message."""
    return common_pb2.Envelope(json=dump(envelope))


def unpack(message: common_pb2.Envelope) -> Envelope:
    """Return the signed document of a message. Raises SignatureInvalid when it is not one at all."""
    return read_envelope(message.json)


def read_envelope(data: bytes) -> Envelope:
    """Return the signed document in these bytes, unverified. Raises SignatureInvalid when it is not one at all."""
    try:
        envelope = load(data, max_depth=MAX_DEPTH)
    except ValueError as error:
        raise SignatureInvalid("the envelope is not JSON") from error
    if not isinstance(envelope, dict) or not isinstance(envelope.get("document"), dict):
        raise SignatureInvalid("the envelope holds no document")
    return envelope


def read_object(data: bytes) -> Document:
    """Return the JSON object in these bytes. Raises RequestInvalid."""
    try:
        document = load(data, max_depth=MAX_DEPTH)
    except ValueError as error:
        raise RequestInvalid("the message holds no JSON") from error
    if not isinstance(document, dict):
        raise RequestInvalid("the message holds no JSON object")
    return document


def dump(document: Document | Envelope | list[Any]) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=False).encode()


def status_message(record: ContractRecord) -> common_pb2.ContractStatus:
    """Return a contract record as its message."""
    return common_pb2.ContractStatus(
        contract_id=record.contract_id,
        state=record.state,
        rule=record.rule,
        next_step=record.next_step,
        request=dump(record.request),
        agreement=dump(record.agreement) if record.agreement else b"",
        grant_id=record.grant_id,
        revoked=record.revoked,
    )


def record_of(message: common_pb2.ContractStatus) -> ContractRecord:
    """Return the contract record of a message."""
    return ContractRecord(
        contract_id=message.contract_id,
        state=message.state,
        request=read_envelope(message.request),
        rule=message.rule,
        next_step=message.next_step,
        agreement=read_envelope(message.agreement) if message.agreement else None,
        grant_id=message.grant_id,
        revoked=message.revoked,
    )


def progress(run: Run, alive: Callable[[], bool] = lambda: True) -> Iterator[common_pb2.Progress]:
    """Run long work in a thread and yield its steps as they are said, its document last; its error is raised here.

    Once the caller is no longer `alive` it ends, and with it the worker that serves the call; the work goes on.
    """
    said: Said = SimpleQueue()
    began = time.monotonic()

    def say(step: str, text: str) -> None:
        said.put(common_pb2.Progress(step=step, text=text, seconds=time.monotonic() - began))

    def work() -> None:
        try:
            document = dump(run(say))
            said.put(common_pb2.Progress(step="done", seconds=time.monotonic() - began, document=document))
            said.put(None)
        except BaseException as error:  # handed to the caller's thread, where it is raised again
            said.put(error)

    threading.Thread(target=work, name="long-work", daemon=True).start()
    while (message := next_of(said, alive)) is not None:
        if isinstance(message, BaseException):
            raise message
        yield message


def next_of(said: Said, alive: Callable[[], bool]) -> common_pb2.Progress | BaseException | None:
    """Return what is said next, None at the end or once nobody listens any more."""
    while alive():
        try:
            return said.get(timeout=LOOK_S)
        except Empty:
            continue
    return None
