"""The catalogue's web application. Read only: every address answers GET and HEAD and stores nothing."""

import logging
from asyncio import get_running_loop
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

from hdex.catalog.atom import Feed, atom_feed, match_of
from hdex.catalog.croissant import croissant
from hdex.catalog.dcat import dataset
from hdex.catalog.dsp import dsp_dataset
from hdex.catalog.errors import IndexUnavailable, NotListed, ProductInvalid, ProductWithdrawn
from hdex.catalog.healthdcat import health_dataset
from hdex.catalog.index import Catalogue
from hdex.catalog.ports import LIMIT, Listing, Page, Query
from hdex.catalog.product import Provider, levels
from hdex.catalog.terms import Text, purposes
from hdex.catalog.web import facets, formats
from hdex.catalog.web.assets import Assets
from hdex.catalog.web.feeds import SavedFeeds, feed_answer
from hdex.catalog.web.headers import SECURITY_HEADERS, SecurityHeaders
from hdex.catalog.web.kept import KeptPages
from hdex.catalog.web.labels import LANGUAGES, speaker, word
from hdex.catalog.web.product_page import Digests, Rows, Told, product_values
from hdex.catalog.web.sheet import sheet
from hdex.catalog.web.status import ExchangeStatus, age, status_document

logger = logging.getLogger(__name__)

Contracts = Callable[[], Rows]
Timeline = Callable[[str], Rows]
Versions = Callable[[Listing], Rows]
Status = Callable[[], ExchangeStatus]
Clock = Callable[[], datetime]
SavedFeed = Callable[[str], Feed | None]
NEWEST = 3
NAMED_BY = {"price": "basis"}  # facet -> section of the labels, where they differ
RENDERERS_AT_ONCE = 2
MOST_PROVIDERS = 10_000  # whose names are kept
MAIN_WAY = ("REQUESTED", "AGREED", "VERIFIED", "FINALIZED")
JSON_LD = "application/ld+json"
RENDERERS: Mapping[str, tuple[Callable[..., Mapping[str, object]], str]] = {
    "dcat": (dataset, JSON_LD),
    "healthdcat": (health_dataset, JSON_LD),
    "dsp": (dsp_dataset, "application/json"),
    "croissant": (croissant, JSON_LD),
}


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def create_app(
    index: Catalogue,
    *,
    contracts: Contracts | None = None,
    timeline: Timeline | None = None,
    versions: Versions | None = None,
    feed: SavedFeed | None = None,
    status: Status | None = None,
    clock: Clock = utc_now,
    base: str = "https://exchange.hdex.test",
) -> FastAPI:
    """Return the application over `index`.

    contracts: each row {id, product, provider, consumer, purpose, state, updated, rule?}; without it no contracts page.
    timeline: product id -> rows {time, action, decision, node, index, reason?} of the ledger, oldest first.
    versions: listing -> rows {version, state, since} of its product, newest first.
    feed: token of a saved search's address -> its feed, or None.
    status: how the exchange stands; without it no status page.
    base: the exchange's public address, for links in JSON-LD (the Host header is a visitor's word, not ours).
    """
    app = FastAPI(title="hdex catalogue", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.renderers = ThreadPoolExecutor(RENDERERS_AT_ONCE, thread_name_prefix="page")
    pages = Pages(index, Told(timeline=timeline, versions=versions, contracts=contracts, status=status), clock, base)
    for lang in LANGUAGES:
        root = "" if lang == LANGUAGES[0] else f"/{lang}"
        _route(app, root or "/", pages.home, lang)
        if root:
            _route(app, f"{root}/", pages.home, lang)
        _route(app, f"{root}/products", pages.results, lang)
        _route(app, f"{root}/products.atom", pages.newest, lang)
        _route(app, f"{root}/products/{{product_id}}", pages.product, lang)
        _route(app, f"{root}/products/{{product_id}}/sheet", pages.sheet, lang)
        if contracts is not None:
            _route(app, f"{root}/contracts", pages.contracts, lang)
        if status is not None:
            _route(app, f"{root}/status", pages.status, lang)
    if status is not None:
        _route(app, "/status.json", pages.status_json, "en")
    _route(app, "/products/{product_id}/manifest", pages.manifest, "en")
    _route(app, "/products/{product_id}/{rendering}", pages.rendering, "en")
    if feed is not None:
        _route(app, "/feeds/{token}", SavedFeeds(feed).answer, "en")
    app.mount("/static", pages.assets, name="static")
    app.add_exception_handler(HTTPException, pages.problem)
    app.add_exception_handler(IndexUnavailable, pages.away)
    app.add_exception_handler(Exception, pages.failure)
    app.add_middleware(KeptPages, revision=lambda: index.revision)
    app.add_middleware(SecurityHeaders)
    return app


def _route(app: FastAPI, path: str, page: Callable[[Request, str], Response], lang: str) -> None:
    """Answer a path with a page, rendered by one of few threads: many would only take turns at one processor."""
    renderers: ThreadPoolExecutor = app.state.renderers

    async def answer(request: Request) -> Response:
        return await get_running_loop().run_in_executor(renderers, page, request, lang)

    app.add_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False)


class Pages:
    """Every page, rendered from the index."""

    def __init__(self, index: Catalogue, told: Told, clock: Clock, base: str) -> None:
        self._index = index
        self._told = told
        self._clock = clock
        self._base = base
        self._digests = Digests()
        self._providers: dict[str, Text] = {}
        self.assets = Assets("hdex.catalog.web")
        self._templates = Environment(
            loader=PackageLoader("hdex.catalog.web", "templates"),
            autoescape=True,  # every product field is a stranger's text
            undefined=StrictUndefined,
            auto_reload=False,  # or every page asks the disk whether its template has changed
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def home(self, request: Request, lang: str) -> Response:
        """Return the first page: search, what hdex is, newest products."""
        found = self._index.find(Query(lang=lang, limit=NEWEST))
        return self._render("home.html", request, lang, {"found": found})

    def results(self, request: Request, lang: str) -> Response:
        """Return the results page; its whole state is its URL."""
        choice, root = facets.Choice.read(request.query_params), _root(lang)
        found = self._index.find(choice.query(lang))
        name = self._naming(found, lang)
        shown: dict[str, object] = {
            "found": found,
            "choice": choice,
            "facets": facets.facets(choice, found, root=root, name=name),
            "chips": facets.chips(choice, root=root, name=name),
            "pages": facets.pages(choice, found, root=root),
            "feed_url": choice.feed_url(root),
        }
        return self._render("results.html", request, lang, shown)

    def newest(self, request: Request, lang: str) -> Response:
        """Return what is new under the choice that the address names, as an Atom feed."""
        choice, root = facets.Choice.read(request.query_params), _root(lang)
        found = self._index.find(replace(choice.query(lang), limit=LIMIT, offset=0))
        entries = sorted(map(match_of, found.hits), key=lambda match: match.at, reverse=True)
        title = f"hdex: {choice.text}" if choice.text else "hdex"
        base = self._base.rstrip("/")
        return feed_answer(request, atom_feed(title, entries, own=base + choice.feed_url(root), base=base))

    def product(self, request: Request, lang: str) -> Response:
        """Return one product's page."""
        at, listing = self._clock().isoformat(), self._listing(request)
        digest = self._digests.of(listing.product)
        shown = product_values(listing, digest, request.query_params, self._told, lang=lang, at=at)
        return self._render("product.html", request, lang, shown)

    def sheet(self, request: Request, lang: str) -> Response:
        """Return a product's specification sheet, as a page that prints well."""
        return HTMLResponse(sheet(self._listing(request).product, lang, linked=self.assets.address("sheet.css")))

    def status(self, request: Request, lang: str) -> Response:
        """Return how the exchange stands."""
        shown = self._stands()
        units = [speaker(lang)(f"status.{unit}") for unit in ("days", "hours", "minutes", "seconds")]
        ages = {"age": lambda span: age(span, units), "since": lambda time: age(shown.at - time, units)}
        return self._render("status.html", request, lang, {"status": shown, **ages})

    def status_json(self, request: Request, lang: str) -> Response:
        """Return the same as JSON."""
        return JSONResponse(status_document(self._stands()))

    def _stands(self) -> ExchangeStatus:
        if self._told.status is None:
            raise HTTPException(404)
        return self._told.status()

    def contracts(self, request: Request, lang: str) -> Response:
        """Return the contracts and their states."""
        rows = self._told.contracts() if self._told.contracts is not None else ()
        titles = {row["product"]: self._title(str(row["product"]), lang) for row in rows}
        shown = {"rows": rows, "titles": titles, "way": MAIN_WAY, "purposes": purposes()}
        return self._render("contracts.html", request, lang, shown)

    def manifest(self, request: Request, lang: str) -> Response:
        """Return the signed envelope as its provider sent it."""
        listing = self._listing(request)
        name = f"{listing.product.id}-{listing.product.version}.json"
        disposition = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(listing.envelope, media_type="application/json", headers=disposition)

    def rendering(self, request: Request, lang: str) -> Response:
        """Return the product in the words of another catalogue; 404 for one its record cannot be told in."""
        render, media_type = RENDERERS.get(request.path_params["rendering"], (None, ""))
        if render is None:
            raise HTTPException(404)
        try:
            return JSONResponse(render(self._listing(request).product, base=self._base), media_type=media_type)
        except ProductInvalid as incomplete:
            raise HTTPException(404) from incomplete

    async def problem(self, request: Request, error: Exception) -> Response:
        """Return the page for an address that has none, or a method that is not read."""
        status = cast(HTTPException, error).status_code
        key = {404: "not_found", 410: "gone"}.get(status, "refused")
        return self._render("problem.html", request, _lang(request), {"status": status, "key": key}, status=status)

    async def away(self, request: Request, error: Exception) -> Response:
        """Return the page for an index whose database does not answer: it is nobody's request that was wrong."""
        logger.warning("the index does not answer", extra={"reason": type(error).__name__})
        shown = {"status": 503, "key": "away"}
        answer = self._render("problem.html", request, _lang(request), shown, status=503)
        answer.headers["retry-after"] = "10"
        return answer

    async def failure(self, request: Request, error: Exception) -> Response:
        """Return the page for our own fault; the log gets the error, the reader does not."""
        logger.error("page failed", exc_info=error)
        answer = self._render("problem.html", request, _lang(request), {"status": 500, "key": "failed"}, status=500)
        answer.headers.update(SECURITY_HEADERS)  # this answer is made outside the middleware
        return answer

    def _listing(self, request: Request) -> Listing:
        try:
            return self._index.get(request.path_params["product_id"])
        except ProductWithdrawn as error:
            raise HTTPException(410) from error
        except NotListed as error:
            raise HTTPException(404) from error

    def _title(self, product_id: str, lang: str) -> str:
        """Return a product's title; its id where it is not listed any more."""
        try:
            return self._index.get(product_id).product.title.say(lang)
        except NotListed:
            return product_id

    def _naming(self, found: Page, lang: str) -> facets.Name:
        """Return what facet values are called; a hospital's name comes from any of its listings."""

        def name(facet: str, value: str) -> str:
            if facet == "mode":
                return word("mode", value, lang)
            if facet == "level":
                held = levels()[int(value)].name.say(lang)
                return f"{value} · {held}"
            if facet == "purpose":
                held_purpose = purposes().get(value)
                return held_purpose.label.say(lang) if held_purpose else value
            if facet != "provider":
                return word(NAMED_BY.get(facet, facet), value, lang)
            return self._provider(value).say(lang)

        for hit in found.hits:
            self._know(hit.product.provider)
        return name

    def _provider(self, provider_id: str) -> Text:
        """Return a hospital's name as one of its listings says it: looked up once, then as the newest page shows it."""
        known = self._providers.get(provider_id)
        if known is None:
            listed = self._index.find(Query(provider=provider_id, limit=1)).hits
            known = listed[0].product.provider.name if listed else Text(provider_id, provider_id)
            self._know(Provider(provider_id, known))
        return known

    def _know(self, provider: Provider) -> None:
        if len(self._providers) >= MOST_PROVIDERS:
            self._providers.clear()
        self._providers[provider.id] = provider.name

    def _render(
        self, template: str, request: Request, lang: str, shown: Mapping[str, object], *, status: int = 200
    ) -> HTMLResponse:
        context: dict[str, object] = {
            "lang": lang,
            "root": _root(lang),
            "t": speaker(lang),
            "word": lambda section, name: word(section, name, lang),
            "formats": formats,
            "levels": levels(),
            "other_url": _other_language(request, lang),
            "has_contracts": self._told.contracts is not None,
            "has_status": self._told.status is not None,
            "asset": self.assets.address,
            "path": request.url.path,
        }
        return HTMLResponse(self._templates.get_template(template).render({**context, **shown}), status_code=status)


def _root(lang: str) -> str:
    return "" if lang == "en" else f"/{lang}"


def _lang(request: Request) -> str:
    path = request.url.path
    return "zh" if path == "/zh" or path.startswith("/zh/") else "en"


def _other_language(request: Request, lang: str) -> str:
    """Return the same page in the other language."""
    path, query = request.url.path, request.url.query
    bare = path.removeprefix("/zh") if lang == "zh" else path
    bare = "/" + bare.lstrip("/")  # two slashes would lead to another host
    other = bare if lang == "zh" else f"/zh{bare}"
    return other + (f"?{query}" if query else "")
