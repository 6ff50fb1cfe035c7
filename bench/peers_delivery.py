"""Run by the peers' own Python (bench/requirements.lock), never by ours: pyrage, the age format, on our file.

argv: a JSON object {source, folder, repeats}. Prints one JSON object {seal, open}: seconds of each repeat, file to file
to one X25519 recipient; what is opened is compared with the source first.
"""

import filecmp
import json
import sys
import time
from pathlib import Path
from typing import Any

import pyrage


def main(asked: dict[str, Any]) -> dict[str, list[float]]:
    source, folder = asked["source"], Path(asked["folder"])
    sealed, opened = str(folder / "peer.age"), str(folder / "peer.opened")
    identity = pyrage.x25519.Identity.generate()
    found: dict[str, list[float]] = {"seal": [], "open": []}
    for _ in range(asked["repeats"] + 1):
        began = time.perf_counter()
        pyrage.encrypt_file(source, sealed, [identity.to_public()])
        middle = time.perf_counter()
        pyrage.decrypt_file(sealed, opened, [identity])
        found["seal"].append(middle - began)
        found["open"].append(time.perf_counter() - middle)
        if not filecmp.cmp(source, opened, shallow=False):
            raise SystemExit("what age opened is not what it sealed")
    return {name: seconds[1:] for name, seconds in found.items()}  # the first does not count


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
