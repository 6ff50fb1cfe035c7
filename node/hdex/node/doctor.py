"""What a participant's operator asks first: is everything in place? Each check is one finding with how to mend it."""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from hdex.node import directory as directories
from hdex.node.config import IdentityFiles
from hdex.node.databases import reading
from hdex.node.directory import KEY_NAMES, Directory
from hdex.node.egress import QUIET
from hdex.node.errors import DatabaseDamaged, NodeError, PeerUnavailable
from hdex.node.identity import check_issued, spiffe_id
from hdex.node.keys import KeyProvider, chain_address, read_passphrase, require_private
from hdex.node.keystore import KeyStore
from hdex.node.pki import read_denied

OK, WARN, FAIL = "ok", "warn", "fail"
GIB = 1 << 30
LEAST_DISK, ENOUGH_DISK = GIB // 4, 5 * GIB
SLOW_FSYNC_S = 0.05
SYNCS = 15
PAGE = b"\0" * 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, how it is, and what to do where it is not well."""

    check: str
    state: str  # ok, warn, fail
    found: str
    mend: str = ""

    def line(self) -> str:
        """Return the finding as one line for people."""
        return f"{self.state:<4}  {self.check:<18}  {self.found}" + (f"; {self.mend}" if self.mend else "")


Check = Callable[[], Iterable[Finding]]


def examined(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Yield the findings of every check; one that cannot be made is itself a finding, and the next goes on."""
    for name, check in checks:
        try:
            yield from check()
        except NodeError as error:
            yield Finding(name, FAIL, str(error), error.next_step)
        except OSError as error:
            yield Finding(name, FAIL, f"{error.filename or name}: {error.strerror or type(error).__name__}")


def files(identity: IdentityFiles) -> Iterator[Finding]:
    """The files that make a participant known: there, and the secret ones for its user alone."""
    for path in (identity.private_key, identity.keystore, identity.passphrase_file):
        try:
            require_private(path)
        except NodeError as error:
            yield Finding("file", FAIL, str(error))
        else:
            yield Finding("file", OK, f"{path.name}: mode 600")
    for path in (identity.certificate, identity.ca, identity.directory, identity.denied):
        there = path.is_file() and os.access(path, os.R_OK)
        yield Finding("file", OK if there else FAIL, f"{path.name}: {'there' if there else f'{path} cannot be read'}")


def certificate(identity: IdentityFiles, expected: str, now: datetime) -> Iterator[Finding]:
    """The certificate: of this consortium, of this participant, of this key, not revoked, with life left."""
    pem, ca = identity.certificate.read_bytes(), identity.ca.read_bytes()
    leaf = check_issued(pem, ca)
    yield Finding("certificate", OK, "issued by the consortium's CA")
    name = spiffe_id(leaf)
    renew = "ask the CA: hdex ca request, hdex ca issue"
    yield finding("certificate", name == expected, f"names {name}", f"{expected} is asked; {renew}")
    yield finding("certificate", is_pair(leaf, identity.private_key), "and its private key are a pair", renew)
    revoked = leaf.serial_number in read_denied(identity.denied)
    yield finding(
        "certificate", not revoked, f"serial {leaf.serial_number:x} {'is' if revoked else 'not'} revoked", renew
    )
    yield life(leaf.not_valid_before_utc, leaf.not_valid_after_utc, now, renew)


def life(start: datetime, stop: datetime, now: datetime, renew: str) -> Finding:
    """How much of a certificate's life is left: renewed at half of it, refused after it."""
    left, day = stop - now, timedelta(days=1)
    if left <= timedelta(0) or now < start:
        return Finding("certificate", FAIL, f"valid from {start:%Y-%m-%d %H:%M} to {stop:%Y-%m-%d %H:%M} UTC", renew)
    told = f"{left / day:.1f} days left of {(stop - start) / day:.0f}"
    return Finding("certificate", OK, told) if left > (stop - start) / 2 else Finding("certificate", WARN, told, renew)


def is_pair(leaf: x509.Certificate, key_file: Path) -> bool:
    """Return whether a private key belongs to a certificate."""
    try:
        public = load_pem_private_key(key_file.read_bytes(), password=None).public_key()
    except (ValueError, TypeError):
        return False
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public.public_bytes(*form) == leaf.public_key().public_bytes(*form)


def listed(identity: IdentityFiles, participant: str, *, trust_domain: str, endpoint: str) -> Iterator[Finding]:
    """The directory: signed by the consortium, lists this participant where it listens."""
    known = read_directory(identity, trust_domain)
    yield Finding("directory", OK, f"signed by the consortium, {len(known.members)} members, issued {known.issued}")
    member = known.member(participant)
    if endpoint:
        told = f"lists {participant} at {member.endpoint or 'no address'}"
        yield finding("directory", member.endpoint == endpoint, told, f"it listens at {endpoint}", otherwise=WARN)


def fingerprints(identity: IdentityFiles, participant: str, trust_domain: str) -> Iterator[Finding]:
    """The keystore: it opens, and its public keys are those the directory lists."""
    keys = open_keys(identity)
    yield Finding("keys", OK, f"the passphrase opens the keystore, {len(keys.names())} keys")
    member = read_directory(identity, trust_domain).member(participant)
    there = set(keys.names())
    own = {field: keys.public(name) if name in there else b"" for field, name in KEY_NAMES.items()}
    other = [field for field, public in own.items() if public != getattr(member, field)]
    address = chain_address(keys.public("chain")) if "chain" in there else ""
    other += ["chain_address"] if address != member.chain_address else []
    told = "are those the directory lists" if not other else f"differ from the directory: {', '.join(other)}"
    yield finding("keys", not other, told, "hdex ca member, then hdex ca directory")


def read_directory(identity: IdentityFiles, trust_domain: str) -> Directory:
    """Return the verified directory."""
    return directories.load(identity.directory, identity.ca.read_bytes(), trust_domain=trust_domain)


def open_keys(identity: IdentityFiles) -> KeyProvider:
    """Return the participant's keys. Raises KeyUnreadable."""
    return KeyStore.open(identity.keystore, read_passphrase(identity.passphrase_file))


def data(folder: Path) -> Iterator[Finding]:
    """The data folder: for its user alone, with room, quick to make things durable, its databases whole."""
    if not folder.is_dir():
        yield Finding("data", WARN, f"{folder} is not there yet", "it is made at the first start")
        return
    private = not stat.S_IMODE(folder.stat().st_mode) & 0o077
    told = f"{folder} is for its user alone" if private else f"{folder} is open to others"
    yield finding("data", private, told, f"chmod 700 {folder}")
    free = shutil.disk_usage(folder).free
    state = OK if free >= ENOUGH_DISK else WARN if free >= LEAST_DISK else FAIL
    yield Finding("disk", state, f"{free / GIB:.1f} GiB free", "" if state == OK else "make room")
    worst, usual = sync_seconds(folder)
    slow = worst > SLOW_FSYNC_S
    told = f"{usual * 1000:.2f} ms, at worst {worst * 1000:.2f} ms of {SYNCS}"
    yield Finding("fsync", WARN if slow else OK, told, "every acknowledged event waits for it" if slow else "")
    yield from databases(folder)


def databases(folder: Path) -> Iterator[Finding]:
    """Every database of a data folder, read only."""
    for path in sorted(folder.glob("*.db")):
        try:
            with reading(path) as opened:
                (said,) = opened.execute("PRAGMA quick_check(1)").fetchone()
        except DatabaseDamaged as error:
            said = str(error)
        except PeerUnavailable:
            yield Finding("database", OK, f"{path.name}: in use by its process")
            continue
        yield finding("database", said == "ok", f"{path.name}: {said}", "restore the last backup")


def sync_seconds(folder: Path) -> tuple[float, float]:
    """Return (slowest, median) seconds of making 4 KiB durable in a folder."""
    path, taken = folder / f".doctor-{os.getpid()}", []
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for _ in range(SYNCS):
            os.write(handle, PAGE)
            began = time.perf_counter()
            os.fsync(handle)
            taken.append(time.perf_counter() - began)
    finally:
        os.close(handle)
        path.unlink()
    return max(taken), median(taken)


def egress(try_outside: Callable[[], object]) -> Iterator[Finding]:
    """Nothing leaves unasked: a look-up of a host that no configuration names is refused inside this process."""
    try:
        try_outside()
    except PermissionError:
        yield Finding("egress", OK, "only the configured hosts can be reached")
    except OSError:
        yield Finding(
            "egress", FAIL, "a look-up beyond the configured hosts was let through", "report this as a defect"
        )
    else:
        yield Finding("egress", FAIL, "a host beyond the configured ones was found", "report this as a defect")


def telemetry() -> Iterator[Finding]:
    """Every library's reporting is switched off."""
    loud = [name for name, value in QUIET.items() if os.environ.get(name) != value]
    yield finding(
        "telemetry", not loud, "off" if not loud else f"not off: {', '.join(loud)}", "report this as a defect"
    )


def finding(check: str, is_well: bool, found: str, mend: str, *, otherwise: str = FAIL) -> Finding:
    """Return a finding that says how to mend only where something is to be mended."""
    return Finding(check, OK, found) if is_well else Finding(check, otherwise, found, mend)
