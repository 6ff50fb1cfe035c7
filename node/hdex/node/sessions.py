"""Signing in to pages: one-time codes for an identity, sessions, and the token that a page's forms carry. Pure.

A code is good once and for minutes; a session ends when it lies idle, when it is old, at sign-out, and when the
certificate of whose it is is denied or has expired. Of codes and tokens only the SHA-256 is kept.
"""

import base64
import hmac
import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256

from hdex.node.errors import AccessDenied, ConfigInvalid
from hdex.node.identity import Identity

CODE_BYTES = 10  # 80 bits, 16 letters
TOKEN_BYTES = 32
CODE_LIFE = timedelta(minutes=5)
IDLE, ABSOLUTE = timedelta(minutes=30), timedelta(hours=8)
WINDOW = timedelta(minutes=5)
WRONG_PER_CLIENT, WRONG_IN_ALL = 10, 50  # codes in a window; beyond them even a true one is refused
MOST_CODES, MOST_SESSIONS = 16, 64
AGAIN = "ask for a new code: hdex node desk-code, at a buyer's hdex buy desk-code"
Randomness = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Issued:
    """A code that was handed out: its digest, for whom, until when."""

    digest: bytes = field(repr=False)
    identity: Identity
    expires: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """One person's signed-in browser. The csrf token stands in that person's own pages only."""

    identity: Identity
    csrf: str = field(repr=False)
    opened: datetime
    seen: datetime


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session and the token that the browser keeps."""

    token: str = field(repr=False)
    session: Session


class Attempts:
    """Counts wrong codes in a window, per client and in all. What it remembers is bounded by the bound in all."""

    def __init__(self) -> None:
        self._wrong: deque[tuple[datetime, str]] = deque()

    def require_left(self, client: str, now: datetime) -> None:
        """Raise AccessDenied where too many codes were wrong of late, by this client or by all."""
        while self._wrong and now - self._wrong[0][0] >= WINDOW:
            self._wrong.popleft()
        mine = sum(who == client for _, who in self._wrong)
        if mine >= WRONG_PER_CLIENT or len(self._wrong) >= WRONG_IN_ALL:
            minutes = int(WINDOW.total_seconds() // 60)
            raise AccessDenied(
                "code.attempts", f"wait {minutes} minutes, then {AGAIN}", "too many codes were wrong of late"
            )

    def wrong(self, client: str, now: datetime) -> None:
        """Count a wrong code."""
        self._wrong.append((now, client))


class Sessions:
    """The codes and sessions of one process; every thread may ask.

    denied: serials of certificates that are revoked now; where it cannot be read, nobody is let in.
    """

    def __init__(
        self, *, clock: Callable[[], datetime], denied: Callable[[], frozenset[int]],
        randomness: Randomness = secrets.token_bytes,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._denied = denied
        self._random = randomness
        self._lock = threading.Lock()  # guards what follows
        self._codes: list[Issued] = []
        self._sessions: dict[bytes, Session] = {}  # digest of the token -> session, oldest first
        self._attempts = Attempts()

    def issue(self, identity: Identity) -> str:
        """Return a new one-time code for an identity."""
        code = new_code(self._random)
        self.admit(Issued(digest_of(normal(code)), identity, self._clock() + CODE_LIFE))
        return code

    def admit(self, issued: Issued) -> None:
        """Keep a code that was made elsewhere for this process; it lives no longer than a code may."""
        latest = self._clock() + CODE_LIFE
        with self._lock:
            kept = replace(issued, expires=min(issued.expires, latest))
            self._codes = [*self._codes, kept][-MOST_CODES:]

    def redeem(self, code: str, client: str, *, former: str = "") -> Opened:
        """Open a session with a new token and end the one the browser had. Raises AccessDenied.

        former: the token the browser showed. It is never adopted, so nobody can plant one before a sign-in.
        """
        now = self._clock()
        with self._lock:
            self._attempts.require_left(client, now)
            self._codes = [one for one in self._codes if now < one.expires]
            asked, found = digest_of(normal(code)), None
            for one in self._codes:  # every one is compared: the time says nothing of which was near
                if hmac.compare_digest(one.digest, asked):
                    found = one
            if found is None:
                self._attempts.wrong(client, now)
                raise AccessDenied("code.wrong", AGAIN, "the code is wrong, was used, or is older than five minutes")
            self._codes.remove(found)
            self._require_standing(found.identity, now)
            self._sessions.pop(digest_of(former), None)
            return self._open(found.identity, now)

    def open(self, identity: Identity, *, former: str = "") -> Opened:
        """Open a session for whom a certificate has shown to be here. Raises AccessDenied for one that does not stand.

        former: as in `redeem`.
        """
        now = self._clock()
        with self._lock:
            self._require_standing(identity, now)
            self._sessions.pop(digest_of(former), None)
            return self._open(identity, now)

    def find(self, token: str, *, is_person: bool = True) -> Session | None:
        """Return the live session of a token, None where there is none any more.

        is_person: somebody asked, so it was seen now. A page that renews itself keeps no session from lying idle.
        """
        now, key = self._clock(), digest_of(token)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            if now - session.seen >= IDLE or now - session.opened >= ABSOLUTE or not self._stands(session, now):
                del self._sessions[key]
                return None
            if is_person:
                session = self._sessions[key] = replace(session, seen=max(session.seen, now))
            return session

    def end(self, token: str) -> None:
        """Sign out: the token is worth nothing from now on."""
        with self._lock:
            self._sessions.pop(digest_of(token), None)

    def _open(self, identity: Identity, now: datetime) -> Opened:
        token = letters(self._random(TOKEN_BYTES))
        session = Session(identity, letters(self._random(TOKEN_BYTES)), now, now)
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[digest_of(token)] = session
        return Opened(token, session)

    def _stands(self, session: Session, now: datetime) -> bool:
        try:
            self._require_standing(session.identity, now)
        except AccessDenied:
            return False
        return True

    def _require_standing(self, identity: Identity, now: datetime) -> None:
        try:
            denied = self._denied()
        except ConfigInvalid as error:
            raise AccessDenied("session.deny_list", "mend the deny list", "the deny list cannot be read") from error
        if identity.serial in denied:
            raise AccessDenied("session.denied", "ask for a new certificate", "the certificate is revoked")
        if identity.not_after is not None and now > identity.not_after:
            raise AccessDenied("session.expired", "renew the certificate", "the certificate has expired")


def require_csrf(session: Session, given: str) -> None:
    """Raise AccessDenied unless a form carries the token of this session."""
    if not hmac.compare_digest(session.csrf.encode(), given.encode("utf-8", "replace")):
        raise AccessDenied(
            "session.form", "open the page again and send its own form", "the form is not of this session"
        )


def new_code(randomness: Randomness = secrets.token_bytes) -> str:
    """Return a code as a person reads it: four groups of four letters and digits."""
    text = base64.b32encode(randomness(CODE_BYTES)).decode()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def normal(code: str) -> str:
    """Return a code as it is compared: however a person wrote its letters, dashes and spaces."""
    return "".join(mark for mark in code[:64].upper() if mark.isalnum())


def digest_of(secret: str) -> bytes:
    """Return what is kept of a code or a token."""
    return sha256(secret.encode("utf-8", "replace")).digest()


def letters(value: bytes) -> str:
    """Return random bytes as a cookie or a form carries them."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
