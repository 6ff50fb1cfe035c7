"""What a page that renews itself is answered: itself under a tag, nothing where it is known, and where to sign in."""

import pytest
from tests.node.desk_stage import OFFICER, House, Seat, said

POLL = {"hx-request": "true"}
PATH = "/contracts/c-1"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    made = House(tmp_path_factory.mktemp("house"))
    made.market.finalized(made.market.stents())
    return made


def test_a_page_that_is_known_is_not_sent_again(house: House) -> None:
    seat = Seat(house, OFFICER).sign_in()
    first = seat.browser.get(PATH)
    known = {"if-none-match": first.headers["etag"]}
    again = seat.browser.get(PATH, headers=POLL | known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert again.headers["cache-control"] == "no-store"
    house.market.negotiations.revoke("c-1", "consent withdrawn", seat.who)
    changed = seat.browser.get(PATH, headers=POLL | known)
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]


def test_a_part_is_the_page_itself(house: House) -> None:
    """There is no answer of its own kind that a cache or the way back could take for the page."""
    seat = Seat(house, OFFICER).sign_in()
    assert seat.browser.get(PATH, headers=POLL).text == seat.page(PATH)


@pytest.mark.parametrize(("path", "way"), [(PATH, "/sign-in"), (f"/zh{PATH}", "/zh/sign-in")])
def test_without_a_session_a_page_learns_the_way_in_and_no_more(house: House, path: str, way: str) -> None:
    answer = Seat(house, OFFICER).browser.get(path, headers=POLL)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert f'href="{way}"' in answer.text
    assert "data-hx" not in answer.text
    assert len(said(f"<body{answer.text}")) < 100
