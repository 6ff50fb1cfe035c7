"""The index of an exchange's contracts finds what reading every record finds, whatever came in which order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.node.contract_record import ContractRecord
from hdex.node.exchange.contract_index import ContractIndex

PEOPLE, STATES, PRODUCTS = ("a", "b", "c"), ("REQUESTED", "AGREED"), ("p", "q")
Said = tuple[int, str]  # number of the contract, state


def record(number: int, state: str) -> ContractRecord:
    """Return a contract whose parties and product follow from its number; a contract never changes them."""
    asked = {"consumer": PEOPLE[number % 3], "provider": PEOPLE[number % 2], "product": PRODUCTS[number % 5 % 2]}
    return ContractRecord(f"c-{number}", state, {"document": asked, "signatures": []})


def found(
    records: dict[str, ContractRecord], who: str, *, state: str, product: str, after: str, most: int | None
) -> list[str]:
    """Return what reading everything says."""
    fits = [
        name
        for name, one in records.items()
        if who in {one.asked["consumer"], one.asked["provider"]}
        and state in ("", one.state)
        and product in ("", one.asked["product"])
        and name > after
    ]
    return sorted(fits)[:most]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(STATES)), max_size=40),
    st.integers(0, 40),
    st.sampled_from(PEOPLE),
    st.sampled_from(("", *STATES)),
    st.sampled_from(("", *PRODUCTS)),
    st.sampled_from(("", "c-1", "c-17", "c-3", "c-9")),
    st.sampled_from((None, 0, 1, 4)),
)
def test_the_index_says_what_all_records_say(
    said: list[Said], first: int, who: str, state: str, product: str, after: str, most: int | None
) -> None:
    kept = dict[str, ContractRecord]()
    index = ContractIndex(lambda: list(kept.values()))
    for at, (number, now) in enumerate(said):
        if at == first:  # read in the middle of things: what follows is noted one by one
            index.of("a", state="", product="", after="", most=None)
        one = kept[f"c-{number}"] = record(number, now)
        index.take(one)
    query = {"state": state, "product": product, "after": after}
    assert index.of(who, **query, most=most) == found(kept, who, **query, most=most)
