"""A vault killed or starved at any instant holds the item whole, or does not hold it."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hdex.node.errors import NotFound
from hdex.node.failpoint import VARIABLE
from hdex.node.keystore import KeyStore
from hdex.node.vault import Vault

pytestmark = pytest.mark.fault
SIZE = 3 * 1024 * 1024 + 5
WRITER = """
import resource, sys
from pathlib import Path
from hdex.node.errors import DiskFull
from hdex.node.keystore import KeyStore
from hdex.node.vault import Vault
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
vault = Vault(folder / "vault", KeyStore.open(folder / "keys.json", b"pass"))
try:
    vault.put("p", "new", b"n" * %d)
except DiskFull:
    sys.exit(9)
print("acknowledged", flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys = KeyStore.create(tmp_path / "keys.json", b"pass", kinds={})
    Vault(tmp_path / "vault", keys).put("p", "old", b"old" * 1000)
    return tmp_path


def write(
    folder: Path, *, failpoint: str = "", limit: int = resource.RLIM_INFINITY
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", WRITER % SIZE, str(folder), str(limit)]
    return subprocess.run(command, env={**os.environ, VARIABLE: failpoint}, capture_output=True, check=False)


def reopen(folder: Path) -> Vault:
    return Vault(folder / "vault", KeyStore.open(folder / "keys.json", b"pass"))


@pytest.mark.parametrize("name", ["vault.half-written:1", "vault.half-written:3", "vault.before-link"])
def test_a_writer_killed_before_the_link_leaves_nothing(folder: Path, name: str) -> None:
    done = write(folder, failpoint=name)
    assert done.returncode == -9
    assert done.stdout == b""
    vault = reopen(folder)
    assert not vault.contains("p", "new")
    with pytest.raises(NotFound):
        vault.read("p", "new")
    assert vault.read("p", "old") == b"old" * 1000
    assert not list((folder / "vault").glob("*.tmp"))
    assert vault.put("p", "new", b"second attempt").size == 14


def test_a_writer_killed_after_the_link_has_stored_all(folder: Path) -> None:
    assert write(folder, failpoint="vault.after-link").returncode == -9
    assert reopen(folder).read("p", "new") == b"n" * SIZE


@pytest.mark.parametrize("limit", [1, 4096, 1024 * 1024, SIZE - 1, SIZE + 64])
def test_a_full_disk_is_refused_and_nothing_is_half_stored(folder: Path, limit: int) -> None:
    done = write(folder, limit=limit)
    assert done.returncode == 9, done.stderr
    vault = reopen(folder)
    assert not vault.contains("p", "new")
    assert [item.name for item in vault.items()] == ["old"]
    assert not list((folder / "vault").glob("*.tmp"))
    assert write(folder).stdout.strip() == b"acknowledged"  # and it recovers when there is space
    assert reopen(folder).read("p", "new") == b"n" * SIZE


def test_a_keystore_killed_before_the_rename_keeps_its_old_keys(tmp_path: Path) -> None:
    store = KeyStore.create(tmp_path / "keys.json", b"pass")
    before = {name: store.secret(name) for name in store.names()}
    code = (
        "import sys; from pathlib import Path; from hdex.node.keystore import KeyStore;"
        "KeyStore.open(Path(sys.argv[1]), b'pass').rotate(b'other')"
    )
    environment = {**os.environ, VARIABLE: "durable.before-rename"}
    command = [sys.executable, "-c", code, str(tmp_path / "keys.json")]
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    again = KeyStore.open(tmp_path / "keys.json", b"pass")
    assert {name: again.secret(name) for name in again.names()} == before
