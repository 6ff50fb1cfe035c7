"""Pseudonyms, shifts, escrow, linkage tokens, FF1 and the release register: CPU seconds, one thread of polars or ours.

Each answer is checked before it is measured. Peers run on the same values in the same run: the standard library's HMAC
row by row, pycryptodome's HMAC row by row, polars' own date arithmetic with durations.
"""

import hmac
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import polars as pl
from Crypto.Hash import HMAC, SHA256

from hdex.deid.escrow import derive_escrow
from hdex.deid.ff1 import FF1
from hdex.deid.linkage import Agreement, Elements, linkage_tokens
from hdex.deid.pseudonym import macs, pseudonyms, shift_dates, shift_days
from hdex.deid.register import compare, enter

SEED, REPEATS = 7, 3
IDS, CELLS, SLOW, FORMATTED, PERSONS = 500_000, 5_000_000, 4_000, 150_000, 50_000
KEY = bytes(range(32))
Rate = dict[str, float]
BARS = {"pseudonyms": 2e6, "shift_cells": 20e6, "ff1": 1e5}


def measure() -> dict[str, object]:
    """Return rates per CPU second (median, lowest, highest), ratios to peers and the bars."""
    numbers = np.random.default_rng(SEED).permutation(IDS)
    ids = pl.Series("id", [f"{number:018d}" for number in numbers])
    check(ids.head(100))
    found = {**keyed(ids), **formatted(ids.head(FORMATTED)), **reversible(ids.head(SLOW)), **shifts()}
    found |= {"linkage_patients": links(ids), "register_patients": registered(ids)}
    peers = {name: found.pop(name) for name in list(found) if name.startswith("peer_")}
    return {
        "per_cpu_second": found,
        "peers_per_cpu_second": peers,
        "ratio": {
            "pseudonyms_to_stdlib": found["pseudonyms"]["median"] / peers["peer_hmac_stdlib"]["median"],
            "pseudonyms_to_pycryptodome": found["pseudonyms"]["median"] / peers["peer_hmac_pycryptodome"]["median"],
            "shift_to_durations": found["shift_cells"]["median"] / peers["peer_duration_cells"]["median"],
        },
        "bars": {name: {"asked": bar, "met": found[name]["median"] >= bar} for name, bar in BARS.items()},
    }


def check(ids: pl.Series) -> None:
    """Stop unless digests are the standard library's and encryption comes back."""
    text = KEY.hex().encode()
    assert macs(ids, KEY).to_list() == [hmac.new(text, one.encode(), "sha256").hexdigest() for one in ids]
    assert FF1(KEY).decrypt(FF1(KEY).encrypt(ids)).to_list() == ids.to_list()


def keyed(ids: pl.Series) -> dict[str, Rate]:
    few = ids.head(SLOW).to_list()
    return {
        "pseudonyms": rate(lambda: pseudonyms(ids, KEY), len(ids)),
        "shift_days": rate(lambda: shift_days(ids, KEY, 365), len(ids)),
        "peer_hmac_stdlib": rate(lambda: [hmac.digest(KEY, one.encode(), "sha256") for one in few], SLOW),
        "peer_hmac_pycryptodome": rate(lambda: [HMAC.new(KEY, one.encode(), SHA256).digest() for one in few], SLOW),
    }


def formatted(ids: pl.Series) -> dict[str, Rate]:
    """18 digits, and 19 as of bank cards."""
    cards = "6" + ids
    return {
        "ff1": rate(lambda: FF1(KEY).encrypt(ids, tweak=b"id"), len(ids)),
        "ff1_card_19": rate(lambda: FF1(KEY).encrypt(cards, tweak=b"card"), len(ids)),
    }


def reversible(ids: pl.Series) -> dict[str, Rate]:
    escrow = derive_escrow(KEY, recipient="r", project="p", kind="patient")
    sealed = escrow.seal(ids)
    assert escrow.open(sealed).equals(ids)
    return {
        "escrow_seal": rate(lambda: escrow.seal(ids), len(ids)),
        "escrow_open": rate(lambda: escrow.open(sealed), len(ids)),
    }


def shifts() -> dict[str, Rate]:
    """Days of 5 million events by their patients' shift; the peer adds durations in polars."""
    random = np.random.default_rng(SEED)
    dates = pl.Series("d", random.integers(0, 20_000, CELLS, dtype=np.int32)).cast(pl.Date)
    days = pl.Series("s", random.integers(1, 365, CELLS, dtype=np.int32))

    def durations() -> pl.Series:
        return pl.select(pl.lit(dates) + pl.duration(days=pl.lit(days))).to_series()

    times = dates.cast(pl.Datetime("us"))
    assert shift_dates(dates, days).equals(durations())
    return {
        "shift_cells": rate(lambda: shift_dates(dates, days), CELLS),
        "shift_cells_timestamps": rate(lambda: shift_dates(times, days), CELLS),
        "peer_duration_cells": rate(durations, CELLS),
    }


def links(ids: pl.Series) -> Rate:
    """Both tokens of 50,000 persons."""
    few = ids.head(PERSONS)
    names = [f"Meier, {one.translate(str.maketrans('0123456789', 'abcdefghij'))}" for one in few]
    persons = pl.DataFrame({"patient": few, "ssn": few, "name": names, "born": "1980-01-01", "sex": "f"})
    agreement = Agreement("p", ("a", "b"), ("x", "y"), KEY)
    elements = Elements(other_id="ssn", name="name", birth_date="born", sex="sex")
    return rate(lambda: linkage_tokens(persons, elements, agreement, patient="patient"), PERSONS, repeats=3)


def registered(ids: pl.Series) -> Rate:
    """A release of 50,000 patients entered and compared with one before it."""
    few = ids.head(PERSONS)
    frame = pl.DataFrame({"age": few.str.slice(16, 2), "ward": few.str.slice(15, 1)})
    before = enter("1.0.0", few, frame, ["age", "ward"], k=5, key=KEY)

    def enter_and_compare() -> None:
        found = compare(enter("1.1.0", few, frame, ["age", "ward"], k=5, key=KEY), before)
        assert (found.left, found.joining) == (0, 0)

    return rate(enter_and_compare, PERSONS, repeats=3)


def rate(work: Callable[[], object], count: int, *, repeats: int = REPEATS) -> Rate:
    """Return how many per CPU second: median, lowest and highest of `repeats` runs after one to warm up."""
    work()
    rates = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        rates.append(count / (time.process_time() - began))
    return {"median": statistics.median(rates), "lowest": min(rates), "highest": max(rates)}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
