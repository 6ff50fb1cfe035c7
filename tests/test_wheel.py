"""The wheel carries what the code reads: by the build backend's own list of files, without building or a network."""

import ast
import re
from pathlib import Path

import pytest

hatchling = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed: no wheel to look into")

ROOT = Path(__file__).parent.parent
ROOMS = ("catalog", "deid", "federated", "ledger", "node", "proto")
DATA = re.compile(r"(?:[\w-]+/)*[\w-]+\.(?:toml|json|css|html|svg|cedar|cedarschema|sol)")


@pytest.fixture(scope="module")
def wheel() -> set[str]:
    """Return the paths inside the wheel."""
    return {file.distribution_path for file in hatchling.WheelBuilder(str(ROOT)).recurse_included_files()}


def on_disk() -> dict[str, Path]:
    """Return every file of the rooms that no tool made, by its path below its source root."""
    found = ((room, path) for room in ROOMS for path in (ROOT / room / "hdex").rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT / room)): path for room, path in found if path.suffix not in (".pyc", ".so")}


def named_in(path: Path) -> set[str]:
    """Return the texts of a module that are names of data files."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {text for text in texts if DATA.fullmatch(text)}


def test_every_file_of_the_rooms_is_in_the_wheel(wheel: set[str]) -> None:
    there = set(on_disk())
    assert len(there) > 300
    assert there - wheel == set()


def test_every_data_file_that_a_module_reads_by_name_is_in_the_wheel(wheel: set[str]) -> None:
    """A name is looked for where its module may read from: its own folder, the folders above, and their data/."""
    data = {path for path in wheel if not path.endswith((".py", ".pyi"))}
    read: dict[str, str] = {}
    for name, path in on_disk().items():
        if path.suffix == ".py":
            above = [str(folder) for folder in Path(name).parents]
            for text in named_in(path):
                places = [f"{folder}/{inner}{text}" for folder in above for inner in ("", "data/", "policies/")]
                read |= {one: name for one in places if one in data}
    for needed in ("data/presets.toml", "data/fhir_r4.json", "data/certificate.toml", "data/levels.toml"):
        assert f"hdex/deid/{needed}" in read
    assert len(read) > 20
    folders = ("hdex/deid/data/attackers", "hdex/deid/data/languages", "hdex/deid/data/schemes", "hdex/node/views")
    for folder in (*folders, "hdex/catalog/web/templates", "hdex/catalog/web/static", "hdex/node/policies"):
        assert any(path.startswith(f"{folder}/") for path in data), folder


def test_the_rooms_data_is_found_where_it_lies_in_the_wheel(wheel: set[str]) -> None:
    """What `importlib.resources` finds of the running code stands in the wheel under the same name."""
    from hdex.deid import attackers, policy
    from hdex.node.views import view_names

    assert {f"hdex/deid/data/attackers/{name}.toml" for name in attackers.NAMES} <= wheel
    assert {f"hdex/node/views/{name}.toml" for name in view_names()} <= wheel
    assert set(policy.presets()) == {"public", "registered", "controlled", "enclave"}


def test_no_test_bench_or_secret_is_in_the_wheel(wheel: set[str]) -> None:
    assert not [path for path in wheel if not path.startswith("hdex/")]
    assert not [path for path in wheel if path.endswith((".pem", ".key", ".db", ".passphrase", ".lock"))]
