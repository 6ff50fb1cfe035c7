"""The exchange for a buyer's own programs: `Exchange("buyer/config.toml")`, every answer a value or a polars frame.

The same verbs as `hdex buy`, over the same `Buyer`: what arrives is verified before it is returned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from hdex.catalog.cohort_answer import cohort_document
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.spreadsheet import FORMULA
from hdex.catalog.terms import AccessRequest, TermsDecision, decide
from hdex.ledger.event import format_time
from hdex.node.buyer import Buyer, Wish
from hdex.node.contract_record import ContractRecord
from hdex.node.errors import AccessDenied
from hdex.node.holder import Holder
from hdex.node.question import Question, question_of, read_question

FOUND = ("id", "version", "level", "modes", "title", "provider", "records", "price_cents", "currency")


class Exchange:
    """One buyer at the exchange."""

    def __init__(self, buyer: Buyer | Path | str, holder: Holder | None = None) -> None:
        """buyer: the configuration's path, or a Buyer that is wired already, and its Holder."""
        self._buyer = buyer if isinstance(buyer, Buyer) else opened(Path(buyer))
        self._path = Path() if isinstance(buyer, Buyer) else Path(buyer)
        self._holder = holder

    def find(self, text: str = "", *, lang: str = "en", mode: str = "", provider: str = "") -> pl.DataFrame:
        """Return the products that match, best first, one row each."""
        rows = [
            (
                *(product.id, product.version, product.level, [one.value for one in product.delivery_modes]),
                *(product.title.say(lang), product.provider.id, product.records),
                *(product.price.amount_cents, product.price.currency),
            )
            for product in self._buyer.find(text, lang=lang, mode=mode, provider=provider)
        ]
        return pl.DataFrame(rows, schema=dict(zip(FOUND, TYPES, strict=True)), orient="row")

    def show(self, product: str) -> DataProduct:
        """Return a product's manifest after checking its signature."""
        return self._buyer.show(product)[0]

    def precheck(self, product: str, purpose: str, **said: Any) -> TermsDecision:
        """Return what the product's terms say to a purpose, now and without asking anybody.

        said: disease, commercial, for_profit, country, uses, ethics_approval, accepts.
        """
        return decide(self.show(product).terms, self._access(purpose, said))

    def cohort(self, product: str, *where: str, **named: str) -> dict[str, Any]:
        """Return how many individuals fit, as a band, from the counts in the product's signed manifest.

        where: conditions `column=label`, or by name: `cohort(product, sex="F")`. Raises CohortInvalid, NoCohort.
        """
        return cohort_document(self.show(product), (*where, *(f"{column}={label}" for column, label in named.items())))

    def request(
        self,
        product: str,
        purpose: str,
        *,
        mode: str = "sealed_file",
        rounds: int = 0,
        statement: str = "",
        **said: Any,
    ) -> ContractRecord:
        """Ask for a contract; raise AccessDenied with rule and next step where the hospital's rules refuse."""
        return self._buyer.request(
            Wish(product, mode, self._access(purpose, said), max_rounds=rounds, statement=statement)
        )

    def status(self, contract: str) -> ContractRecord:
        """Return where a contract stands."""
        return self._buyer.status(contract)

    def standing(self, contract: str) -> dict[str, Any]:
        """Return how a contract stands: its life, its term, what was used and what is due."""
        return self._contracts().standing(contract)

    def renew(self, contract: str, *, rounds: int | None = None) -> ContractRecord:
        """Ask for a contract of the same terms that takes this one's place."""
        return self._contracts().renew(contract, rounds=rounds)

    def accept(self, contract: str) -> ContractRecord:
        """Check the agreement against the request and sign it."""
        return self._buyer.accept(contract)

    def fetch(self, contract: str) -> pl.DataFrame:
        """Receive a product, from where an earlier call stopped, and return its rows."""
        self._buyer.fetch(contract)
        return self._buyer.open(contract)

    def open(self, contract: str) -> pl.DataFrame:
        """Return a product that was received."""
        return self._buyer.open(contract)

    def query(self, contract: str, question: Question | Mapping[str, Any] | Path | str) -> pl.DataFrame:
        """Return an aggregate answer, one row per cell; null is what may not be told.

        question: a Question, its document, or the path of a TOML file.
        """
        asked = read_question(Path(question)) if isinstance(question, Path | str) else question
        asked = asked if isinstance(asked, Question) else question_of(asked)
        return answer_frame(self._buyer.query(contract, asked)["rows"], asked.by)

    def share(self, contract: str, path: Path | str) -> Path:
        """Write a Delta Sharing profile of a contract for download."""
        return self._buyer.share(contract, Path(path))

    def submit(self, contract: str, script: Path | str) -> dict[str, Any]:
        """Hand in a script for the enclave and return how its run stands."""
        return self._buyer.submit(contract, Path(script).read_bytes())

    def output(self, contract: str, run: str) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
        """Return how a run stands, and its tables once a person has released them."""
        document, found = self._buyer.run(contract, run)
        return document, {name: pl.read_csv(data) for name, data in found.items()}

    def study_file(self, contracts: Sequence[str], study: str) -> str:
        """Return the beginning of a study's file over federated contracts, to be finished by hand.

        Raises AccessDenied for a contract of another mode, or contracts of different purposes.
        """
        records = [self._buyer.status(contract) for contract in contracts]
        products = [self.show(str(record.asked["product"])) for record in records]
        return study_skeleton(study, records, products)

    def _contracts(self) -> Holder:
        if self._holder is None:
            self._holder = opened_holder(self._path)
        return self._holder

    def _access(self, purpose: str, said: Mapping[str, Any]) -> AccessRequest:
        at = format_time(datetime.now(UTC))
        return replace(AccessRequest(purpose=purpose, recipient=self._buyer.me, at=at), **said)


TYPES = (pl.String, pl.String, pl.Int64, pl.List(pl.String), pl.String, pl.String, pl.Int64, pl.Int64, pl.String)


def opened(config: Path) -> Buyer:
    """Return the buyer that a configuration names."""
    from hdex.node.compose.client import open_buyer
    from hdex.node.config import BuyerConfig, load

    return open_buyer(load(config, BuyerConfig))


def opened_holder(config: Path) -> Holder:
    """Return the buyer that a configuration names, with the contracts it has."""
    from hdex.node.compose.client import open_holder
    from hdex.node.config import BuyerConfig, load

    return open_holder(load(config, BuyerConfig))


def answer_frame(rows: Sequence[Mapping[str, Any]], by: Sequence[str] = ()) -> pl.DataFrame:
    """Return an answer's rows as a frame, the columns that group it first; what is null everywhere in a column of
    counts stays a number.
    """
    frame = pl.DataFrame(list(rows), infer_schema_length=None, strict=False)
    grouped = [name for name in by if name in frame.columns]
    frame = frame.select(*grouped, pl.exclude(grouped))
    return frame.with_columns(pl.col("n").cast(pl.Int64)) if "n" in frame.columns else frame


def harmless(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame for a spreadsheet: a text that would be run as a formula is written as text."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(FORMULA)).then("'" + pl.col(name)).otherwise(pl.col(name)).alias(name)
        for name in texts
    )


def study_skeleton(study: str, records: Sequence[ContractRecord], products: Sequence[DataProduct]) -> str:
    """Return a study's file with what contracts and manifests say; target and features stay to be chosen."""
    import tomli_w

    if any(record.asked["delivery_mode"] != DeliveryMode.FEDERATED for record in records):
        raise AccessDenied("agreement.mode", "ask for federated contracts", "a contract is not for federated use")
    if len({record.asked["access"]["purpose"] for record in records}) != 1:
        raise AccessDenied("agreement.purpose", "take contracts of one purpose", "the contracts name several purposes")
    columns = set.intersection(*({column.name for column in product.columns} for product in products))
    document = {
        "id": study,
        "kind": "logistic",
        "target": "",
        "features": [],
        "purpose": records[0].asked["access"]["purpose"],
        "max_rounds": min(int(record.asked["max_rounds"]) for record in records),
        "contracts": {str(record.asked["provider"]): record.contract_id for record in records},
    }
    named = "\n".join(f"#   {name}" for name in sorted(columns))
    return f"# Choose target and features among the columns that every product has:\n{named}\n{tomli_w.dumps(document)}"
