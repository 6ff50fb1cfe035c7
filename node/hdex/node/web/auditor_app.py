"""The auditor's web application, for the browser of the auditor's own machine. No page needs a script."""

import hmac
import logging
import secrets
from collections.abc import Callable
from importlib.resources import files
from typing import cast

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from hdex.catalog.web.headers import SECURITY_HEADERS, SecurityHeaders
from hdex.node.auditor_desk import Desk
from hdex.node.errors import NotFound, describe
from hdex.node.web.auditor_views import CODES, TEXTS, Search, event_page, events_page, log_cards
from hdex.node.web.auditor_words import LANGUAGES, AuditWords
from hdex.node.web.page_templates import render

logger = logging.getLogger(__name__)
OWN_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
Page = Callable[[Request, AuditWords], Response]


def create_auditor_app(desk: Desk) -> FastAPI:
    """Return the application over a desk."""
    app = FastAPI(title="hdex auditor", docs_url=None, redoc_url=None, openapi_url=None)
    pages = AuditorPages(desk)
    for lang in LANGUAGES:
        root, words = root_of(lang), AuditWords(lang)
        _route(app, f"{root}/", bound(pages.logs, words))
        _route(app, f"{root}/events", bound(pages.events, words))
        _route(app, f"{root}/logs/{{node}}/{{index:int}}", bound(pages.event, words))
        _route(app, f"{root}/logs/{{node}}/{{index:int}}/proof.zip", bound(pages.proof, words))
        _route(app, f"{root}/alerts", bound(pages.alerts, words))
        _route(app, f"{root}/report", bound(pages.report, words))
        _route(app, f"{root}/evidence.zip", bound(pages.evidence, words))
        _route(app, f"{root}/read", bound(pages.read, words), method="POST")
    app.mount("/static/auditor", StaticFiles(directory=str(files("hdex.node.web").joinpath("static"))), name="own")
    app.mount("/static", StaticFiles(directory=str(files("hdex.catalog.web").joinpath("static"))), name="static")
    app.add_exception_handler(HTTPException, pages.problem)
    app.add_exception_handler(Exception, pages.failure)
    app.add_middleware(SecurityHeaders, pages="no-store")  # who reads what is on no disk of a browser
    return app


def _route(app: FastAPI, path: str, answer: Callable[[Request], Response], *, method: str = "GET") -> None:
    methods = ["GET", "HEAD"] if method == "GET" else [method]
    app.add_api_route(path, answer, methods=methods, include_in_schema=False, response_model=None)


def bound(page: Page, words: AuditWords) -> Callable[[Request], Response]:
    """Return the handler of one page in one language; what is not there is a page of its own."""

    def answer(request: Request) -> Response:
        require_own_host(request)
        try:
            return page(request, words)
        except NotFound as error:
            raise HTTPException(404) from error

    return answer


def require_own_host(request: Request) -> None:
    """Raise HTTPException unless this machine was asked by its own name: any other name can be made to point here."""
    host = request.headers.get("host", "")
    if host.rpartition(":")[0] not in OWN_HOSTS and host not in OWN_HOSTS:
        raise HTTPException(421)


def root_of(lang: str) -> str:
    """Return the beginning of a language's addresses."""
    return "" if lang == LANGUAGES[0] else f"/{lang}"


def lang_of(request: Request) -> str:
    """Return the language of an address."""
    return "zh" if f"{request.url.path}/".startswith("/zh/") else "en"


class AuditorPages:
    """Every page, rendered from the newest reading."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._token = secrets.token_urlsafe(24)  # only a page of ours can ask for another reading

    def logs(self, request: Request, words: AuditWords) -> Response:
        """Return the state of every log."""
        reading = self._desk.reading()
        cards = log_cards(reading, self._desk.trust)
        return self._render("auditor_logs.html", request, words, reading=reading, cards=cards, token=self._token)

    def read(self, request: Request, words: AuditWords) -> Response:
        """Read every log again and go to the first page."""
        if not hmac.compare_digest(request.query_params.get("token", "").encode(), self._token.encode()):
            raise HTTPException(403)
        self._desk.read()
        return RedirectResponse(root_of(words.lang) + "/", status_code=303)

    def events(self, request: Request, words: AuditWords) -> Response:
        """Return the events that match; the whole state is in the address."""
        reading = self._desk.reading()
        found = events_page(reading, Search.read(request.query_params))
        asked = dict(found.search.values)
        return self._render(
            "auditor_events.html", request, words, found=found, asked=asked, logs=list(reading.logs), texts=TEXTS,
            codes=CODES,
        )  # fmt: skip

    def event(self, request: Request, words: AuditWords) -> Response:
        """Return one event with its proof."""
        reading, index = self._desk.reading(), request.path_params["index"]
        log = reading.log(request.path_params["node"])
        if index >= log.count:
            raise HTTPException(404)
        page = event_page(log, index, self._desk.trust, words, newest_block=reading.newest_block)
        return self._render("auditor_event.html", request, words, page=page)

    def alerts(self, request: Request, words: AuditWords) -> Response:
        """Return the alerts, newest first."""
        return self._render("auditor_alerts.html", request, words, alerts=self._desk.reading().alerts)

    def report(self, request: Request, words: AuditWords) -> Response:
        """Return the report of the newest reading."""
        return self._render("auditor_report.html", request, words, report=self._desk.reading().report)

    def evidence(self, request: Request, words: AuditWords) -> Response:
        """Return the evidence as a file: all of it, or what a search asks for."""
        search = Search.read(request.query_params)
        query = search.query() if search.address() else None
        return attached(self._desk.evidence_file(query), "evidence.zip")

    def proof(self, request: Request, words: AuditWords) -> Response:
        """Return one entry with its proof as a file."""
        node, index = request.path_params["node"], request.path_params["index"]
        return attached(self._desk.proof_file(node, index), f"{node}-{index}.zip")

    async def problem(self, request: Request, error: Exception) -> Response:
        """Return the page for an address that has none, or a request that is refused."""
        status = cast(HTTPException, error).status_code
        return self._trouble(request, status, "not_found" if status == 404 else "refused")

    async def failure(self, request: Request, error: Exception) -> Response:
        """Return the page for what went wrong here or at everybody we asked; the log gets the error."""
        problem = describe(error)
        logger.error("page failed", extra={"error": type(error).__name__, "rule": problem.rule})
        answer = self._trouble(request, 502 if problem.status == "UNAVAILABLE" else 500, "failed")
        answer.headers.update(SECURITY_HEADERS)  # this answer is made outside the middleware
        return answer

    def _trouble(self, request: Request, status: int, key: str) -> Response:
        words = AuditWords(lang_of(request))
        frame = "auditor_base.html"
        return self._render("problem.html", request, words, frame=frame, key=key, code=status, status=status)

    def _render(
        self, template: str, request: Request, words: AuditWords, *, status: int = 200, **shown: object
    ) -> HTMLResponse:
        path, query = request.url.path, request.url.query
        here = "/" + path.removeprefix("/zh").lstrip("/") if words.lang == "zh" else path
        other = here if words.lang == "zh" else f"/zh{here}"
        shown = {"root": root_of(words.lang), "here": here, "other": other + (f"?{query}" if query else ""), **shown}
        return HTMLResponse(render(template, words, **shown), status_code=status)


def attached(content: bytes, name: str) -> Response:
    """Return a zip that the browser keeps as a file."""
    safe = "".join(mark if mark.isalnum() or mark in "-." else "_" for mark in name)
    headers = {"content-disposition": f'attachment; filename="{safe}"'}
    return Response(content, media_type="application/zip", headers=headers)
