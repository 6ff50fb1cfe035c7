"""The hospital's desk, for the browser of one person's own machine. No page needs a script."""

import logging
from collections.abc import Callable, Coroutine
from importlib.resources import files
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from hdex.catalog.web.headers import SECURITY_HEADERS, SecurityHeaders
from hdex.node.errors import AccessDenied, NodeError, Problem, describe
from hdex.node.web.auditor_app import lang_of, root_of
from hdex.node.web.desk_acts import DeskActs
from hdex.node.web.desk_door import Door, Visit, read_form, require_own_host, require_own_page
from hdex.node.web.desk_pages import DeskPages, page
from hdex.node.web.desk_templates import render
from hdex.node.web.desk_words import DeskWords
from hdex.node.web.words import LANGUAGES

logger = logging.getLogger(__name__)
Show = Callable[[Visit], Response]
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


def create_desk_app(door: Door, pages: DeskPages, acts: DeskActs) -> FastAPI:
    """Return the application."""
    app = FastAPI(title="hdex desk", docs_url=None, redoc_url=None, openapi_url=None)
    desk = DeskApp(door)
    for lang in LANGUAGES:
        root, words = root_of(lang), DeskWords(lang)
        see, do = desk.seen(words), desk.done(words)
        _route(app, f"{root}/sign-in", desk.sign_in_page(words))
        _route(app, f"{root}/sign-in", desk.sign_in(words), method="POST")
        _route(app, f"{root}/sign-out", do(door.sign_out), method="POST")
        _route(app, f"{root}/", see(pages.overview))
        _route(app, f"{root}/datasets", see(pages.datasets))
        _route(app, f"{root}/datasets/{{dataset}}/classification", see(pages.classification))
        _route(app, f"{root}/datasets/{{dataset}}/classification/propose", do(acts.propose), method="POST")
        _route(app, f"{root}/datasets/{{dataset}}/classification/column", do(acts.change_column), method="POST")
        _route(app, f"{root}/datasets/{{dataset}}/classification/flags", do(acts.change_flags), method="POST")
        _route(app, f"{root}/datasets/{{dataset}}/classification/sign", do(acts.sign_classification), method="POST")
        _route(app, f"{root}/datasets/{{dataset}}/versions/{{version}}", see(pages.version))
        _route(app, f"{root}/datasets/{{dataset}}/versions/{{version}}/draft", do(acts.draft_manifest), method="POST")
        _route(app, f"{root}/datasets/{{dataset}}/versions/{{version}}/sign", do(acts.sign_assessment), method="POST")
        _route(app, f"{root}/datasets/{{dataset}}/versions/{{version}}/list", do(acts.list_version), method="POST")
        _route(app, f"{root}/studies", see(pages.studies))
        _route(app, f"{root}/studies/{{digest}}/{{verdict}}", see(pages.study))
        _route(app, f"{root}/studies/{{digest}}/{{verdict}}", do(acts.decide_study), method="POST")
        _route(app, f"{root}/products", see(pages.products))
        _route(app, f"{root}/products/{{product}}/{{version}}/{{order}}", see(pages.order))
        _route(app, f"{root}/products/{{product}}/{{version}}/{{order}}", do(acts.order_product), method="POST")
        _route(app, f"{root}/accesses", see(pages.accesses))
        _route(app, f"{root}/accesses.csv", see(pages.accesses_sheet))
    app.mount("/static/desk", StaticFiles(directory=str(files("hdex.node.web").joinpath("static"))), name="own")
    app.mount("/static", StaticFiles(directory=str(files("hdex.catalog.web").joinpath("static"))), name="static")
    app.add_exception_handler(HTTPException, desk.problem)
    app.add_exception_handler(Exception, desk.failure)
    app.add_middleware(SecurityHeaders)
    return app


def _route(app: FastAPI, path: str, answer: Callable[..., Any], *, method: str = "GET") -> None:
    app.add_api_route(path, answer, methods=[method], include_in_schema=False, response_model=None)


class DeskApp:
    """Lets people in and turns what goes wrong into pages."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def seen(self, words: DeskWords) -> Callable[[Show], Callable[[Request], Response]]:
        """Return what makes a page's handler: signed in, and shown."""

        def wrap(show: Show) -> Callable[[Request], Response]:
            def answer(request: Request) -> Response:
                require_own_host(request)
                session = self._door.session(request)
                if session is None:
                    return to_sign_in(words)
                return guarded(show, Visit(request, words, session))

            return answer

        return wrap

    def done(self, words: DeskWords) -> Callable[[Show], Callable[[Request], Coroutine[Any, Any, Response]]]:
        """Return what makes a form's handler: signed in, the session's own form, and carried out."""

        def wrap(act: Show) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            async def answer(request: Request) -> Response:
                require_own_host(request)
                session = self._door.session(request)
                if session is None:
                    return to_sign_in(words)
                visit = Visit(request, words, session)
                try:
                    form = await read_form(request)
                    self._door.require_own_form(request, session, form)
                except NodeError as error:
                    return refusal(visit, describe(error))
                return await run_in_threadpool(guarded, act, Visit(request, words, session, form))

            return answer

        return wrap

    def sign_in_page(self, words: DeskWords) -> Callable[[Request], Response]:
        """Return the handler of the sign-in page; a code in the address is exchanged and redirected away."""

        def answer(request: Request) -> Response:
            require_own_host(request)
            code = request.query_params.get("code", "")
            return self._exchanged(request, code, words) if code else sign_in_form(request, words)

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
        return lost(request, status, "not_found" if status in (404, 405) else "host")

    async def failure(self, request: Request, error: Exception) -> Response:
        """Return the page for what went wrong here; the log gets the error's kind."""
        logger.error("page failed", extra={"error": type(error).__name__})
        answer = lost(request, 500, "failed")
        answer.headers.update(SECURITY_HEADERS)  # this answer is made outside the middleware
        return answer


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


def sign_in_form(request: Request, words: DeskWords, problem: Problem | None = None) -> HTMLResponse:
    """Return the sign-in page, with why a code did not open the desk."""
    path, is_zh = "/sign-in", words.lang == "zh"
    shown = {"root": root_of(words.lang), "here": path, "other": path if is_zh else f"/zh{path}", "problem": problem}
    return HTMLResponse(
        render("desk_sign_in.html", words, nav=(), done="", **shown), status_code=403 if problem else 200
    )


def lost(request: Request, status: int, key: str) -> HTMLResponse:
    """Return the page of a problem, for whoever sees it: it shows nothing of the desk."""
    words = DeskWords(lang_of(request))
    is_zh = words.lang == "zh"
    shown = {"root": root_of(words.lang), "here": "/", "other": "/" if is_zh else "/zh/"}
    content = render("desk_problem.html", words, nav=(), done="", key=key, code=status, **shown)
    return HTMLResponse(content, status_code=status)


def to_sign_in(words: DeskWords) -> Response:
    """Go to the sign-in page."""
    return RedirectResponse(f"{root_of(words.lang)}/sign-in", status_code=303)
