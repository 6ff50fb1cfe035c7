"""The enclave: what a script cannot do, what an output must not look like, and who signs before anything leaves."""

import platform
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.catalog.samples import sample_product
from tests.node.market_modes import ENCLAVE
from tests.node.market_stage import BUYER, OFFICER, OTHER, STEWARD, Market, person

from hdex.federated.disclosure_regimes import strictest
from hdex.ledger.errors import LogFailed
from hdex.node import enclave_child
from hdex.node.enclave import Bounds, outputs, run
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid, SignatureInvalid
from hdex.node.hospital.enclave_rules import require_harmless
from hdex.node.hospital.enclaves import OUTPUT_PAPER, SCRIPT_PAPER, script_digest
from hdex.node.signed import sign

FRAME = pl.DataFrame(
    {"age_band": ["60-69", "70-79"] * 200, "systolic": list(range(400)), "sex": ["x"] * 5 + ["female"] * 395}
)
BOUNDS = ENCLAVE
FLOORS = strictest()
COUNTS = (
    b"import polars as pl\nframe.group_by('age_band').agg(pl.len().alias('n')).sort('age_band').write_csv('by_age.csv')"
)
PROVEN = "open('proven.csv', 'w').write('n')\n"  # written only when the line before it raised as it should


def refused_inside(line: str, error: str = "PermissionError") -> bytes:
    """Return a script that ends well only if `line` is refused by the kernel."""
    return f"try:\n    {line}\nexcept {error}:\n    {PROVEN}".encode()


FORBIDDEN = {
    "open a socket": "import socket; socket.socket()",
    "open a local socket": "import socket; socket.socketpair()",
    "read the passwords": "open('/etc/passwd').read()",
    "read the folder above": "import os; os.listdir('../..')",
    "read other processes": "open('/proc/1/environ', 'rb').read()",
    "write over the script": "open('../script.py', 'w')",
    "write elsewhere": "open('/tmp/leak', 'w')",
    "link to a file": "import os; os.symlink('/etc/passwd', 'link.csv')",
    "fork": "import os; os.fork()",
    "start a program": "import os; os.execv('/bin/true', ['true'])",
    "kill a process": "import os; os.kill(1, 0)",
    "have another user": "import os; os.setuid(1)",
    "take another namespace": "import os; os.unshare(os.CLONE_NEWNS) if hasattr(os, 'unshare') else os.chroot('.')",
}  # fmt: skip


@pytest.mark.parametrize("deed", FORBIDDEN)
def test_a_script_may_not(deed: str, tmp_path: Path) -> None:
    assert run(refused_inside(FORBIDDEN[deed]), FRAME, tmp_path, BOUNDS) == {"proven.csv": b"n"}
    assert list(tmp_path.iterdir()) == []  # nothing of a run stays


BESIDE_LANDLOCK = (  # it looks at none of these; the filter of calls does
    "os.chmod('../../keystore.json', 0o666)",
    "os.chmod('.', 0o777)",
    "os.chown('../../keystore.json', os.getuid(), os.getgid())",
    "os.utime('../../keystore.json', (0, 0))",
    "os.setxattr('../../keystore.json', 'user.a', b'')",
    "resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0))",
    "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "os.sched_setaffinity(os.getppid(), {0})",
    "call(200, os.getppid(), 0)",  # tkill
    "call(234, os.getppid(), os.getppid(), 0)",  # tgkill
    "call(29, 4711, 4096, 0o1666)",  # shmget
    "call(294, 0)",  # inotify_init1
)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of calls are those of x86_64")
def test_what_landlock_does_not_look_at_is_refused_too(tmp_path: Path) -> None:
    secret = tmp_path / "keystore.json"
    secret.touch(mode=0o600)
    before, passed = secret.stat(), "passed = []\n"
    for deed in BESIDE_LANDLOCK:
        passed += f"try:\n    {deed}\n    passed.append({deed!r})\nexcept PermissionError:\n    pass\n"
    script = (
        "import ctypes, os, resource\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def call(*numbers):\n    if libc.syscall(*numbers) == -1: raise OSError(ctypes.get_errno(), '')\n"
        f"{passed}resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nopen('passed.csv', 'w').write('|'.join(passed))\n"
    )
    assert run(script.encode(), FRAME, tmp_path, BOUNDS) == {"passed.csv": b""}
    assert secret.stat() == before


def test_a_script_cannot_read_a_keystore_beside_it(tmp_path: Path) -> None:
    secret = tmp_path / "keystore.json"
    secret.write_text("{}")
    assert run(refused_inside(f"open({str(secret)!r}).read()"), FRAME, tmp_path, BOUNDS) == {"proven.csv": b"n"}


def test_a_script_has_the_frame_no_environment_and_threads(tmp_path: Path) -> None:
    script = (
        "import os, threading\nassert not os.environ and frame.height == 400\n"
        f"def work():\n    {PROVEN}\nt = threading.Thread(target=work)\nt.start()\nt.join()\n"
    )
    assert run(script.encode(), FRAME, tmp_path, BOUNDS) == {"proven.csv": b"n"}
    assert run(COUNTS, FRAME, tmp_path, BOUNDS) == {"by_age.csv": b"age_band,n\n60-69,200\n70-79,200\n"}


@pytest.mark.parametrize(
    ("script", "rule"),
    [
        ("while True: pass", "enclave.time"),
        ("b'1' * (4 * 1024**3)", "enclave.failed"),
        ("open('big.csv', 'w').write('n' * 100_000)", "enclave.failed"),
        ("raise SystemExit(3)", "enclave.failed"),
        ("print(frame)", "enclave.output"),
        ("import os; os.mkdir('rows.csv')", "enclave.failed"),
        ("[open(f'{n}.csv', 'w') for n in range(9)]", "enclave.output"),
        ("import itertools\nfor n in itertools.count(): open(f'{n}.csv', 'w').write('n' * 60_000)", "enclave.output"),
        ("open('Rows.parquet', 'w')", "enclave.output"),
    ],
)
def test_what_a_run_may_use_and_leave_is_bounded(script: str, rule: str, tmp_path: Path) -> None:
    bounds = Bounds(seconds=2, memory_bytes=1024**3) if "while" in script else BOUNDS
    with pytest.raises(AccessDenied) as refused:
        run(script.encode(), FRAME, tmp_path, bounds)
    assert refused.value.rule == rule
    assert list(tmp_path.iterdir()) == []


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to("/etc/passwd")
    with pytest.raises(AccessDenied) as refused:
        outputs(tmp_path, BOUNDS)
    assert refused.value.rule == "enclave.output"


def test_a_kernel_without_locks_is_refused_unless_waived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's own judgement, on a machine of a kind that it does not know."""
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    assert not enclave_child.isolate(tmp_path)
    copy = tmp_path / "child.py"
    text = Path(enclave_child.__file__).read_text()
    copy.write_text(
        text.replace("def isolate(folder: Path) -> bool:", "def isolate(folder: Path) -> bool:\n    return False")
    )
    monkeypatch.setattr(enclave_child, "__file__", str(copy))
    with pytest.raises(AccessDenied) as refused:
        run(COUNTS, FRAME, tmp_path, BOUNDS)
    assert refused.value.rule == "enclave.unisolated"
    unsafe = Bounds(seconds=20, memory_bytes=1024**3, is_unsafe=True)
    assert "by_age.csv" in run(COUNTS, FRAME, tmp_path, unsafe)


@pytest.mark.parametrize("machine", enclave_child.DENIED)
def test_the_filter_says_what_the_table_says(machine: str) -> None:
    audit, _, _, partly, denied = enclave_child.DENIED[machine]
    program, (clone, clone3, prlimit) = enclave_child.filter_of(audit, partly, denied), partly
    allowed, forbidden, absent, killed = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
    assert {clone, clone3, prlimit}.isdisjoint(denied)
    said = {number: verdict(program, audit, number, 0) for number in range(500)}
    assert {number for number, one in said.items() if one != allowed} == {*denied, clone, clone3}
    assert {said[number] for number in (*denied, clone)} == {forbidden}
    assert said[clone3] == absent
    assert verdict(program, audit, clone, enclave_child.THREAD) == allowed
    assert verdict(program, audit, prlimit, 1) == forbidden
    assert verdict(program, audit ^ 1, 0, 0) == verdict(program, audit, 0x40000000, 0) == killed


def verdict(program: bytes, arch: int, number: int, first: int) -> int:
    """Return what a filter answers to a call: the few steps of classic BPF that ours has."""
    held, at, data = 0, 0, {0: number, 4: arch, 16: first}
    steps = [struct.unpack_from("<HBBI", program, start) for start in range(0, len(program), 8)]
    tests: dict[int, Callable[[int, int], object]] = {
        0x15: lambda one, other: one == other,
        0x35: lambda one, other: one >= other,
        0x45: lambda one, other: one & other,
    }
    while True:
        code, yes, no, value = steps[at]
        if code == 0x06:
            return int(value)
        if code == 0x20:
            held = data[value]
        at += 1 + (0 if code == 0x20 else yes if tests[code](held, value) else no)


HARMLESS = [
    b"age_band,n\n60-69,200\n70-79,200\n",
    b"n,mean\n400,199.5\n",
    b"what,n\nsystolic above 140,259\n",
    b"n\n0\n",
]
ROW_LIKE = {
    "no count": b"age_band,systolic\n60-69,3\n",
    "small count": b"age_band,n\n60-69,3\n",
    "rows": b"systolic,n\n" + b"".join(b"%d,400\n" % n for n in range(50)),
    "a value of few": b"systolic,n\n7,400\n",
    "a text of few": b"what,n\nx,400\n",
    "a formula": b"what,n\n=1+1,400\n",
    "a long text": b"what,n\n" + b"y" * 80 + b",400\n",
    "many columns": b",".join(b"c%d" % n for n in range(20)) + b",n\n" + b"1," * 20 + b"400\n",
    "digits that carry rows": b"mean,n\n1.2345678901234,400\n",
    "ragged": b"a,n\n1\n",
    "not text": b"\xff\xfe,n\n",
    "twice n": b"n,n\n400,400\n",
    "negative": b"n\n-1\n",
    "a digit that is no number": "n\n4\u00b2\n".encode(),
    "a count that no machine holds": b"n\n" + b"9" * 5000 + b"\n",
}


def test_tables_of_counts_pass() -> None:
    assert require_harmless({f"{n}.csv": data for n, data in enumerate(HARMLESS)}, FRAME, FLOORS) == 4 + 2 + 2 + 1


@pytest.mark.parametrize("case", ROW_LIKE)
def test_what_looks_like_rows_is_refused(case: str) -> None:
    with pytest.raises(AccessDenied) as refused:
        require_harmless({"a.csv": ROW_LIKE[case]}, FRAME, FLOORS)
    assert refused.value.rule.startswith("enclave.")


class Desk:
    """A hospital's enclave with two people who sign."""

    def __init__(self, folder: Path) -> None:
        self.market = Market(folder)
        product = sample_product()
        self.market.finalized(self.market.list_product(product, FRAME), "enclave")
        ground = self.market.hospital.ground
        self.people, self.enclaves = self.market.people, self.market.hospital.enclaves
        self.ground = ground

    def submitted(self, script: bytes = COUNTS) -> str:
        return str(self.enclaves.submit("c-1", script, person(BUYER))["run"])

    def sign(self, kind: str, run_id: str, role: str, *, digest: str = "", approve: bool = True) -> dict[str, Any]:
        row = next(one for one in self.enclaves.all() if one["run"] == run_id)
        name = "script_digest" if kind == SCRIPT_PAPER else "output_digest"
        paper = {"run": run_id, "digest": digest or row.get(name, ""), "approve": approve}
        envelope = sign(kind, paper, f"hospital-a/{role}", self.people[role].secret("sign"))
        return self.enclaves.sign(kind, envelope, STEWARD if role == "data_steward" else OFFICER)

    def fetched(self, run_id: str) -> tuple[dict[str, Any], dict[str, bytes]]:
        return self.enclaves.fetch("c-1", run_id, person(BUYER))

    def actions(self) -> list[tuple[str, str]]:
        return [(event.action.value, str(event.decision)) for event in self.ground.events()][-4:]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def rule_of(play: Callable[[], object]) -> str:
    with pytest.raises(AccessDenied) as refused:
        play()
    return refused.value.rule


def test_an_output_leaves_after_two_signatures_and_each_step_is_an_event(desk: Desk) -> None:
    run_id = desk.submitted()
    assert desk.fetched(run_id)[0]["state"] == "SUBMITTED"
    assert desk.sign(SCRIPT_PAPER, run_id, "data_steward")["state"] == "CHECKED"
    assert desk.fetched(run_id)[1] == {}
    assert desk.sign(OUTPUT_PAPER, run_id, "privacy_officer")["state"] == "RELEASED"
    document, found = desk.fetched(run_id)
    assert found == {"by_age.csv": b"age_band,n\n60-69,200\n70-79,200\n"}
    assert "script" not in document
    events = [event for event in desk.ground.events() if event.contract == "c-1"]
    names = [event.action.value for event in events][-7:]
    assert names == [
        "study.plan",
        "contract.read",
        "study.approve",
        "query.run",
        "contract.read",
        "study.approve",
        "export",
    ]
    ran = next(event for event in events if event.action == "query.run")
    assert (ran.rows, ran.request_digest) == (400, script_digest(COUNTS))
    assert desk.ground.meter.totals()["enclave outputs"]["count"] == 1


def test_rows_in_an_output_end_the_run(desk: Desk) -> None:
    run_id = desk.submitted(b"frame.head(20).write_csv('rows.csv')")
    row = desk.sign(SCRIPT_PAPER, run_id, "data_steward")
    assert (row["state"], row["rule"]) == ("REFUSED", "enclave.columns")
    assert "outputs" not in row
    assert desk.actions()[-2:] == [("query.run", "allow"), ("query.run", "deny")]
    assert desk.fetched(run_id)[1] == {}


def test_who_signs_what(desk: Desk) -> None:
    run_id = desk.submitted()
    assert rule_of(lambda: desk.sign(SCRIPT_PAPER, run_id, "data_steward", digest="00" * 32)) == "enclave.other"
    desk.sign(SCRIPT_PAPER, run_id, "privacy_officer")
    assert rule_of(lambda: desk.sign(OUTPUT_PAPER, run_id, "data_steward")) == "approve.role"
    assert rule_of(lambda: desk.sign(SCRIPT_PAPER, run_id, "privacy_officer")) == "enclave.other"
    forged = sign(OUTPUT_PAPER, {"run": run_id}, "hospital-a/privacy_officer", b"k" * 32)
    with pytest.raises(SignatureInvalid):
        desk.enclaves.sign(OUTPUT_PAPER, forged, OFFICER)
    refused = desk.sign(OUTPUT_PAPER, run_id, "privacy_officer", approve=False)
    assert (refused["state"], refused["rule"]) == ("REFUSED", "person.refused")
    assert desk.fetched(run_id)[1] == {}


def test_a_run_counts_against_its_contract_and_the_same_script_is_one(desk: Desk) -> None:
    assert desk.submitted() == desk.submitted()
    for number in range(19):
        desk.submitted(COUNTS + b"\n#%d" % number)
    assert rule_of(lambda: desk.submitted(b"pass")) == "agreement.enclave_runs"


def test_a_revoked_contract_runs_and_releases_nothing(desk: Desk) -> None:
    run_id = desk.submitted()
    desk.market.negotiations.revoke("c-1", "ended", OFFICER)
    assert rule_of(lambda: desk.sign(SCRIPT_PAPER, run_id, "data_steward")) == "contract.revoked"
    assert rule_of(lambda: desk.fetched(run_id)) == "contract.revoked"
    assert rule_of(lambda: desk.submitted()) == "contract.revoked"


def test_others_scripts_and_runs_are_out_of_reach(desk: Desk) -> None:
    run_id = desk.submitted()
    assert rule_of(lambda: desk.enclaves.fetch("c-1", run_id, person(OTHER))) == "contract.foreign"
    with pytest.raises(NotFound):
        desk.fetched("no-such-run")
    assert [row["state"] for row in desk.enclaves.listed(OFFICER)] == ["SUBMITTED"]


def test_nothing_runs_that_is_not_remembered(desk: Desk) -> None:
    run_id = desk.submitted()
    desk.ground.store.fails = True
    with pytest.raises(LogFailed):
        desk.sign(SCRIPT_PAPER, run_id, "data_steward")
    assert next(iter(desk.enclaves.all()))["state"] == "SUBMITTED"


@pytest.mark.parametrize("script", [b"", b"\xff", b"x" * 70_000, "a\u202eb".encode(), b"a\x00b"])
def test_a_script_that_a_person_cannot_read_is_refused(script: bytes) -> None:
    with pytest.raises(RequestInvalid):
        script_digest(script)
