"""What only the demo may see: the raw rows of all hospitals, to compare what came out with what is inside."""

import json
import time
from typing import Any

import polars as pl

from hdex.federated.disclosure import Breach, Limits, local_breaches
from hdex.node import directory as directories
from hdex.node.demo.identifying import Identifiers, identifying
from hdex.node.demo.memory import DATASET, Memory
from hdex.node.demo.setting import HOSPITALS, TRUST_DOMAIN, Setting
from hdex.node.directory import Directory
from hdex.node.documents import SqliteDocuments
from hdex.node.hospital.datasets import INGEST, PATIENT, PERSONS, VIEW
from hdex.node.hospital.populations import KIND as POPULATION
from hdex.node.hospital.populations import MEMBER, THRESHOLD
from hdex.node.hospital.released import release_name
from hdex.node.vault import Vault
from hdex.node.views import load_view

SAID_WITHIN_S = 3.0


def directory_of(setting: Setting) -> Directory:
    """Return the consortium's directory."""
    return directories.load(setting.folder / "directory.json", setting.authority.pem, trust_domain=TRUST_DOMAIN)


def server_says(setting: Setting, participant: str) -> str:
    """Return why a participant's server refused the last handshake, from its own log; "" when it does not say."""
    given_up = time.monotonic() + SAID_WITHIN_S
    while not (why := last_refusal(setting, participant)) and time.monotonic() < given_up:
        time.sleep(0.05)  # the peer sees the closed line before the server has written why
    return why


def last_refusal(setting: Setting, participant: str) -> str:
    lines = (setting.folder / "logs" / f"{participant}.log").read_text(encoding="utf-8").splitlines()
    for line in reversed(lines):
        if "handshake refused" in line and line.startswith("{") and line.endswith("}"):
            return str(json.loads(line).get("reason", ""))
    return ""


def vault(setting: Setting, hospital: str) -> Vault:
    """Return a hospital's vault, opened with its keys."""
    return Vault(setting.home(hospital) / "data" / "vault", setting.keys[hospital])


def raw(setting: Setting, hospital: str, kind: str, dataset: str = DATASET) -> pl.DataFrame:
    """Return a hospital's raw rows or persons."""
    facts = SqliteDocuments(setting.home(hospital) / "data" / "documents.db").get(INGEST, dataset)
    return vault(setting, hospital).read_frame(dataset, f"{kind}-{str(facts['export_digest'])[:16]}")


def released_frame(setting: Setting, hospital: str, facts: dict[str, Any]) -> pl.DataFrame:
    """Return a released version as the hospital keeps it."""
    return vault(setting, hospital).read_frame(DATASET, release_name(str(facts["version"])))


def altered(delivered: pl.DataFrame, released: pl.DataFrame) -> int:
    """Return how many cells of the delivered product differ from the released one."""
    if delivered.columns != released.columns or delivered.height != released.height:
        return delivered.height * delivered.width
    return sum(int((~delivered[name].eq_missing(released[name])).sum()) for name in released.columns)


def consented(memory: Memory, hospital: str) -> pl.DataFrame:
    """Return a hospital's raw rows of its newest population."""
    rows = raw(memory.setting, hospital, VIEW)
    newest = SqliteDocuments(memory.setting.home(hospital) / "data" / "documents.db").all(POPULATION)
    name = [str(row["name"]) for row in newest if row["dataset"] == DATASET][-1]
    members = vault(memory.setting, hospital).read_frame(DATASET, name)[MEMBER]
    return rows.filter(pl.col(PATIENT).is_in(members.to_list()))


def study_rows(memory: Memory) -> dict[str, pl.DataFrame]:
    """Return the raw rows each hospital's newest study covers."""
    return {hospital: consented(memory, hospital) for hospital in HOSPITALS}


def somebody(memory: Memory, hospital: str) -> str:
    """Return one consented patient with complete covariates, the same at every run."""
    rows = consented(memory, hospital).drop_nulls([*memory.features, memory.target])
    return str(rows[PATIENT].sort()[0])


def affordable(memory: Memory, frames: dict[str, pl.DataFrame]) -> tuple[str, list[str], dict[str, str]]:
    """Return (outcome, covariates that every site's disclosure floor allows, covariate left out -> where and why).

    The second study asks the same with a crowd or whole classes fewer at the first hospital: the floor must hold then.
    """
    view = load_view(memory.plot.view)
    features, left_out = list(view.features), dict[str, str]()
    while len(features) > 1 and (why := refusals(frames, features, view.target)):
        left_out[features.pop()] = why
    return view.target, features, left_out


def refusals(frames: dict[str, pl.DataFrame], features: list[str], target: str) -> str:
    """Return which sites would refuse this many covariates and by which rule, nothing where none would."""
    return "; ".join(
        f"{hospital}: {found[0].rule}, {found[0].detail}"
        for hospital, frame in frames.items()
        if (found := breaches(frame, features, target, room=2 * THRESHOLD if hospital == HOSPITALS[0] else 0))
    )


def breaches(frame: pl.DataFrame, features: list[str], target: str, *, room: int) -> list[Breach]:
    """Return the rules by which a site would refuse these covariates with `room` rows fewer; no count is told."""
    complete = frame.select([*features, target]).drop_nulls()
    events = int(complete[target].sum())
    rarer = min(events, complete.height - events)
    return local_breaches(complete.height - room, rarer - room, len(features) + 1, Limits())


def identifiers(memory: Memory) -> Identifiers:
    """Return what must not be found outside: as planted by the generator, or as the exports' person tables say."""
    if memory.truth is not None:
        return Identifiers(memory.truth.identifiers())
    return identifying(pl.concat([raw(memory.setting, hospital, PERSONS) for hospital in HOSPITALS]))
