"""Builds the optional C kernel of Paillier where a compiler is; without one the same bytes come from Python."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("federated/native/kernel.c")
LIBRARY = Path("federated/hdex/federated/paillier/_kernel.so")
FLAGS = ("-O3", "-std=c11", "-fPIC", "-shared", "-Wall", "-Wextra")


class KernelHook(BuildHookInterface[Any]):
    """Runs before every wheel, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say in the wheel's tag that it holds machine code. Silent where nothing can be compiled."""
        if self.target_name != "wheel" or not compiled(Path(self.root)):
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(str(LIBRARY))


def compiled(root: Path) -> bool:
    """Return whether the library was built; an old one does not stay beside a newer source."""
    library = root / LIBRARY
    library.unlink(missing_ok=True)
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        return False
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / library.name
        command = [*compiler.split(), *FLAGS, "-o", str(made), str(root / SOURCE)]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=120)
        except (OSError, subprocess.TimeoutExpired):
            return False
        if done.returncode == 0:
            made.replace(library)
    return library.exists()
