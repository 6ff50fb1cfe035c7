"""A purchase through the buyer's desk: signed in by the organisation's certificate, asked, signed, received."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from tests.journeys.stage import Stage, eventually
from tests.node.desk_stage import forms_of, said
from tests.node.test_desk_process import TIMEOUT_S, free_port, running

from hdex.node.config import BuyerConfig, load
from hdex.node.demo import acts_access
from hdex.node.demo.setting import APPLICANT, BUYER

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]
PROVIDER, SEALED = "hospital-c", "sealed_file"


@contextmanager
def desk(stage: Stage) -> Iterator[tuple[str, str]]:
    """Run the desk under TLS and yield (its address, a code that signs in once)."""
    command = ("--config", stage.setting.config_file(BUYER), "--port", free_port(), "--tls")
    with running("desk", r"^pages +(https://\S+?)/sign-in\?code=(\S+)$", *command, group="buy") as (found, _):
        yield found[1], found[2]


def browser(stage: Stage, address: str, shown: str = "") -> httpx.Client:
    """Return a browser that shows the certificate of a participant, or none."""
    files = load(stage.setting.config_file(shown or BUYER), BuyerConfig).identity
    context = ssl.create_default_context(cafile=str(files.ca))
    if shown:
        context.load_cert_chain(files.certificate, files.private_key)
    headers = {"origin": address}
    return httpx.Client(base_url=address, verify=context, headers=headers, follow_redirects=True, timeout=TIMEOUT_S)


def test_a_file_is_asked_for_signed_and_received_through_the_pages(stage: Stage) -> None:
    memory = stage.reach("vetting")
    product = str(memory.products[PROVIDER]["product"])
    acts_access.admit(memory, product, SEALED)
    with desk(stage) as (address, code), browser(stage, address, BUYER) as buyer:
        with browser(stage, address, APPLICANT) as other, browser(stage, address) as unknown:
            refused = other.get("/")
            assert (refused.status_code, "identity-refused" in refused.text) == (403, True)
            assert unknown.get("/").url.path == "/sign-in"
            assert "Signed in as your organisation" in said(unknown.get(f"/sign-in?code={code}").text)
        assert "Signed in as your organisation" in said(buyer.get("/").text)  # by certificate, without a code
        assert product in buyer.get("/find").text
        path = f"/products/{product}/contract"
        form = dict(forms_of(buyer.get(path).text))[path]
        asked = {"purpose": memory.plot.purpose, "disease": memory.plot.disease or "", "mode": SEALED, "rounds": "0"}
        claims = {"commercial": "yes", "for_profit": "yes", "plan": "", "columns": "", "statement": "post-market study"}
        answer = buyer.post(path, data=form | asked | claims)
        assert "Asked. The hospital decides next." in said(answer.text), said(answer.text)
        path = answer.url.path
        contract = path.rpartition("/")[2]
        stage.officer(PROVIDER).desk.decide(contract, approve=True)
        form = dict(forms_of(buyer.get(path).text))[f"{path}/accept"]
        assert "Checked and signed." in said(buyer.post(f"{path}/accept", data=form).text)
        form = dict(forms_of(buyer.get(path).text))[f"{path}/fetch"]
        buyer.post(f"{path}/fetch", data=form)
        eventually(lambda: "Receipt signed and heard" in said(buyer.get(path).text), "the receipt")
        assert "Nothing waits for you" in said(buyer.get("/").text)
    assert memory.cast.buyer.open(contract).height > 0
    told = [action for action in stage.actions(PROVIDER, contract=contract) if action != "contract.read"]
    assert told[-2:] == ["export", "delivery.acknowledge"]
