"""A reading is remembered once while it tells the same: by each certificate, of each contract, for ten minutes."""

import pytest

from hdex.node.identity import Identity
from hdex.node.looks import AGAIN_S, MOST, Looks

ANALYST = Identity("spiffe://hdex.test/buyer/heartline", "buyer", "heartline", "", 7)


class Watch:
    """A clock that a test sets, and what was remembered."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events = list[str]()
        self.looks = Looks(lambda: self.now)

    def read(self, subject: str, content: object, actor: Identity = ANALYST) -> int:
        self.looks.once(actor, subject, content, lambda: self.events.append(subject))
        return len(self.events)


def test_the_same_content_is_one_event_and_another_is_the_next() -> None:
    watch = Watch()
    assert [watch.read("c-1", {"state": "REQUESTED"}) for _ in range(5)] == [1] * 5
    assert watch.read("c-1", {"state": "AGREED"}) == 2
    assert watch.read("c-1", {"state": "REQUESTED"}) == 3
    assert watch.read("c-2", {"state": "REQUESTED"}) == 4


def test_whoever_keeps_looking_is_remembered_again() -> None:
    watch = Watch()
    watch.read("c-1", {})
    watch.now = AGAIN_S - 1
    assert watch.read("c-1", {}) == 1
    watch.now = AGAIN_S
    assert watch.read("c-1", {}) == 2


@pytest.mark.parametrize(
    "other",
    [
        Identity("spiffe://hdex.test/buyer/heartline/buyer_analyst", "buyer", "heartline", "buyer_analyst", 7),
        Identity("spiffe://hdex.test/buyer/heartline", "buyer", "heartline", "", 8),
    ],
)
def test_another_person_or_certificate_is_another_reader(other: Identity) -> None:
    watch = Watch()
    watch.read("c-1", {})
    assert watch.read("c-1", {}, other) == 2


def test_what_could_not_be_remembered_was_not_read() -> None:
    watch = Watch()

    def broken() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        watch.looks.once(ANALYST, "c-1", {}, broken)
    assert watch.read("c-1", {}) == 1


def test_what_is_known_is_bounded() -> None:
    watch = Watch()
    for number in range(MOST + 1):
        watch.read(f"c-{number}", {})
    assert watch.read("c-0", {}) == MOST + 2  # the oldest was forgotten: one event more, never one less
    assert watch.read(f"c-{MOST}", {}) == MOST + 2
