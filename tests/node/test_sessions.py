"""Signing in: codes that are good once, sessions that end, and what a thief of the memory would find."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hdex.node.errors import AccessDenied, ConfigInvalid
from hdex.node.identity import Identity
from hdex.node.sessions import (
    ABSOLUTE,
    CODE_BYTES,
    CODE_LIFE,
    IDLE,
    MOST_CODES,
    MOST_SESSIONS,
    TOKEN_BYTES,
    WINDOW,
    WRONG_IN_ALL,
    WRONG_PER_CLIENT,
    Issued,
    Sessions,
    digest_of,
    new_code,
    normal,
    require_csrf,
)

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
WHO = Identity("spiffe://hdex.test/hospital/a/privacy_officer", "hospital", "a", "privacy_officer", 7, NOW + ABSOLUTE)


class Desk:
    """Sessions with a clock and a deny list that a test turns."""

    def __init__(self) -> None:
        self.now = NOW
        self.denied: frozenset[int] | None = frozenset()
        self.sessions = Sessions(clock=lambda: self.now, denied=self.revoked)

    def revoked(self) -> frozenset[int]:
        if self.denied is None:
            raise ConfigInvalid("the deny list cannot be read")
        return self.denied

    def signed_in(self, who: Identity = WHO, *, former: str = "") -> str:
        return self.sessions.redeem(self.sessions.issue(who), "127.0.0.1", former=former).token

    def refused(self, code: str, client: str = "127.0.0.1") -> str:
        with pytest.raises(AccessDenied) as refusal:
            self.sessions.redeem(code, client)
        return refusal.value.rule


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_code_has_at_least_60_bits_and_a_token_256() -> None:
    assert CODE_BYTES * 8 >= 60
    assert TOKEN_BYTES * 8 == 256
    assert new_code(lambda n: bytes(range(n))) == "AAAQ-EAYE-AUDA-OCAJ"  # RFC 4648 base32 of 00..09
    assert len({new_code() for _ in range(100)}) == 100


def test_a_code_opens_one_session(desk: Desk) -> None:
    code = desk.sessions.issue(WHO)
    opened = desk.sessions.redeem(code, "127.0.0.1")
    assert desk.sessions.find(opened.token) == opened.session
    assert opened.session.identity == WHO
    assert desk.refused(code) == "code.wrong"


@pytest.mark.parametrize("written", [str.lower, lambda code: code.replace("-", ""), lambda code: f"  {code} "])
def test_a_code_is_read_as_people_write_it(desk: Desk, written: Callable[[str], str]) -> None:
    assert desk.sessions.redeem(written(desk.sessions.issue(WHO)), "x")


def test_a_code_lives_five_minutes(desk: Desk) -> None:
    code = desk.sessions.issue(WHO)
    desk.now += CODE_LIFE
    assert desk.refused(code) == "code.wrong"


def test_a_code_made_elsewhere_lives_no_longer(desk: Desk) -> None:
    desk.sessions.admit(Issued(digest_of(normal("ABCD")), WHO, NOW + timedelta(days=1)))
    desk.now += CODE_LIFE
    assert desk.refused("ABCD") == "code.wrong"


def test_the_oldest_codes_go_when_too_many_wait(desk: Desk) -> None:
    codes = [desk.sessions.issue(WHO) for _ in range(MOST_CODES + 1)]
    assert desk.refused(codes[0]) == "code.wrong"
    assert desk.sessions.redeem(codes[1], "x")


def test_a_client_that_guesses_is_shut_out_even_with_a_true_code(desk: Desk) -> None:
    code = desk.sessions.issue(WHO)
    for _ in range(WRONG_PER_CLIENT):
        assert desk.refused("AAAA") == "code.wrong"
    assert desk.refused(code) == "code.attempts"
    assert desk.sessions.redeem(code, "another")  # nobody else is


def test_many_clients_that_guess_shut_everybody_out_for_a_while(desk: Desk) -> None:
    for number in range(WRONG_IN_ALL):
        desk.refused("AAAA", f"client-{number}")
    assert desk.refused(desk.sessions.issue(WHO), "new") == "code.attempts"
    desk.now += WINDOW
    assert desk.sessions.redeem(desk.sessions.issue(WHO), "new")


def test_a_session_ends_when_idle(desk: Desk) -> None:
    token = desk.signed_in()
    desk.now += IDLE - timedelta(seconds=1)
    assert desk.sessions.find(token)
    desk.now += IDLE
    assert desk.sessions.find(token) is None


def test_a_page_that_renews_itself_does_not_keep_a_session_from_lying_idle(desk: Desk) -> None:
    token = desk.signed_in()
    desk.now += IDLE - timedelta(seconds=1)
    assert desk.sessions.find(token, is_person=False)
    desk.now += timedelta(seconds=1)
    assert desk.sessions.find(token, is_person=False) is None


def test_a_session_ends_when_old_however_busy(desk: Desk) -> None:
    token = desk.signed_in()
    while desk.now - NOW < ABSOLUTE - timedelta(minutes=20):
        desk.now += timedelta(minutes=20)
        assert desk.sessions.find(token) or desk.now - NOW >= ABSOLUTE
    desk.now = NOW + ABSOLUTE
    assert desk.sessions.find(token) is None


def test_a_session_ends_when_the_certificate_is_denied(desk: Desk) -> None:
    token, code = desk.signed_in(), desk.sessions.issue(WHO)
    desk.denied = frozenset({7})
    assert desk.sessions.find(token) is None
    assert desk.refused(code) == "session.denied"
    desk.denied = frozenset()
    assert desk.sessions.find(token) is None  # it does not come back


def test_a_session_ends_when_the_certificate_has_expired(desk: Desk) -> None:
    token = desk.signed_in(replace(WHO, not_after=NOW + timedelta(minutes=10)))
    desk.now += timedelta(minutes=11)
    assert desk.sessions.find(token) is None


def test_nobody_is_let_in_while_the_deny_list_cannot_be_read(desk: Desk) -> None:
    token = desk.signed_in()
    code = desk.sessions.issue(WHO)
    desk.denied = None
    assert desk.refused(code) == "session.deny_list"
    assert desk.sessions.find(token) is None


def test_a_sign_in_makes_a_new_token_and_ends_the_one_before(desk: Desk) -> None:
    former = desk.signed_in()
    token = desk.signed_in(former=former)
    assert token != former
    assert desk.sessions.find(former) is None
    desk.signed_in(former="planted")
    assert desk.sessions.find("planted") is None


def test_signing_out_ends_it(desk: Desk) -> None:
    token = desk.signed_in()
    desk.sessions.end(token)
    assert desk.sessions.find(token) is None


def test_only_digests_are_kept_and_nothing_secret_is_shown(desk: Desk) -> None:
    code = desk.sessions.issue(WHO)
    opened = desk.sessions.redeem(desk.sessions.issue(WHO), "x")
    held = repr(vars(desk.sessions)) + repr(opened)
    for secret in (code, normal(code), opened.token, opened.session.csrf):
        assert secret not in held
    assert hashlib.sha256(opened.token.encode()).digest() in desk.sessions._sessions


def test_the_oldest_session_goes_when_too_many_are_open(desk: Desk) -> None:
    tokens = [desk.signed_in() for _ in range(MOST_SESSIONS + 1)]
    assert desk.sessions.find(tokens[0]) is None
    assert desk.sessions.find(tokens[1])


@given(st.text(max_size=80))
def test_no_text_is_the_token_of_a_form(text: str) -> None:
    sessions = Desk().sessions
    opened = sessions.redeem(sessions.issue(WHO), "x")
    if text != opened.session.csrf:
        with pytest.raises(AccessDenied):
            require_csrf(opened.session, text)
    require_csrf(opened.session, opened.session.csrf)


PICK = st.integers(0, 15)


class Story(RuleBasedStateMachine):
    """Whatever happens in whatever order, exactly those are signed in who should be."""

    @initialize()
    def begin(self) -> None:
        self.desk = Desk()
        self.codes: dict[str, datetime] = {}
        self.live: dict[str, tuple[datetime, datetime]] = {}  # token -> opened, seen

    @rule()
    def issue(self) -> None:
        self.codes[self.desk.sessions.issue(replace(WHO, not_after=None))] = self.desk.now
        self.codes = dict(list(self.codes.items())[-MOST_CODES:])

    @rule(which=PICK)
    def redeem(self, which: int) -> None:
        if not self.codes:
            return
        code = list(self.codes)[which % len(self.codes)]
        made = self.codes.pop(code)
        if self.desk.now - made < CODE_LIFE:
            token = self.desk.sessions.redeem(code, "x").token
            self.live[token] = (self.desk.now, self.desk.now)
        else:
            with pytest.raises(AccessDenied):
                self.desk.sessions.redeem(code, f"client-{code}")

    @rule(minutes=st.integers(1, 40))
    def wait(self, minutes: int) -> None:
        self.desk.now += timedelta(minutes=minutes)

    @rule(which=PICK)
    def use(self, which: int) -> None:
        if not self.live:
            return
        token = list(self.live)[which % len(self.live)]
        opened, seen = self.live[token]
        is_live = self.desk.now - seen < IDLE and self.desk.now - opened < ABSOLUTE
        assert (self.desk.sessions.find(token) is not None) == is_live
        if is_live:
            self.live[token] = (opened, self.desk.now)
        else:
            del self.live[token]

    @rule(which=PICK)
    def sign_out(self, which: int) -> None:
        if self.live:
            token = list(self.live)[which % len(self.live)]
            self.desk.sessions.end(token)
            del self.live[token]
            assert self.desk.sessions.find(token) is None

    @invariant()
    def a_guess_opens_nothing(self) -> None:
        assert self.desk.sessions.find("guess") is None


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
