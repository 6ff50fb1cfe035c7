"""Feeds over HTTP, with conditional GET (RFC 9110): a reader that has the newest is told so in a few bytes."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from hdex.catalog.atom import Feed

LONGEST_TOKEN = 200


class SavedFeeds:
    """The feeds of saved searches, each at an address that only its owner was told."""

    def __init__(self, feed: Callable[[str], Feed | None]) -> None:
        self._feed = feed

    def answer(self, request: Request, lang: str) -> Response:
        """Return the feed at an address; 404 for any other."""
        token = str(request.path_params["token"])
        found = self._feed(token) if token.isascii() and len(token) <= LONGEST_TOKEN else None
        if found is None:
            raise HTTPException(404)
        answer = feed_answer(request, found)
        answer.headers["cache-control"] = "private, no-cache"
        answer.headers["x-robots-tag"] = "noindex"
        return answer


def feed_answer(request: Request, feed: Feed) -> Response:
    """Return a feed, or 304 where the reader's copy is as new."""
    changed = datetime.fromisoformat(feed.updated).astimezone(UTC).replace(microsecond=0)
    headers = {"etag": feed.etag, "last-modified": format_datetime(changed, usegmt=True), "cache-control": "no-cache"}
    if _is_current(request, feed.etag, changed):
        return Response(status_code=304, headers=headers)
    return Response(feed.body, media_type="application/atom+xml; charset=utf-8", headers=headers)


def _is_current(request: Request, etag: str, changed: datetime) -> bool:
    asked = request.headers.get("if-none-match")
    if asked is not None:  # it goes before the date
        return asked.strip() == "*" or etag in {part.strip().removeprefix("W/") for part in asked.split(",")}
    try:
        return parsedate_to_datetime(request.headers.get("if-modified-since", "")) >= changed
    except (ValueError, TypeError):
        return False
