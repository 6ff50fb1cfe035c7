"""Encrypted sums and survival by other libraries, in the peers' environment: a line of JSON asks, one answers.

A question about sums is {"peer", "bits", "parties", "numbers", "seed"}; its answer has the CPU seconds of encrypt, add
and decrypt (keys are made before), the bytes of one party's ciphertexts and the largest difference to the sum, or
"absent". A question to lifelines holds the pooled rows.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

Sum = Callable[[Any, Any], tuple[Any, int]]  # (key, values) -> (sum, bytes of one party)
SCALE_BITS = 12


def pypaillier_key(bits: int) -> Any:
    import paillier

    return paillier.generate_keypair(bits)


def pypaillier_sum(key: Any, values: Any) -> tuple[Any, int]:
    import paillier

    public, secret = key
    parts = [paillier.encrypt_many(public, row.tolist()) for row in values]
    total = parts[0]
    for part in parts[1:]:
        total = [paillier.add_many(public, list(pair)) for pair in zip(total, part, strict=True)]
    return np.array([paillier.decrypt(secret, one) for one in total]), sum(len(bytes(one)) for one in parts[0])


def fate_key(bits: int) -> Any:
    from fate_utils import paillier

    secret, public, coder = paillier.keygen(bits)
    return public, secret, coder, bits


def fate_sum(key: Any, values: Any) -> tuple[Any, int]:
    """FATE packs unsigned digits: what we give it is not negative."""
    public, secret, coder, bits = key
    offset, precision = 48, SCALE_BITS
    slots = (bits - 2) // offset
    parts = [
        public.encrypt_encoded(coder.pack_floats((row + 1024).tolist(), offset, slots, precision), True)
        for row in values
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total.add(public, part)
    found = coder.unpack_floats(secret.decrypt_to_encoded(total), offset, slots, precision, values.shape[1])
    return np.array(found) - 1024 * len(values), -(-values.shape[1] // slots) * bits // 4


def heu_key(bits: int) -> Any:
    from heu import numpy as hnp
    from heu import phe

    return hnp.setup(phe.SchemaType.ZPaillier, bits), bits


def heu_sum(key: Any, values: Any) -> tuple[Any, int]:
    """HEU's batch encoder puts two numbers in a plaintext."""
    kit, bits = key
    encoder = kit.batch_float_encoder(scale=1 << SCALE_BITS)
    parts = [kit.encryptor().encrypt(kit.array(row.reshape(-1, 2), encoder)) for row in values]
    total = parts[0]
    for part in parts[1:]:
        total = kit.evaluator().add(total, part)
    found = kit.decryptor().decrypt(total).to_numpy(encoder)
    return np.array(found, dtype=np.float64).reshape(-1), values.shape[1] // 2 * bits // 4


def tenseal_key(bits: int) -> Any:
    import tenseal

    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 40, 60])
    context.global_scale = 2**40
    return context


def tenseal_sum(key: Any, values: Any) -> tuple[Any, int]:
    """CKKS, N = 8192: approximate, 4,096 numbers a ciphertext."""
    import tenseal

    parts = [[tenseal.ckks_vector(key, row[at : at + 4096]) for at in range(0, len(row), 4096)] for row in values]
    total = [sum(column[1:], column[0]) for column in zip(*parts, strict=True)]
    size = sum(len(one.serialize()) for one in parts[0])
    return np.concatenate([np.array(one.decrypt()) for one in total]), size


PEERS: dict[str, tuple[Callable[[int], Any], Sum]] = {
    "pypaillier": (pypaillier_key, pypaillier_sum),
    "fate": (fate_key, fate_sum),
    "heu": (heu_key, heu_sum),
    "tenseal": (tenseal_key, tenseal_sum),
}


@cache
def key_of(peer: str, bits: int) -> Any:
    return PEERS[peer][0](bits)


def lifelines_fit(rows: dict[str, list[float]]) -> dict[str, Any]:
    """Return lifelines' Kaplan-Meier curve and Cox fit of pooled rows."""
    import lifelines
    import pandas

    frame = pandas.DataFrame(rows)
    km = lifelines.KaplanMeierFitter().fit(frame["day"], frame["died"]).survival_function_["KM_estimate"]
    cox = lifelines.CoxPHFitter().fit(frame, "day", "died", fit_options={"precision": 1e-14, "max_steps": 200})
    found = {"estimate": cox.params_[["a", "b"]].tolist(), "se": cox.standard_errors_[["a", "b"]].tolist()}
    return found | {"km": {str(float(at)): one for at, one in km.items()}, "version": lifelines.__version__}


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    if asked["peer"] == "lifelines":
        return lifelines_fit(asked["rows"])
    try:
        key = key_of(asked["peer"], asked["bits"])
    except ImportError as error:
        return {"absent": str(error)}
    random = np.random.default_rng(asked["seed"])
    values = np.round(random.normal(scale=100, size=(asked["parties"], asked["numbers"])) * 2**SCALE_BITS)
    values = values / 2**SCALE_BITS
    began = time.process_time()
    found, size = PEERS[asked["peer"]][1](key, values)
    seconds = time.process_time() - began
    return {"seconds": seconds, "bytes": size, "off": float(np.abs(found - values.sum(axis=0)).max())}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
