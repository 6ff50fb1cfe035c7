"""Idempotency keys: a call under a key happens once; whoever repeats it under the same key is given the first answer.

A call is noted durably before it runs and its answer before it is told, sealed, for LIFE. A key stands for one call of
one caller: with another message it is refused. Where a process died between the two, nobody knows what became of the
call: it runs again where a second run finds what the first has done, else its caller is told to look first.
"""

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from hdex.ledger.event import format_time
from hdex.node.documents import Document, Documents
from hdex.node.errors import KeyConflict, LimitExceeded, Problem, RemoteRefused, RequestInvalid, describe
from hdex.node.failpoint import failpoint
from hdex.node.recorder import REFUSALS

KIND = "idempotency key"
LIFE = timedelta(hours=24)
MOST_KEYS = 1000  # of one caller at a time
LONGEST_ANSWER = 2**20
FORGET_AT_ONCE = 100  # expired keys are removed so many at a time: a removal rewrites pages of the file
KEY = re.compile(r"[!-~]{1,128}")  # visible ASCII
IN_FLIGHT = "idempotency.in_flight"
FULL, NONE_KEPT = "idempotency.full", "idempotency.none_kept"
KEYLESS = frozenset({FULL, NONE_KEPT})  # refusals of the key alone: without one the call may be made
BEGUN, ANSWERED, REFUSED, UNKNOWN = "begun", "answered", "refused", "unknown"


class Repeat(Enum):
    """What may happen to the same message a second time."""

    ONCE = "once"  # it must not run twice, whatever came between
    RESUMED = "resumed"  # once under its key; again where a stop cut it short: it finds what was done and goes on
    AGAIN = "again"  # papers name what they are about: a second run answers with the record as it stands


ONCE, RESUMED, AGAIN = Repeat.ONCE, Repeat.RESUMED, Repeat.AGAIN
# Every unary call that changes something. Twice in full, a question would be paid twice and an address told twice; cut
# short, a question is answered alike (and is one more query), a search or script is the one that is kept, a new address
# ends the one before.
# A part of an invoice that is credited twice is money: no second run can know whether the first one was meant too.
WRITES: Mapping[str, Repeat] = {
    "HospitalAdminService.Approve": RESUMED,
    "HospitalAdminService.DecideRequest": RESUMED,
    "HospitalAdminService.Revoke": AGAIN,
    "HospitalAdminService.WithdrawConsent": RESUMED,
    "HospitalService.ConsiderRequest": AGAIN,
    "HospitalService.ConfirmAgreement": AGAIN,
    "HospitalService.AcknowledgeDelivery": RESUMED,
    "HospitalService.WithdrawRequest": AGAIN,
    "HospitalService.AttestDeletion": AGAIN,
    "HospitalService.Query": RESUMED,
    "HospitalService.OpenShare": RESUMED,
    "HospitalService.SubmitRun": RESUMED,
    "VettingService.ApplyVetting": AGAIN,
    "VettingService.DecideVetting": AGAIN,
    "AccessRequestService.SubmitAccessRequest": RESUMED,
    "AccessRequestService.DecideAccessRequest": RESUMED,
    "AccessRequestService.SendAccessMessage": RESUMED,
    "AccessRequestService.WithdrawAccessRequest": RESUMED,
    "BillingService.IssueInvoice": RESUMED,
    "BillingService.CreditInvoice": ONCE,
    "BillingService.ImportPayments": RESUMED,
    "BillingService.AnswerDispute": RESUMED,
    "InvoiceService.DisputeInvoice": RESUMED,
    "WitnessService.AddCheckpoint": AGAIN,
    "ExchangeService.Publish": AGAIN,
    "ExchangeService.Withdraw": AGAIN,
    "ExchangeService.Amend": AGAIN,
    "ExchangeService.SaveSearch": RESUMED,
    "ExchangeService.RemoveSearch": RESUMED,
    "ContractService.Request": AGAIN,
    "ContractService.SubmitDecision": AGAIN,
    "ContractService.SubmitAgreement": AGAIN,
    "ContractService.Verify": AGAIN,
    "ContractService.Revoke": AGAIN,
    "ContractService.WithdrawContract": AGAIN,
    "StudyService.Plan": AGAIN,
    "KeyHolderService.CreateKey": ONCE,
    "KeyHolderService.OpenSum": ONCE,
}


class Sealer(Protocol):
    """Seals small values before they reach a file: an answer may hold a secret that is told once."""

    def seal(self, value: bytes) -> bytes: ...
    def unseal(self, sealed: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call under a key. digest: of action and message, whichever door they came through."""

    caller: str  # SPIFFE id
    action: str
    key: str
    digest: str

    @property
    def name(self) -> str:
        """Under which the call is kept: two callers never share one."""
        return hashlib.sha256(f"{self.caller}\x00{self.key}".encode()).hexdigest()


def call_of(caller: str, action: str, key: str, message: bytes) -> Call:
    """Return a call under a key. Raises RequestInvalid for a key that is none."""
    if not KEY.fullmatch(key):
        raise RequestInvalid("an idempotency key is 1 to 128 visible ASCII characters, without spaces")
    digest = hashlib.sha256(action.encode() + b"\x00" + message).hexdigest()
    return Call(caller, action, key, digest)


class KeyBook:
    """The keys of one participant's callers. Safe for many threads of one process."""

    def __init__(self, documents: Documents, sealer: Sealer, clock: Callable[[], datetime]) -> None:
        self._documents = documents
        self._sealer = sealer
        self._clock = clock
        self._lock = threading.RLock()  # owns what follows
        self._running: set[str] = set()
        self._expires: dict[str, tuple[str, str]] = {}  # name -> caller, moment
        self._count: Counter[str] = Counter()  # keys of each caller
        for name in documents.keys(KIND):
            held = documents.get(KIND, name)
            self._note(name, self._sealer.unseal(bytes.fromhex(held["caller"])).decode(), held["expires"])

    def once(self, call: Call, run: Callable[[], bytes]) -> bytes:
        """Return what `run` returns, or raise what it raises; for a call that has been made, without running it.

        Raises KeyConflict where the key stands for another call, where that call is still under way, and where it is
        not known what became of it; LimitExceeded beyond MOST_KEYS.
        """
        held = self._begin(call)
        if held is not None:
            return self._again(held)
        try:
            answer = run()
        except Exception as error:
            self._failed(call, error)
            raise
        else:
            failpoint("idempotency.done")
            self._keep(call, ANSWERED if len(answer) <= LONGEST_ANSWER else UNKNOWN, answer)
            return answer
        finally:
            with self._lock:
                self._running.discard(call.name)

    def _begin(self, call: Call) -> Document | None:
        """Return the outcome of a call that was made; else note that it begins."""
        with self._lock:
            self._forget()
            held = self._held(call)
            if held is not None:
                return held
            if call.name not in self._expires and self._count[call.caller] >= MOST_KEYS:
                raise without_key(FULL, f"a caller has {MOST_KEYS} idempotency keys a day at most; call without one")
            self._running.add(call.name)
            try:
                self._keep(call, BEGUN, b"")
            except BaseException:
                self._running.discard(call.name)
                raise
        return None

    def _held(self, call: Call) -> Document | None:
        """Return the outcome kept under a key, None where the call is to run."""
        _, expires = self._expires.get(call.name, ("", ""))
        if expires <= format_time(self._clock()) and call.name not in self._running:
            return None
        held = self._documents.get(KIND, call.name)
        if held["digest"] != call.digest:
            raise KeyConflict(
                "idempotency.reused", "choose a new key for a new call", "this key stands for another call"
            )
        if call.name in self._running:
            raise KeyConflict(IN_FLIGHT, "ask again in a moment, under the same key", "the same call is under way")
        if held["state"] in (ANSWERED, REFUSED):
            return held
        if WRITES.get(call.action, ONCE) is not ONCE:
            return None
        raise KeyConflict(
            "idempotency.unknown",
            "look at what the call was about; if nothing has happened, call again under a new key",
            "the call was interrupted, and it is not known what became of it",
        )

    def _again(self, held: Document) -> bytes:
        kept = self._sealer.unseal(bytes.fromhex(held["sealed"]))
        if held["state"] == ANSWERED:
            return kept
        said = json.loads(kept)
        raise RemoteRefused(said["rule"], said["next_step"], said["message"], status=said["status"])

    def _failed(self, call: Call, error: Exception) -> None:
        """Keep a refusal as the answer it is; forget a call that a limit stopped; of anything else nobody knows."""
        problem = describe(error)
        if problem.status in REFUSALS:
            self._keep(call, REFUSED, encoded(problem))
        elif isinstance(error, LimitExceeded):
            self._drop([call.name])
        else:
            self._keep(call, UNKNOWN, b"")

    def _keep(self, call: Call, state: str, outcome: bytes) -> None:
        expires = format_time(self._clock() + LIFE)
        sealed = self._sealer.seal(outcome).hex() if state in (ANSWERED, REFUSED) else ""
        caller = self._sealer.seal(call.caller.encode()).hex()  # who acted stands nowhere in clear
        self._documents.put(
            KIND,
            call.name,
            {"caller": caller, "digest": call.digest, "expires": expires, "state": state, "sealed": sealed},
        )
        self._note(call.name, call.caller, expires)

    def _note(self, name: str, caller: str, expires: str) -> None:
        with self._lock:
            self._count[caller] += name not in self._expires
            self._expires[name] = (caller, expires)

    def _forget(self) -> None:
        """Remove keys whose time is over, once there are enough of them."""
        now = format_time(self._clock())
        over = [name for name, (_, expires) in self._expires.items() if expires <= now and name not in self._running]
        if len(over) >= FORGET_AT_ONCE or any(self._count[self._expires[name][0]] >= MOST_KEYS for name in over):
            self._drop(over)

    def _drop(self, names: list[str]) -> None:
        self._documents.remove(KIND, names)
        with self._lock:
            for name in names:
                caller, _ = self._expires.pop(name)
                self._count[caller] -= 1


def without_key(rule: str, message: str) -> LimitExceeded:
    """Return the refusal of a key whose call may be made without one."""
    error = LimitExceeded(message)
    error.rule, error.next_step = rule, "call without an idempotency key"
    return error


def encoded(problem: Problem) -> bytes:
    """Return a refusal as it is kept."""
    return json.dumps(asdict(problem), ensure_ascii=False).encode()
