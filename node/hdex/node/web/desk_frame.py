"""The frame of every desk: who is let in, how a page, a refusal and a failure are shown. Which pages, a desk says."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from hashlib import sha256
from importlib.resources import files
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from hdex.catalog.web.assets import is_named
from hdex.catalog.web.headers import SECURITY_HEADERS, SecurityHeaders
from hdex.node.errors import AccessDenied, NodeError, Problem, describe
from hdex.node.web.auditor_app import lang_of, root_of
from hdex.node.web.desk_door import (
    Door,
    Visit,
    is_from_elsewhere,
    read_form,
    renews,
    require_own_host,
    require_own_page,
)
from hdex.node.web.desk_words import DeskWords
from hdex.node.web.page_templates import render
from hdex.node.web.words import LANGUAGES

logger = logging.getLogger(__name__)
Show = Callable[[Visit], Response]
Read = Callable[[Request], Awaitable[tuple[dict[str, str], bytes]]]
NOT_KEPT = "no-store"  # what a person has seen is on no disk, and gone when he has signed out
FORM_RULES = ("session.form", "session.origin", "desk.changed", "request-invalid")
HTTP_STATUS = {
    "NOT_FOUND": 404,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 403,
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "FAILED_PRECONDITION": 409,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 502,
    "DEADLINE_EXCEEDED": 504,
}


async def fields_only(request: Request) -> tuple[dict[str, str], bytes]:
    """Return the fields of a form that brings no file."""
    return await read_form(request), b""


class DeskFrame:
    """Lets people in and turns what goes wrong into pages, in the words of one kind of desk."""

    def __init__(self, door: Door, words: type[DeskWords] = DeskWords) -> None:
        self._door = door
        self._words = words

    def app(self, title: str) -> FastAPI:
        """Return an application with what every desk has: signing in and out, styles, headers, problems as pages."""
        app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)
        for lang in LANGUAGES:
            root, words = root_of(lang), self._words(lang)
            add_page(app, f"{root}/sign-in", self.sign_in_page(words))
            add_page(app, f"{root}/sign-in", self.sign_in(words), method="POST")
            add_page(app, f"{root}/sign-out", self.done(words)(self._door.sign_out), method="POST")
        app.mount("/static/desk", StaticFiles(directory=str(files("hdex.node.web").joinpath("static"))), name="own")
        app.mount("/static", StaticFiles(directory=str(files("hdex.catalog.web").joinpath("static"))), name="static")
        app.add_exception_handler(HTTPException, self.problem)
        app.add_exception_handler(Exception, self.failure)
        app.add_middleware(SecurityHeaders, pages=NOT_KEPT)
        return app

    def seen(self, words: DeskWords) -> Callable[[Show], Callable[[Request], Response]]:
        """Return what makes a page's handler: signed in, and shown."""

        def wrap(show: Show) -> Callable[[Request], Response]:
            def answer(request: Request) -> Response:
                require_own_host(request)
                session = self._door.session(request)
                if session is None:
                    return signed_out(words) if renews(request) else self._admitted(show, request, words)
                return unless_known(request, guarded(show, Visit(request, words, session)))

            return answer

        return wrap

    def _admitted(self, show: Show, request: Request, words: DeskWords) -> Response:
        """Return the page to a browser whose certificate this desk lets in; the way to sign in to any other."""
        try:
            opened = self._door.admit(request)
        except NodeError as error:
            problem = describe(error)
            logger.warning("certificate refused", extra={"rule": problem.rule})
            return sign_in_form(request, words, problem, wrong="certificate")
        if opened is None:
            return to_sign_in(words)
        answer = guarded(show, Visit(request, words, opened.session))
        self._door.keep(answer, opened)
        return answer

    def done(
        self, words: DeskWords, read: Read = fields_only
    ) -> Callable[[Show], Callable[[Request], Coroutine[Any, Any, Response]]]:
        """Return what makes a form's handler: signed in, the session's own form, and carried out.

        read: how a form is read; of those that may bring a file, with it.
        """

        def wrap(act: Show) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            async def answer(request: Request) -> Response:
                require_own_host(request)
                session = self._door.session(request)
                if session is None:
                    return to_sign_in(words)
                visit = Visit(request, words, session)
                try:
                    form, file = await read(request)
                    self._door.require_own_form(request, session, form)
                except NodeError as error:
                    return refusal(visit, describe(error))
                return await run_in_threadpool(guarded, act, Visit(request, words, session, form, file))

            return answer

        return wrap

    def sign_in_page(self, words: DeskWords) -> Callable[[Request], Response]:
        """Return the handler of the sign-in page; a code in the address is exchanged and redirected away.

        Not where another site asked: its images could try codes until the door is shut for everybody, or sign a
        browser in under a code of its own.
        """

        def answer(request: Request) -> Response:
            require_own_host(request)
            code = request.query_params.get("code", "")
            is_asked_here = code and not is_from_elsewhere(request)
            return self._exchanged(request, code, words) if is_asked_here else sign_in_form(request, words)

        return answer

    def sign_in(self, words: DeskWords) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the sign-in form."""

        async def answer(request: Request) -> Response:
            require_own_host(request)
            try:
                require_own_page(request)
                form = await read_form(request)
            except NodeError as error:
                return sign_in_form(request, words, describe(error))
            return await run_in_threadpool(self._exchanged, request, form.get("code", ""), words)

        return answer

    def _exchanged(self, request: Request, code: str, words: DeskWords) -> Response:
        try:
            return self._door.sign_in(request, code, words)
        except AccessDenied as error:
            logger.warning("sign-in refused", extra={"rule": error.rule})
            return sign_in_form(request, words, describe(error))

    async def problem(self, request: Request, error: Exception) -> Response:
        """Return the page for an address that has none, or a request that is refused."""
        status = cast(HTTPException, error).status_code
        return self._lost(request, status, "not_found" if status in (404, 405) else "host")

    async def failure(self, request: Request, error: Exception) -> Response:
        """Return the page for what went wrong here; the log gets the error's kind."""
        logger.error("page failed", extra={"error": type(error).__name__})
        answer = self._lost(request, 500, "failed")
        answer.headers.update(SECURITY_HEADERS)  # this answer is made outside the middleware
        return answer

    def _lost(self, request: Request, status: int, key: str) -> HTMLResponse:
        """Return the page of a problem, for whoever sees it: it shows nothing of the desk."""
        words = self._words(lang_of(request))
        is_zh = words.lang == "zh"
        shown = {"root": root_of(words.lang), "here": "/", "other": "/" if is_zh else "/zh/"}
        content = render("problem.html", words, frame="desk_base.html", nav=(), done="", key=key, code=status, **shown)
        return HTMLResponse(content, status_code=status)


def guarded(show: Show, visit: Visit) -> Response:
    """Return a page, or the page of what the node refused: its rule and the next step."""
    try:
        return show(visit)
    except Exception as error:
        problem = describe(error)
        if problem.status == "INTERNAL":
            raise
        return refusal(visit, problem)


def refusal(visit: Visit, problem: Problem) -> HTMLResponse:
    """Return the page of a refusal, or of a node that does not answer."""
    status = HTTP_STATUS.get(problem.status, 500)
    key = "refused"
    if status == 404:
        key = "not_found"
    elif status in (502, 504):
        key = "away"
    elif problem.rule in FORM_RULES:
        key = "form"
    return page("desk_refused.html", visit, status=status, key=key, code=status, problem=problem)


def sign_in_form(
    request: Request, words: DeskWords, problem: Problem | None = None, *, wrong: str = "wrong"
) -> HTMLResponse:
    """Return the sign-in page, with why a code, or a certificate, did not open the desk."""
    path, is_zh = "/sign-in", words.lang == "zh"
    shown = {"root": root_of(words.lang), "here": path, "other": path if is_zh else f"/zh{path}", "problem": problem}
    content = render("desk_sign_in.html", words, nav=(), done="", wrong=wrong, **shown)
    return HTMLResponse(content, status_code=403 if problem else 200)


def signed_out(words: DeskWords) -> Response:
    """Return the line that a page puts where it has renewed itself, once its session is over: the way to sign in.

    No session is opened for it, not even by a certificate: nobody may be there.
    """
    return HTMLResponse(render("desk_signed_out.html", words, root=root_of(words.lang)), status_code=403)


def unless_known(request: Request, answer: Response) -> Response:
    """Return a page under the tag of its content; only the tag where the browser holds the same (RFC 9110, 304)."""
    if answer.status_code != 200 or answer.media_type != "text/html":
        return answer
    etag = f'"{sha256(bytes(answer.body)).hexdigest()[:24]}"'
    if is_named(etag, request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers={"etag": etag})
    answer.headers["etag"] = etag
    return answer


def to_sign_in(words: DeskWords) -> Response:
    """Go to the sign-in page."""
    return RedirectResponse(f"{root_of(words.lang)}/sign-in", status_code=303)


def add_page(app: FastAPI, path: str, answer: Callable[..., Any], *, method: str = "GET") -> None:
    """Have an application answer an address."""
    app.add_api_route(path, answer, methods=[method], include_in_schema=False, response_model=None)


def page(template: str, visit: Visit, *, status: int = 200, **shown: object) -> HTMLResponse:
    """Return a page with its frame: navigation, language, who is signed in, and what was just done."""
    done = visit.request.query_params.get("done", "")
    shown = {
        **place(visit),
        "role": visit.role,
        "csrf": visit.session.csrf,
        "nav": visit.words.navigation(visit.role),
        "done": done if visit.words.knows("done", done) else "",
        **shown,
    }
    return HTMLResponse(render(template, visit.words, **shown), status_code=status)


def place(visit: Visit) -> dict[str, object]:
    """Return where a page stands in both languages. A form's answer has no address of its own: it leads home."""
    url, is_zh = visit.request.url, visit.words.lang == "zh"
    here = f"/{url.path.removeprefix('/zh').lstrip('/')}" if is_zh else url.path
    if visit.request.method == "POST":
        here = "/"
    query = f"?{url.query}" if url.query and visit.request.method != "POST" else ""
    return {"root": root_of(visit.words.lang), "here": here, "other": (here if is_zh else f"/zh{here}") + query}
