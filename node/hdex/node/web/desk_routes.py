"""What a desk consists of: parts, each with its addresses. A hospital's desk and an exchange's have parts in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi import FastAPI
from fastapi.responses import Response

from hdex.node.web.auditor_app import root_of
from hdex.node.web.desk_door import Door
from hdex.node.web.desk_frame import DeskFrame, Show, add_page
from hdex.node.web.desk_words import DeskWords
from hdex.node.web.upload import read_upload
from hdex.node.web.words import LANGUAGES


@dataclass(frozen=True, slots=True)
class Route:
    """One address below a language's root: a page, or the answer to a form."""

    path: str
    answer: Show
    is_form: bool = False
    has_file: bool = False  # a form that brings one


class Part(Protocol):
    """Some pages of a desk with the forms on them."""

    def routes(self) -> Sequence[Route]: ...


def desk_of(door: Door, parts: Sequence[Part], words: type[DeskWords]) -> FastAPI:
    """Return the application of a desk that has these parts, behind the door."""
    desk = DeskFrame(door, words)
    app = desk.app("hdex desk")
    add_parts(app, desk, parts, words)
    return app


def add_parts(app: FastAPI, desk: DeskFrame, parts: Sequence[Part], words: type[DeskWords]) -> None:
    """Have an application answer the addresses of parts in every language."""
    for lang in LANGUAGES:
        root, said = root_of(lang), words(lang)
        see, do, take = desk.seen(said), desk.done(said), desk.done(said, read_upload)
        for route in (route for part in parts for route in part.routes()):
            if route.is_form:
                answer = take(route.answer) if route.has_file else do(route.answer)
                add_page(app, root + route.path, answer, method="POST")
            else:
                add_page(app, root + route.path, see(route.answer))


def sheet(name: str, content: bytes) -> Response:
    """Return a CSV file to be kept."""
    return download(name, content, "text/csv; charset=utf-8")


def download(name: str, content: bytes, media_type: str = "application/octet-stream") -> Response:
    """Return a file that a browser keeps and never shows: what is in it may be a stranger's. name: our own words."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
