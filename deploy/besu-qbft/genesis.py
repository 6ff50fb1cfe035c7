#!/usr/bin/env python3
"""Write the genesis of a QBFT chain from the validators' addresses. Standard library only; keys are not touched.

    python3 genesis.py --chain-id 40427 --validator 0x64a7... --validator 0x3923... --validator 0xaefd... \\
        --validator 0xc7ee... > genesis.json

Every organisation makes its own validator key and sends its address; whoever runs this learns no key. All must end up
with the same bytes: compare `sha256sum genesis.json`. Source of the extra data: Besu documentation, "Configure QBFT
consensus", Extra data: RLP([32 bytes of vanity, [validators], no vote, round 0, no seals]).
"""

import argparse
import json
import re
import sys

LEAST_VALIDATORS = 4  # with fewer, one that fails stops the chain
MIX_HASH = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"  # marks a BFT header
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
BLOCK_PERIOD_S, REQUEST_TIMEOUT_S, EPOCH_BLOCKS = 5, 10, 30_000
GAS_LIMIT = 30_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the genesis of a QBFT chain to standard output.")
    parser.add_argument("--chain-id", type=int, required=True, help="EIP-155 id; the same as [chain] chain_id")
    parser.add_argument(
        "--validator", action="append", required=True, help="address of one validator, 0x and 40 digits"
    )
    arguments = parser.parse_args()
    try:
        text = json.dumps(genesis(arguments.chain_id, arguments.validator), indent=2)
    except ValueError as error:
        sys.exit(f"genesis.py: {error}")
    print(text)


def genesis(chain_id: int, validators: list[str]) -> dict[str, object]:
    """Return the genesis: London rules with a base fee of 0, so that nobody needs coins. Raises ValueError."""
    if not 0 < chain_id < 2**53:
        raise ValueError(f"the chain id is {chain_id}; it is a number from 1")
    consensus = {
        "blockperiodseconds": BLOCK_PERIOD_S,
        "epochlength": EPOCH_BLOCKS,
        "requesttimeoutseconds": REQUEST_TIMEOUT_S,
    }
    config = {"chainId": chain_id, "berlinBlock": 0, "londonBlock": 0, "zeroBaseFee": True, "qbft": consensus}
    return {
        "config": config,
        "nonce": "0x0",
        "timestamp": "0x0",
        "extraData": "0x" + extra_data(addresses_of(validators)).hex(),
        "gasLimit": hex(GAS_LIMIT),
        "difficulty": "0x1",
        "mixHash": MIX_HASH,
        "coinbase": "0x" + "00" * 20,
        "alloc": {},
    }


def addresses_of(validators: list[str]) -> list[bytes]:
    """Return the validators in ascending order, so that everybody makes the same file. Raises ValueError."""
    if any(not ADDRESS.fullmatch(validator) for validator in validators):
        raise ValueError("a validator is not an address: 0x and 40 hexadecimal digits")
    addresses = sorted({bytes.fromhex(validator[2:]) for validator in validators})
    if len(addresses) < LEAST_VALIDATORS or len(addresses) != len(validators):
        raise ValueError(f"{len(addresses)} different validators are named, at least {LEAST_VALIDATORS} are needed")
    return addresses


def extra_data(addresses: list[bytes]) -> bytes:
    """Return the RLP of the first header's extra data: vanity, validators, no vote, round 0, no seals."""
    listed = rlp_list(b"".join(rlp_bytes(address) for address in addresses))
    return rlp_list(rlp_bytes(bytes(32)) + listed + rlp_list(b"") + rlp_bytes(b"") + rlp_list(b""))


def rlp_bytes(value: bytes) -> bytes:
    """Return a byte string in RLP; none here is a single byte or longer than 55."""
    return bytes([0x80 + len(value)]) + value


def rlp_list(payload: bytes) -> bytes:
    """Return a list in RLP."""
    if len(payload) <= 55:
        return bytes([0xC0 + len(payload)]) + payload
    size = len(payload).to_bytes((len(payload).bit_length() + 7) // 8, "big")
    return bytes([0xF7 + len(size)]) + size + payload


if __name__ == "__main__":
    main()
