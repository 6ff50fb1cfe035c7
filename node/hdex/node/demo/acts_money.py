"""Money in the demo: what the delivered product was quoted at, and the invoice that its delivery came to."""

from hdex.catalog.money import say
from hdex.catalog.quote import Amounts, Order, quote
from hdex.node.compose.client import open_billing, open_customer
from hdex.node.config import BuyerConfig, HospitalConfig, load
from hdex.node.demo.memory import Memory
from hdex.node.demo.setting import BUYER, HOSPITALS
from hdex.node.invoice_file import read_file

OFFICER = "privacy_officer"


def bill(memory: Memory) -> None:
    """The buyer reckons what fewer columns would cost; the hospital bills what its log says; the buyer checks it."""
    setting, hospital = memory.setting, HOSPITALS[0]
    product, _ = memory.cast.buyer.show(memory.products[hospital]["product"])
    few = tuple(column.name for column in product.columns[: max(1, len(product.columns) // 2)])
    whole, part = (quote(product, Order(columns=columns), Amounts()) for columns in ((), few))
    prices = [say(one.total_cents, one.currency, "en") for one in (whole, part)]
    memory.say("invoice", f"quote: {prices[0]} with tax for {len(whole.columns)} columns, {prices[1]} for {len(few)}")
    desk = setting.home(hospital) / "staff" / OFFICER
    billing = open_billing(load(setting.config_file(hospital), HospitalConfig), desk)
    issued = billing.issue(memory.contracts["delivery"], "")
    customer = open_customer(load(setting.config_file(BUYER), BuyerConfig))
    (file,) = [one for one in customer.invoices(hospital) if one.number == issued.number]
    found = customer.check(read_file(customer.keep(file)))
    usage = found.invoice.usage
    counted = f"{usage.deliveries} delivery of {usage.rows:,} rows" if usage is not None else "nothing"
    amount = say(found.invoice.total_cents, found.invoice.currency, "en")
    memory.say("invoice", f"{file.number}: {amount} for {counted}; holds against {len(found.checked)} checks, "
                          f"entry {file.proof.index} of the log")  # fmt: skip
