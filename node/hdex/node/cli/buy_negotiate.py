"""`hdex buy negotiate`: a contract with a provider over the Dataspace Protocol, without the exchange."""

from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.options import Config, Json

if TYPE_CHECKING:
    from hdex.node.buyer import Wish


def negotiate(
    product: Annotated[str, typer.Argument(help="Product id.")],
    config: Config,
    *,
    provider: Annotated[str, typer.Option(help="Participant id of the provider.")],
    connector: Annotated[str, typer.Option(help="Its connector: https://host:port/dsp")],
    purpose: Annotated[str, typer.Option(help="Purpose: a DUO code.")],
    disease: Annotated[str, typer.Option(help="ICD-10 code, for disease-specific purposes.")] = "",
    contract: Annotated[str, typer.Option(help="Contract id of an earlier call, to go on with it.")] = "",
    wait_s: Annotated[float, typer.Option(help="How long to wait for the provider's next word.")] = 60.0,
    fetch: Annotated[bool, typer.Option(help="Receive the product once the contract is final.")] = False,
    as_json: Json = False,
) -> None:
    """Ask a provider for a contract, sign its agreement when it is what was asked, and wait until it is final."""
    from hdex.node.cli.serving import prepare, show, talk
    from hdex.node.config import BuyerConfig, load

    settings = load(config, BuyerConfig)
    prepare(settings.data_dir, [connector, *(settings.dsp.callback_hosts if settings.dsp is not None else [])])
    from hdex.node.compose.dealing import dealing
    from hdex.node.dsp.connector import new_pid

    with dealing(settings, provider, connector.rstrip("/"), wait_s=wait_s) as one:
        wish = wish_of(product, settings.id, purpose, disease)
        contract = contract or new_pid()
        talk("contract", contract)
        one.buyer.request(wish, contract_id=contract)
        record = one.market.awaited(contract)
        if record.agreement is not None or record.state == "TERMINATED":
            record = one.buyer.accept(contract)
        found = {"contract": contract, "state": record.state, "rule": record.rule, "next_step": record.next_step}
        if fetch and record.state == "FINALIZED":
            transfer = one.market.transfer(contract)
            found["file"] = str(one.buyer.fetch(contract).path)
            one.market.complete(transfer)
            found["transfer"] = one.market.connector.process(transfer).state
        show(found | {"grant": record.grant_id}, as_json=as_json)


def wish_of(product: str, me: str, purpose: str, disease: str) -> "Wish":
    """Return a wish for a sealed file."""
    from datetime import UTC, datetime

    from hdex.catalog.terms import AccessRequest
    from hdex.ledger.event import format_time
    from hdex.node.buyer import Wish

    at = format_time(datetime.now(UTC))
    return Wish(product, "sealed_file", AccessRequest(purpose=purpose, recipient=me, at=at, disease=disease or None))
