"""Aggregate questions, answered at the node: authorised anew, checked, within the budget, remembered, then told.

The same question has the same answer, and costs once. Never a row.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from hdex.catalog.licence import limits_of
from hdex.catalog.product import DeliveryMode
from hdex.federated.disclosure_regimes import Regime, strictest
from hdex.node.access_proof import AccessProof
from hdex.node.errors import AccessDenied
from hdex.node.hospital.clauses import EPSILON
from hdex.node.hospital.query_answer import Cells, Line, answer, cells_of
from hdex.node.hospital.query_register import Asked, QueryRegister
from hdex.node.hospital.released import Opened, Released
from hdex.node.identity import Identity
from hdex.node.meter import Meter
from hdex.node.question import Question, question_of
from hdex.node.recorder import Recorder
from hdex.node.signed import canonical
from hdex.node.stream import derive

COUNTING = ("count", "crosstab", "histogram")


@dataclass(frozen=True, slots=True)
class Answered:
    """What leaves: JSON of {question, rows, left}, and the proof that it stands in the log."""

    body: bytes
    proof: AccessProof


class Queries:
    """Answers questions under contracts for queries. secret: draws the noise where a contract promises it."""

    def __init__(
        self, released: Released, register: QueryRegister, recorder: Recorder, meter: Meter, secret: bytes
    ) -> None:
        self._released = released
        self._register = register
        self._recorder = recorder
        self._meter = meter
        self._secret = secret

    def ask(self, contract_id: str, document: Mapping[str, Any], actor: Identity) -> Answered:
        """Return the answer, or raise and tell nothing; a refusal is an event."""
        with self._recorder.refusals("query.run", actor, contract=contract_id), self._register.asking:
            opened = self._released.open(
                contract_id, DeliveryMode.QUERY, actor.participant, {"queries": 1}
            )  # 1 it lives
            question = question_of(document)  # 2 the grammar knows it
            require_columns(opened, question)  # 3 on the columns agreed
            frame = self._released.frame(opened)
            with self._released.querying(opened, rows=frame.height):
                told = self._told(opened, frame, question)  # 4 it gives nobody away, 5 the budget has it
                body = {"question": question.document(), "rows": told, "left": self._left(opened, question)}
                data = canonical(body)
                said = opened.facts(rows=frame.height, fields=len(told), request_digest=question.digest())
                said["result_digest"] = hashlib.sha256(data).hexdigest()
                if question.epsilon:
                    said["epsilon"] = question.epsilon
                receipt = self._recorder.allow("query.run", actor, **said)  # 6 remembered before it is told
        self._meter.add("answers", len(data))
        return Answered(data, self._recorder.proof(receipt))

    def _told(self, opened: Opened, frame: pl.DataFrame, question: Question) -> list[Line]:
        product, contract = opened.held.product, opened.record.contract_id
        floors = strictest().of_level(product.level)
        cells = cells_of(frame, question)
        about = {"consumer": opened.agreement.consumer, "product": product.id, "version": product.version}
        answered = self._register.answered(about["consumer"], about["product"])
        before = answered.pop(product.version, [])
        is_new = question.digest() not in self._released.book.questions(contract)
        if is_private(opened):
            told = self._noisy(opened, cells, question, floors=floors)
        else:
            if question.epsilon:
                raise AccessDenied("query.epsilon", "ask without epsilon", "the contract promises no noise")
            told = answer(frame, question, cells, floors)
            if all(row["digest"] != question.digest() for row in before):
                self._register.require_apart(frame, cells, shown(told), before, floor=floors.cell)
                asked = Asked(frame, question, cells, shown(told))
                for version, rows in answered.items():
                    then = self._released.rows_of(opened, version)
                    self._register.require_versions_apart(asked, then, (before, rows), floor=floors.cell)
        if is_new:
            takes = {"questions": 1, "rows": frame.height, "epsilon": question.epsilon}
            self._released.require_takes(opened, DeliveryMode.QUERY, takes)
            self._register.keep(contract, about, question, shown(told))
        return told

    def _noisy(self, opened: Opened, cells: Cells, question: Question, *, floors: Regime) -> list[Line]:
        """Return counts with two-sided geometric noise, the same for the same question; small ones blank after it.

        Cells of one question are of different rows: it costs its epsilon once.
        """
        if question.kind not in COUNTING or not question.epsilon:
            raise AccessDenied("query.epsilon", "ask counts, with an epsilon", "the contract promises privacy by noise")
        salt = f"{opened.record.grant_id}\n{question.digest()}".encode()
        seed = derive(self._secret, salt=salt, info=b"hdex/query-noise/v1")
        noise = geometric(np.random.default_rng(list(seed)), question.epsilon, len(cells.levels))
        counts = [max(0, int(count + extra)) for count, extra in zip(cells.counts, noise, strict=True)]
        names = ("from", "to") if question.kind == "histogram" else question.by
        return [
            dict(zip(names, level, strict=True)) | {"n": count if count >= floors.cell else None}
            for level, count in zip(cells.levels, counts, strict=True)
        ]

    def _left(self, opened: Opened, question: Question) -> int | None:
        """Return how many different questions are left after this one; None where the contract limits none."""
        agreed = limits_of(opened.agreement).get("questions")
        asked = self._released.book.questions(opened.record.contract_id) | {question.digest()}
        return None if agreed is None else max(0, int(agreed) - len(asked))


def shown(lines: list[Line]) -> list[int]:
    """Return which cells of an answer are not blank."""
    return [at for at, line in enumerate(lines) if line["n"] is not None]


def is_private(opened: Opened) -> bool:
    """Return whether a contract promises an epsilon."""
    return opened.agreement.clauses.get(EPSILON) is not None


def require_columns(opened: Opened, question: Question) -> None:
    """Raise AccessDenied where a question touches a column that the contract or the file does not have."""
    opened.agreement.require_columns(question.columns)
    if beyond := [name for name in question.columns if name not in opened.columns()]:
        asked = ", ".join(repr(name[:40]) for name in beyond)  # words of the question, no value of a record
        raise AccessDenied("query.columns", "ask the product's columns", f"{asked}: no column of this product's rows")


def geometric(rng: np.random.Generator, epsilon: float, count: int) -> list[int]:
    """Return two-sided geometric noise for a count that one row changes by one (Ghosh et al. 2009)."""
    stop = -math.expm1(-epsilon)
    return [int(one - other) for one, other in rng.geometric(stop, (count, 2))]
