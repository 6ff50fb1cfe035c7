"""The exchange's gRPC services: messages to values, a verb, values to messages. Nothing is decided here."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import grpc

from hdex.catalog.cursor import read_cursor, write_cursor
from hdex.catalog.documents import to_document
from hdex.catalog.ports import Query
from hdex.catalog.quote import Amounts
from hdex.node.exchange.contracts import Contracts
from hdex.node.exchange.enquiries import Enquiries
from hdex.node.exchange.listings import Listings
from hdex.node.exchange.searches import Searches, Told
from hdex.node.exchange.studies import Studies
from hdex.node.wire.channel_server import ChannelServer
from hdex.node.wire.interceptors import caller, visitor
from hdex.node.wire.messages import dump, progress, read_object, status_message, unpack
from hdex.node.wire.page_tokens import asked_of, page_of
from hdex.node.wire.server import Adder
from hdex.proto.v1 import common_pb2, exchange_pb2, exchange_pb2_grpc

Context = grpc.ServicerContext


class ExchangeServicer(exchange_pb2_grpc.ExchangeServiceServicer):
    """Products."""

    def __init__(self, listings: Listings, searches: Searches, enquiries: Enquiries) -> None:
        self._listings = listings
        self._searches = searches
        self._enquiries = enquiries

    def Publish(
        self, request: exchange_pb2.PublishProductRequest, context: Context
    ) -> exchange_pb2.PublishProductResponse:
        digest = self._listings.publish(unpack(request.manifest), caller(context))
        return exchange_pb2.PublishProductResponse(digest=digest)

    def Withdraw(
        self, request: exchange_pb2.WithdrawProductRequest, context: Context
    ) -> exchange_pb2.WithdrawProductResponse:
        self._listings.withdraw(unpack(request.notice), caller(context))
        return exchange_pb2.WithdrawProductResponse()

    def Amend(self, request: exchange_pb2.AmendProductRequest, context: Context) -> exchange_pb2.AmendProductResponse:
        state = self._listings.amend(unpack(request.step), caller(context))
        return exchange_pb2.AmendProductResponse(state=state)

    def Find(self, request: exchange_pb2.FindRequest, context: Context) -> exchange_pb2.FindResponse:
        query = query_of(request)
        after = read_cursor(request.page_token, query) if request.page_token else None
        page = self._listings.find(replace(query, limit=request.page_size or 20, after=after), visitor(context))
        return exchange_pb2.FindResponse(
            products=[dump(hit.product.document()) for hit in page.hits],
            total=page.total,
            next_page_token=write_cursor(page.follows, query) if page.follows else "",
            meant=page.meant,
        )

    def Show(self, request: exchange_pb2.ShowRequest, context: Context) -> exchange_pb2.ShowResponse:
        listing = self._listings.show(request.product_id, visitor(context))
        return exchange_pb2.ShowResponse(
            manifest=common_pb2.Envelope(json=listing.envelope),
            digest=listing.product.digest(),
            state=listing.state.value,
        )

    def Render(self, request: exchange_pb2.RenderRequest, context: Context) -> exchange_pb2.RenderResponse:
        form, lang = request.form, request.lang or "en"
        body, media_type = self._enquiries.render(request.product_id, form, lang, visitor(context))
        return exchange_pb2.RenderResponse(body=body, media_type=media_type)

    def Precheck(self, request: exchange_pb2.PrecheckRequest, context: Context) -> exchange_pb2.PrecheckResponse:
        found = self._enquiries.precheck(request.product_id, read_object(request.access), visitor(context))
        return exchange_pb2.PrecheckResponse(
            advice=found.advice.value,
            rule=found.rule,
            why=common_pb2.Words(en=found.why.en, zh=found.why.zh),
            next=common_pb2.Words(en=found.next.en, zh=found.next.zh),
        )

    def Quote(self, request: exchange_pb2.QuoteRequest, context: Context) -> exchange_pb2.QuoteResponse:
        amounts = Amounts(quantity=request.quantity or 1, rows=request.rows or None, months=request.months or 1)
        columns = tuple(request.columns)
        found = self._enquiries.quote(request.product_id, request.plan, columns, amounts, visitor(context))
        return exchange_pb2.QuoteResponse(quote=json.dumps(to_document(found), ensure_ascii=False).encode())

    def Cohort(self, request: exchange_pb2.CohortRequest, context: Context) -> exchange_pb2.CohortResponse:
        found = self._enquiries.cohort(request.product_id, tuple(request.where), visitor(context))
        return exchange_pb2.CohortResponse(answer=json.dumps(found, ensure_ascii=False).encode())

    def SaveSearch(self, request: exchange_pb2.SaveSearchRequest, context: Context) -> exchange_pb2.SaveSearchResponse:
        told, secret = self._searches.save(query_of(request.query), request.name, request.webhook, caller(context))
        return exchange_pb2.SaveSearchResponse(search=search_message(told), webhook_secret=secret)

    def ListSearches(
        self, request: exchange_pb2.ListSearchesRequest, context: Context
    ) -> exchange_pb2.ListSearchesResponse:
        actor = caller(context)
        asked = asked_of(request, actor.participant)
        page, token = page_of(self._searches.mine(actor), lambda told: (told.search.created, told.search.id), asked)
        return exchange_pb2.ListSearchesResponse(searches=map(search_message, page), next_page_token=token)

    def RemoveSearch(
        self, request: exchange_pb2.RemoveSearchRequest, context: Context
    ) -> exchange_pb2.RemoveSearchResponse:
        self._searches.remove(request.id, caller(context))
        return exchange_pb2.RemoveSearchResponse()


class ContractServicer(exchange_pb2_grpc.ContractServiceServicer):
    """Negotiations."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts

    def Request(self, request: exchange_pb2.RequestRequest, context: Context) -> common_pb2.ContractStatus:
        return status_message(self._contracts.request(unpack(request.request), caller(context)))

    def SubmitDecision(
        self, request: exchange_pb2.SubmitDecisionRequest, context: Context
    ) -> common_pb2.ContractStatus:
        return status_message(
            self._contracts.decided(request.contract_id, request.rule, request.next_step, caller(context))
        )

    def SubmitAgreement(
        self, request: exchange_pb2.SubmitAgreementRequest, context: Context
    ) -> common_pb2.ContractStatus:
        return status_message(self._contracts.agreed(unpack(request.agreement), caller(context)))

    def Verify(self, request: exchange_pb2.VerifyRequest, context: Context) -> common_pb2.ContractStatus:
        return status_message(self._contracts.verified(unpack(request.agreement), caller(context)))

    def GetContract(self, request: exchange_pb2.GetContractRequest, context: Context) -> common_pb2.ContractStatus:
        return status_message(self._contracts.status(request.contract_id, caller(context)))

    def ListContracts(
        self, request: exchange_pb2.ListContractsRequest, context: Context
    ) -> exchange_pb2.ListContractsResponse:
        actor = caller(context)
        asked = asked_of(request, actor.participant)
        after = asked.after[0] if asked.after else ""
        found = self._contracts.mine(
            actor, state=request.state, product=request.product_id, after=after, size=asked.size
        )
        page, token = page_of(found, lambda record: (record.contract_id,), asked)
        return exchange_pb2.ListContractsResponse(contracts=map(status_message, page), next_page_token=token)

    def Revoke(self, request: exchange_pb2.RevokeContractRequest, context: Context) -> common_pb2.ContractStatus:
        return status_message(self._contracts.revoked(request.contract_id, request.reason, caller(context)))

    def WithdrawContract(
        self, request: exchange_pb2.WithdrawContractRequest, context: Context
    ) -> common_pb2.ContractStatus:
        return status_message(self._contracts.withdrawn(unpack(request.termination), caller(context)))


class StudyServicer(exchange_pb2_grpc.StudyServiceServicer):
    """Studies."""

    def __init__(self, studies: Studies) -> None:
        self._studies = studies

    def Plan(self, request: exchange_pb2.PlanStudyRequest, context: Context) -> exchange_pb2.PlanStudyResponse:
        study = self._studies.plan(read_object(request.question), caller(context))
        return exchange_pb2.PlanStudyResponse(study=dump(study))

    def Start(self, request: exchange_pb2.StartStudyRequest, context: Context) -> Iterator[common_pb2.Progress]:
        actor, envelope = caller(context), unpack(request.study)
        return progress(lambda say: self._studies.start(envelope, actor, say), context.is_active)


class ChannelServicer(exchange_pb2_grpc.ChannelServiceServicer):
    """The stream on which a site waits for the frames of a study."""

    def __init__(self, channels: ChannelServer) -> None:
        self._channels = channels

    def Connect(self, request_iterator: Iterator[exchange_pb2.Frame], context: Context) -> Iterator[exchange_pb2.Frame]:
        return self._channels.attach(caller(context).participant, request_iterator, context)


def query_of(request: exchange_pb2.FindRequest) -> Query:
    """Return what a message asks, without its page."""
    return Query(
        text=request.text,
        lang=request.lang or "en",
        level=request.level or None,
        provider=request.provider or None,
        mode=request.delivery_mode or None,
        category=request.category or None,
        purpose=request.purpose or None,
        price=request.price_basis or None,
        plan=request.price_plan or None,
        grade=request.quality_grade or None,
    )


def search_message(told: Told) -> exchange_pb2.SavedSearch:
    """Return a saved search as its message."""
    search = told.search
    return exchange_pb2.SavedSearch(
        id=search.id,
        name=search.name,
        query=search.words(),
        webhook=search.webhook,
        feed=told.feed,
        matches=len(search.matches),
        waiting=told.waiting,
        given_up=told.given_up,
    )


@dataclass(frozen=True, slots=True)
class CatalogueDesk:
    """What is asked of the catalogue."""

    listings: Listings
    searches: Searches
    enquiries: Enquiries


def exchange_adders(
    desk: CatalogueDesk, contracts: Contracts, studies: Studies, channels: ChannelServer
) -> list[Adder]:
    """Return the exchange's services."""
    add, servicer = exchange_pb2_grpc, ExchangeServicer(desk.listings, desk.searches, desk.enquiries)
    return [
        lambda server: add.add_ExchangeServiceServicer_to_server(servicer, server),
        lambda server: add.add_ContractServiceServicer_to_server(ContractServicer(contracts), server),
        lambda server: add.add_StudyServiceServicer_to_server(StudyServicer(studies), server),
        *channel_adders(channels),
    ]


def channel_adders(channels: ChannelServer) -> list[Adder]:
    """Return the service on which sites wait: of an exchange, or of a region."""
    return [
        lambda server: exchange_pb2_grpc.add_ChannelServiceServicer_to_server(ChannelServicer(channels), server),
    ]
