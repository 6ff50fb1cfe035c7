"""The files that pages load, read once: each under a name with its digest, for ever, and under its plain one."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from importlib.resources import files

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

FOR_EVER = "public, max-age=31536000, immutable"
BRIEFLY = "public, max-age=3600"
TEXTS = (".css", ".svg", ".js")
DIGITS = 12  # of the digest in a name


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent. `packed` is empty where packing gains nothing."""

    media_type: str
    content: bytes
    packed: bytes
    digest: str


class Assets:
    """An ASGI application over one package's folder `static`."""

    def __init__(self, package: str) -> None:
        self._by_name: dict[str, tuple[Asset, str]] = {}  # name in an address -> file, how long it may be kept
        self._addresses: dict[str, str] = {}
        for file in files(package).joinpath("static").iterdir():
            if file.is_file():
                self._add(file.name, file.read_bytes())

    def address(self, name: str) -> str:
        """Return the path below which the file stands under its digest. Raises KeyError for a file there is not."""
        return self._addresses[name]

    def size(self, name: str) -> int:
        """Return how many bytes travel to a browser that takes gzip."""
        asset, _ = self._by_name[name]
        return len(asset.packed or asset.content)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD of one file."""
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return Response("only read\n", 405, {"allow": "GET, HEAD"}, "text/plain")
        found = self._by_name.get(scope["path"].rpartition("/static/")[2])
        if found is None:
            return Response("no such file\n", 404, media_type="text/plain")
        asset, cache = found
        asked = Headers(scope=scope)
        is_packed = bool(asset.packed) and takes_gzip(asked.get("accept-encoding", ""))
        etag = f'"{asset.digest}{"-gz" if is_packed else ""}"'
        headers = {"cache-control": cache, "etag": etag, "vary": "accept-encoding"}
        if is_named(etag, asked.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        if is_packed:
            headers["content-encoding"] = "gzip"
        return Response(asset.packed if is_packed else asset.content, headers=headers, media_type=asset.media_type)

    def _add(self, name: str, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()[:DIGITS]
        packed = gzip.compress(content, 9, mtime=0) if name.endswith(TEXTS) else b""
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        asset = Asset(media_type, content, packed if len(packed) < len(content) else b"", digest)
        stem, _, ending = name.rpartition(".")
        self._addresses[name] = f"/static/{stem}.{digest}.{ending}"
        self._by_name[f"{stem}.{digest}.{ending}"] = (asset, FOR_EVER)
        self._by_name[name] = (asset, BRIEFLY)


def takes_gzip(accepted: str) -> bool:
    """Return whether an Accept-Encoding takes gzip; one that says q=0 does not."""
    for part in accepted.split(","):
        coding, _, weight = part.partition(";")
        if coding.strip().lower() == "gzip":
            return weight.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def is_named(etag: str, asked: str) -> bool:
    """Return whether an If-None-Match names this tag."""
    return asked.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in asked.split(","))
