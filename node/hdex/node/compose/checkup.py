"""Which checks a participant of each kind needs, and what can be told of it without asking it."""

import socket
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from hdex.node import doctor
from hdex.node.compose.access import POLICY, policy_of
from hdex.node.compose.standing import now
from hdex.node.config import (
    BuyerConfig,
    ChainConfig,
    ChainPeer,
    ExchangeConfig,
    HospitalConfig,
    IdentityFiles,
    KeyholderConfig,
    Listen,
    Peer,
    RegionConfig,
)
from hdex.node.databases import reading
from hdex.node.doctor import FAIL, OK, WARN, Check, Finding, finding
from hdex.node.errors import IdentityRefused, PeerUnavailable
from hdex.node.hospital.staff import read_staff
from hdex.node.identity import server_name
from hdex.node.wire.probe import ask_chain, is_healthy, is_taken, shake

Member = HospitalConfig | ExchangeConfig | KeyholderConfig | RegionConfig | BuyerConfig
NOBODY = "doctor.invalid"  # a name that can never resolve: RFC 6761


def check_up(config: Member | ChainConfig, kind: str) -> list[Finding]:
    """Return the findings of every check of this participant, in the order of the ground it stands on."""
    checks = chain_checks(config) if isinstance(config, ChainConfig) else member_checks(config, kind)
    outside: tuple[str, Check] = ("egress", partial(doctor.egress, lambda: socket.getaddrinfo(NOBODY, 443)))
    return list(doctor.examined([*checks, outside, ("telemetry", doctor.telemetry)]))


def member_checks(config: Member, kind: str) -> list[tuple[str, Check]]:
    """Return the checks of a participant that the directory lists."""
    files, domain = config.identity, config.trust_domain
    listen = None if isinstance(config, BuyerConfig) else config.listen
    checks: list[tuple[str, Check]] = [
        ("file", partial(doctor.files, files)),
        ("certificate", partial(doctor.certificate, files, f"spiffe://{domain}/{kind}/{config.id}", now())),
        (
            "directory",
            partial(doctor.listed, files, config.id, trust_domain=domain, endpoint=listen.grpc if listen else ""),
        ),
        ("keys", partial(doctor.fingerprints, files, config.id, domain)),
    ]
    if isinstance(config, HospitalConfig):
        checks += [("staff", partial(staff, config)), ("calendar", partial(calendar, config))]
    checks.append(("data", partial(doctor.data, config.data_dir)))
    if listen is not None:
        pages = listen.http_port if isinstance(config, ExchangeConfig) else 0
        own_name = server_name(config.id, domain)
        checks.append(("port", partial(port, listen, files, own_name, pages=pages)))
        if listen.api_port:
            checks.append(("port", partial(api, listen, files, own_name)))
    checks += [("peer", partial(peer, one, files, domain)) for one in peers_of(config)]
    if config.chain is not None:
        checks.append(("chain", partial(chain, config.chain)))
    return checks


def chain_checks(config: ChainConfig) -> list[tuple[str, Check]]:
    """Return the checks of the embedded chain."""
    url = f"http://{config.listen.http}"
    return [
        ("data", partial(doctor.data, config.data_dir)),
        ("chain", partial(own_chain, url, config)),
    ]


def peers_of(config: Member) -> list[Peer]:
    """Return everybody this participant calls, once each."""
    named = [getattr(config, name, None) for name in ("exchange", "keyholder", "region")]
    all_named = [*(one for one in named if one is not None), *getattr(config, "witness_peers", ())]
    return list({one.id: one for one in all_named}.values())


def staff(config: HospitalConfig) -> Iterator[Finding]:
    """The people who sign: their public keys are readable."""
    yield Finding("staff", OK, f"{', '.join(read_staff(config.staff))} may sign")


def calendar(config: HospitalConfig) -> Iterator[Finding]:
    """The working days that deadlines count: the public holidays of every year that one can reach are entered."""
    policy = policy_of(config.data_dir)
    longest = max(one.days for one in policy.deadlines.values())
    open_years = policy.calendar.unsettled(now(), longest)
    told = f"public holidays are {'not all ' if open_years else ''}known for deadlines of {longest} days from now"
    mend = f"enter those of {', '.join(map(str, open_years))} in {config.data_dir / POLICY}, under calendar"
    yield finding("calendar", not open_years, told, mend, otherwise=WARN)


def port(listen: Listen, files: IdentityFiles, own_name: str, *, pages: int) -> Iterator[Finding]:
    """The ports: this participant answers there, or they are free."""
    if not is_taken(listen.host, listen.grpc_port):
        yield Finding("port", WARN, f"{listen.grpc} is free: it does not run", "start it with its verb serve")
        return
    try:
        shake(listen.grpc, files, own_name)
    except (IdentityRefused, PeerUnavailable) as error:
        yield Finding("port", FAIL, f"{listen.grpc} is taken by another process: {error}", "free it, or name another")
        return
    yield Finding("port", OK, f"{listen.grpc} answers as {own_name}")
    if pages:
        told = f"pages at http://{listen.http}/"
        yield finding("port", is_taken(listen.host, pages), told, "nobody answers there", otherwise=WARN)


def api(listen: Listen, files: IdentityFiles, own_name: str) -> Iterator[Finding]:
    """The port of REST: this participant answers calls there, or it is free."""
    endpoint = f"{listen.host}:{listen.api_port}"
    if not is_taken(listen.host, listen.api_port):
        yield Finding("port", WARN, f"REST: {endpoint} is free: it does not run", "start it with its verb serve")
        return
    try:
        healthy = is_healthy(endpoint, files, own_name)
    except (IdentityRefused, PeerUnavailable) as error:
        told = f"REST: {endpoint} is taken by another process: {error}"
        yield Finding("port", FAIL, told, "free it, or name another as api_port")
        return
    said = f"REST at https://{endpoint}/api/v1 {'answers' if healthy else 'does not answer calls'}"
    yield finding("port", healthy, said, "look at its log: it ends, or its disk cannot be written")


def peer(other: Peer, files: IdentityFiles, domain: str) -> Iterator[Finding]:
    """Another participant: it answers, is who it should be, and accepts our certificate."""
    try:
        shake(other.endpoint, files, server_name(other.id, domain))
    except PeerUnavailable as error:
        yield Finding("peer", WARN, f"{other.id}: {error}", "ask its operator")
    except IdentityRefused as error:
        yield Finding("peer", FAIL, f"{other.id} at {other.endpoint}: {error}", "ask the CA which of the two is wrong")
    else:
        yield Finding("peer", OK, f"{other.id} at {other.endpoint} answers, both certificates accepted")


def chain(known: ChainPeer) -> Iterator[Finding]:
    """The chain: the right one, with the contract."""
    try:
        found = int(str(ask_chain(known.url, "eth_chainId")), 16)
    except PeerUnavailable as error:
        yield Finding("chain", WARN, str(error), "checkpoints wait for it; ask its operator")
        return
    yield finding("chain", found == known.chain_id, f"id {found} at {known.url}", f"{known.chain_id} is configured")
    height = int(str(ask_chain(known.url, "eth_blockNumber")), 16)
    has_code = len(str(ask_chain(known.url, "eth_getCode", known.contract, "latest"))) > len("0x")
    told = f"contract {known.contract} {'stands' if has_code else 'does not stand'} at height {height}"
    yield finding("chain", has_code, told, "hdex chain deploy, then its address in [chain]")


def own_chain(url: str, config: ChainConfig) -> Iterator[Finding]:
    """The chain this participant serves: answers with its id, or its port is free."""
    if not is_taken(config.listen.host, config.listen.http_port):
        yield Finding("port", WARN, f"{config.listen.http} is free: it does not run")
        return
    found = int(str(ask_chain(url, "eth_chainId")), 16)
    yield finding("chain", found == config.chain_id, f"id {found} at {url}", f"{config.chain_id} is configured")
    yield Finding("chain", OK, f"height {int(str(ask_chain(url, 'eth_blockNumber')), 16)}")


def status(config: Member | ChainConfig) -> dict[str, Any]:
    """Return what stands in a participant's own records, read on its machine whether it runs or not."""
    if isinstance(config, ChainConfig):
        return chain_status(config)
    known: dict[str, Any] = {"id": config.id, "organisation": config.organisation}
    if not isinstance(config, BuyerConfig):
        known["runs"] = is_taken(config.listen.host, config.listen.grpc_port)
    kinds: Counter[str] = Counter()
    contracts: Counter[str] = Counter()
    with reading(config.data_dir / "documents.db") as opened:
        kinds.update(dict(opened.execute("SELECT kind, count(*) FROM documents GROUP BY kind")))
        states = "SELECT json_extract(json, '$.state'), count(*) FROM documents WHERE kind = 'contract' GROUP BY 1"
        contracts.update(dict(opened.execute(states)))
    sums = "SELECT (SELECT count(*) FROM leaf), (SELECT count(*) FROM note), (SELECT note FROM head)"
    shards = [config.data_dir / "log.db", *sorted(config.data_dir.glob("log-????.db"))]
    newest, known["events"], known["cosigned_checkpoints"] = None, 0, 0
    for path in shards:
        with reading(path) as opened:
            events, notes, newest = opened.execute(sums).fetchone()
        known["events"] += events
        known["cosigned_checkpoints"] += notes
    known["checkpoint"] = str(newest or "").splitlines()[:3]
    told = ("product", "release", "study_plan", "study_result", "delivery")
    return known | {name: kinds[name] for name in told if kinds[name]} | {"contracts": dict(contracts)}


def chain_status(config: ChainConfig) -> dict[str, Any]:
    """Return what the embedded chain says of itself."""
    url, runs = f"http://{config.listen.http}", is_taken(config.listen.host, config.listen.http_port)
    known: dict[str, Any] = {"id": config.id, "url": url, "runs": runs, "chain_id": config.chain_id}
    return known | ({"height": int(str(ask_chain(url, "eth_blockNumber")), 16)} if runs else {})
