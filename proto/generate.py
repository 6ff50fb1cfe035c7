"""Generate the code beside the .proto files: `make proto`. With --check, report stale files and change nothing."""

import filecmp
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
WELL_KNOWN = Path(grpc_tools.__file__).resolve().parent / "_proto"  # google/protobuf/*.proto, as the tool ships them


def generate(out: Path) -> list[Path]:
    """Return the generated files, relative to `out`."""
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("hdex/proto/v1/*.proto"))
    flags = [f"-I{ROOT}", f"-I{WELL_KNOWN}", f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}"]
    if protoc.main(["protoc", *flags, *sources]) != 0:
        raise SystemExit("protoc refused the .proto files")
    return sorted(path.relative_to(out) for path in out.rglob("*_pb2*.py*"))


def stale() -> list[str]:
    """Return the committed files that a fresh run would change."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        return [
            str(path)
            for path in generate(fresh)
            if not (ROOT / path).exists() or not filecmp.cmp(fresh / path, ROOT / path, shallow=False)
        ]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit("\n".join(["stale: run `make proto`", *stale()]) if stale() else 0)
    print("\n".join(map(str, generate(ROOT))))
