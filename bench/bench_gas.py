"""Gas of every call of the contract, and of an event at 2,000 per anchor against one transaction per event.

Gas does not depend on the machine: it is read from receipts of the embedded chain. "One transaction per event" is the
cheapest that could be asked for: an account calls a contract of four instructions that logs the 32 bytes it is given.
"""

import hashlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import results_file
from eth_account import Account
from web3 import Web3

from hdex.ledger import contract
from hdex.ledger.chain_web3 import connect
from hdex.ledger.evm import EmbeddedChain
from hdex.node.wire.chain_rpc import ChainServer

CHAIN_ID, EVENTS_PER_ANCHOR, ANCHORS = 40426, 2_000, 5
BAR = 1_000
# CALLDATACOPY(0, 0, 32); LOG1(0, 32, calldata[0]) - stores nothing, checks nobody
LOGGER = bytes.fromhex("60206000600037600035602060" + "00a100")
KEYS = {name: hashlib.sha256(f"gas {name}".encode()).digest() for name in ("operator", "node", "next")}
WHO = {name: contract.account_address(key) for name, key in KEYS.items()}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as folder:
        chain = EmbeddedChain(
            Path(folder) / "chain.db", list(WHO.values()), lambda: datetime.now(UTC), chain_id=CHAIN_ID
        )
        with ChainServer(chain.respond) as server:
            figures = measured(Bench(server.url))
        chain.close()
    inputs = {"events_per_anchor": EVENTS_PER_ANCHOR, "compiler": contract.build().compiler, "bar": BAR}
    path = results_file.write("gas", command="bench/bench_gas.py", inputs=inputs, figures=figures)
    path.with_suffix(".md").write_text(table(figures) + "\n", encoding="utf-8")
    print(table(figures))
    print(f"{path} and .md are rewritten")


class Bench:
    """One contract, and the gas that each transaction took."""

    def __init__(self, url: str) -> None:
        self.web3 = connect(url)
        build = contract.build()
        abi: Any = list(build.abi)
        made = self.web3.eth.contract(abi=abi, bytecode=build.bytecode).constructor("4 validators of 4 organisations")
        receipt = self.send("operator", made.build_transaction(self.fields("operator", gas=4_000_000)))
        self.deployment = int(receipt["gasUsed"])
        self.contract = self.web3.eth.contract(receipt["contractAddress"], abi=abi)

    def fields(self, sender: str, *, gas: int = 1_000_000) -> Any:
        nonce = self.web3.eth.get_transaction_count(Web3.to_checksum_address(WHO[sender]))
        return {"from": WHO[sender], "nonce": nonce, "gas": gas, "gasPrice": 0, "chainId": CHAIN_ID}

    def send(self, sender: str, fields: Any) -> Any:
        signed = Account.from_key(KEYS[sender]).sign_transaction(fields)
        receipt = self.web3.eth.wait_for_transaction_receipt(self.web3.eth.send_raw_transaction(signed.raw_transaction))
        assert receipt["status"] == 1
        return receipt

    def call(self, sender: str, name: str, *arguments: object) -> int:
        fields = self.contract.functions[name](*arguments).build_transaction(self.fields(sender))
        return int(self.send(sender, fields)["gasUsed"])

    def one_transaction_per_event(self, events: int) -> list[int]:
        """Return the gas of each event that is a transaction of its own."""
        size = len(LOGGER)
        initcode = bytes([0x60, size, 0x60, 12, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xF3]) + LOGGER
        made = self.send("operator", self.fields("operator") | {"data": initcode, "to": b"", "value": 0})
        spent = []
        for number in range(events):
            data = digest(f"event {number}")
            receipt = self.send("node", self.fields("node") | {"data": data, "to": made["contractAddress"], "value": 0})
            assert [bytes(log["data"]) for log in receipt["logs"]] == [data]
            spent.append(int(receipt["gasUsed"]))
        return spent


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def measured(bench: Bench) -> dict[str, Any]:
    node, later = contract.node_word("hospital-a"), 2_000_000_000
    gas: dict[str, int | list[int]] = {"deploy": bench.deployment}
    gas["enroll"] = bench.call("operator", "enroll", node, WHO["node"], digest("key"))
    anchors = [
        bench.call("node", "anchor", node, 0, size * EVENTS_PER_ANCHOR, digest(f"root {size}"), digest(f"note {size}"))
        for size in range(1, ANCHORS + 1)
    ]
    gas["anchor, first"], gas["anchor"] = anchors[0], anchors[1:]
    gas["listProduct"] = bench.call("node", "listProduct", node, digest("product"))
    gas["withdraw"] = bench.call("node", "withdraw", digest("product"))
    gas["issueGrant"] = bench.call("node", "issueGrant", digest("grant"), node, digest("agreement"), later)
    gas["revokeGrant"] = bench.call("node", "revokeGrant", digest("grant"))
    gas["sealRound, first of a study"] = bench.call("node", "sealRound", digest("study"), 1, digest("round 1"))
    gas["sealRound"] = bench.call("node", "sealRound", digest("study"), 2, digest("round 2"))
    gas["rotate"] = bench.call("operator", "rotate", node, WHO["next"], digest("key 2"))
    single = bench.one_transaction_per_event(ANCHORS)
    per_event = [spent / EVENTS_PER_ANCHOR for spent in anchors[1:]]
    ratios = [alone / shared for alone, shared in zip(single[1:], per_event, strict=True)]
    return {
        **{
            name: results_file.figure(spent if isinstance(spent, list) else [spent], "gas")
            for name, spent in gas.items()
        },
        "one_transaction_per_event": results_file.figure(single, "gas"),
        "event_in_an_anchor": results_file.figure(per_event, "gas"),
        "ratio": results_file.figure(ratios, "x less"),
        "bar_met": min(ratios) >= BAR,
    }


def whole(value: float) -> float:
    """Return a count without a point."""
    return int(value) if value == int(value) else value


def table(figures: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    rows = [f"| {name} | {whole(found['median']):,} |" for name, found in figures.items() if isinstance(found, dict)]
    return "\n".join(["| call | gas |", "| --- | ---: |", *cast("list[str]", rows)])


if __name__ == "__main__":
    main()
