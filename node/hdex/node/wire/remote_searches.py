"""Saved searches at the exchange, as an organisation keeps them: messages turned into plain documents here."""

from typing import Any

import grpc

from hdex.catalog.ports import Query
from hdex.proto.v1 import exchange_pb2, exchange_pb2_grpc


class RemoteSearches:
    """The searches of the caller's organisation."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._exchange = exchange_pb2_grpc.ExchangeServiceStub(channel)

    def save(self, query: Query, *, name: str, webhook: str = "") -> dict[str, Any]:
        """Keep a search and return it, with the key of its webhook's signatures where it has one."""
        request = exchange_pb2.SaveSearchRequest(query=_message(query), name=name, webhook=webhook)
        answer = self._exchange.SaveSearch(request)
        secret = {"webhook_secret": answer.webhook_secret} if answer.webhook_secret else {}
        return _document(answer.search) | secret

    def list(self) -> list[dict[str, Any]]:
        """Return the searches that are kept."""
        answer = self._exchange.ListSearches(exchange_pb2.ListSearchesRequest())
        return [_document(search) for search in answer.searches]

    def remove(self, search_id: str) -> None:
        """Forget a search."""
        self._exchange.RemoveSearch(exchange_pb2.RemoveSearchRequest(id=search_id))


def _message(query: Query) -> exchange_pb2.FindRequest:
    return exchange_pb2.FindRequest(
        text=query.text,
        lang=query.lang,
        level=query.level or 0,
        provider=query.provider or "",
        delivery_mode=query.mode or "",
        category=query.category or "",
        purpose=query.purpose or "",
        price_basis=query.price or "",
        price_plan=query.plan or "",
        quality_grade=query.grade or "",
    )


def _document(search: exchange_pb2.SavedSearch) -> dict[str, Any]:
    names = ("id", "name", "query", "webhook", "feed", "matches", "waiting", "given_up")
    return {name: getattr(search, name) for name in names}
