"""`hdex buy negotiate`: a contract with a provider over the Dataspace Protocol, without the exchange."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdex.node.cli.options import PURPOSE, Config, Json

if TYPE_CHECKING:
    from hdex.node.buyer import Wish
    from hdex.node.compose.dealing import Dealing
    from hdex.node.config import BuyerConfig
    from hdex.node.contract_record import ContractRecord

Connector = Annotated[str, typer.Option(help="Its connector: https://host:port/dsp")]
Rounds = Annotated[int | None, typer.Option(help="Federated rounds asked for; with --counter: instead of the offer's.")]


def negotiate(  # noqa: PLR0913  # typer: each option is a parameter
    product: Annotated[str, typer.Argument(help="Product id.")],
    config: Config,
    *,
    provider: Annotated[str, typer.Option(help="Participant id of the provider.")],
    connector: Connector,
    purpose: Annotated[str, typer.Option(help=PURPOSE)],
    mode: Annotated[str, typer.Option(help="sealed_file, query, enclave, download or federated")] = "sealed_file",
    disease: Annotated[str, typer.Option(help="ICD-10 code, for disease-specific purposes.")] = "",
    plan: Annotated[str, typer.Option(help="Plan of the price; none is the first that the product offers.")] = "",
    columns: Annotated[str, typer.Option(help="Columns for federated use, with commas; none means all.")] = "",
    rounds: Rounds = None,
    contract: Annotated[str, typer.Option(help="Contract id of an earlier call, to go on with it.")] = "",
    wait_s: Annotated[float, typer.Option(help="How long to wait for the provider's next word.")] = 60.0,
    accept: Annotated[bool, typer.Option("--accept", help="Accept the provider's offer as it is.")] = False,
    counter: Annotated[
        bool, typer.Option("--counter", help="Counter the offer with --plan, --columns, --rounds, --until.")
    ] = False,
    until: Annotated[str, typer.Option(help="With --counter: latest end, as in 2027-06-30T00:00:00Z.")] = "",
    withdraw: Annotated[str, typer.Option(help="End the negotiation, for this reason.")] = "",
    fetch: Annotated[bool, typer.Option(help="Receive the product once the contract is final.")] = False,
    as_json: Json = False,
) -> None:
    """Ask a provider for a contract, sign its agreement when it is what was asked, and wait until it is final."""
    from hdex.node.cli.buy_invoices import order_of
    from hdex.node.cli.serving import show, talk

    settings = ready(config, connector)
    from hdex.catalog.documents import to_document
    from hdex.node.compose.dealing import dealing
    from hdex.node.dsp.connector import new_pid

    order = order_of(plan, columns)
    with dealing(settings, provider, connector.rstrip("/"), wait_s=wait_s) as one:
        contract = contract or new_pid()
        talk("contract", contract)
        if withdraw:
            record = one.holder.withdraw(contract, withdraw)
            show({"contract": contract, "state": record.state, "rule": record.rule}, as_json=as_json)
            return
        if accept:
            record = one.bargain.accept(contract)
        elif counter:
            terms: dict[str, Any] = {"order": to_document(order)} if plan or columns else {}
            terms |= {"until": until} if until else {}
            record = one.bargain.counter(contract, terms | ({} if rounds is None else {"max_rounds": rounds}))
        else:
            wish = wish_of(product, settings.id, purpose, disease, mode=mode, order=order, rounds=rounds or 0)
            record = begun(one, contract, wish)
        found: dict[str, Any] = {"contract": contract, **settled(one, record)}
        if fetch and found["state"] == "FINALIZED":
            found |= fetched(one, contract)
        show(found, as_json=as_json)


def begun(one: "Dealing", contract: str, wish: "Wish") -> "ContractRecord":
    """Return the record of a negotiation: one that is known is not asked for again."""
    from hdex.node.errors import NotFound

    try:
        return one.buyer.status(contract)
    except NotFound:
        return one.buyer.request(wish, contract_id=contract)


def settled(one: "Dealing", record: "ContractRecord") -> dict[str, Any]:
    """Wait for the provider's word, sign an agreement that is what was asked, and return where the contract stands."""
    contract = record.contract_id
    record = one.market.awaited(contract)
    if record.agreement is not None or record.state == "TERMINATED":
        record = one.buyer.accept(contract)  # raises with rule and next step where it was ended
    found: dict[str, Any] = {"state": record.state, "rule": record.rule, "next_step": record.next_step}
    if record.state == "OFFERED":
        found["offer"] = one.bargain.offered(contract)
    return found | {"grant": record.grant_id}


def fetched(one: "Dealing", contract: str) -> dict[str, str]:
    """Receive a product within a transfer of the protocol, which is complete once the receipt is signed."""
    transfer = one.market.transfer(contract)
    path = one.buyer.fetch(contract).path
    one.market.complete(transfer)
    return {"file": str(path), "transfer": one.market.connector.process(transfer).state}


def ready(config: Path, connector: str) -> "BuyerConfig":
    """Return the buyer's configuration, with this process prepared to reach the connector."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import BuyerConfig, load

    settings = load(config, BuyerConfig)
    prepare(settings.data_dir, [connector, *(settings.dsp.callback_hosts if settings.dsp is not None else [])])
    return settings


def wish_of(product: str, me: str, purpose: str, disease: str, **said: Any) -> "Wish":
    """Return a wish. said: mode, order, rounds."""
    from datetime import UTC, datetime

    from hdex.catalog.terms import AccessRequest
    from hdex.ledger.event import format_time
    from hdex.node.buyer import Wish

    access = AccessRequest(purpose=purpose, recipient=me, at=format_time(datetime.now(UTC)), disease=disease or None)
    return Wish(product, said["mode"], access, max_rounds=said["rounds"], order=said["order"])
