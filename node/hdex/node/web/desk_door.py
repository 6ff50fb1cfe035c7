"""The door of the desk's pages: this machine's own name, a session, and for every form its own token and origin."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from hdex.node.errors import AccessDenied, IdentityRefused, RequestInvalid
from hdex.node.identity import Identity
from hdex.node.sessions import ABSOLUTE, Issued, Opened, Session, Sessions, require_csrf
from hdex.node.web.auditor_app import OWN_HOSTS, root_of
from hdex.node.web.desk_words import DeskWords

logger = logging.getLogger(__name__)
LARGEST_FORM = 256_000  # bytes
MOST_FIELDS = 40
CSRF = "csrf"
FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of one person, in one language. A form's fields are texts that anybody may have typed."""

    request: Request
    words: DeskWords
    session: Session
    form: Mapping[str, str] = field(default_factory=dict)
    file: bytes = b""  # of a form with a file

    @property
    def role(self) -> str:
        return self.session.identity.role

    def path(self, name: str) -> str:
        """Return a part of the address."""
        return str(self.request.path_params[name])


def nobody(_certificate: bytes) -> Identity:
    """Let nobody in by certificate: the desk of a line without TLS."""
    raise IdentityRefused("this desk knows nobody by certificate")


@dataclass(frozen=True, slots=True)
class Door:
    """Lets one's own browser in. collect: codes that another process made for this desk.

    identify: whose a browser's certificate (DER) is; TLS has checked its chain. Raises IdentityRefused for one of
    another than this desk lets in.
    """

    sessions: Sessions
    collect: Callable[[], list[Issued]]
    port: int
    is_tls: bool = False
    identify: Callable[[bytes], Identity] = nobody

    @property
    def cookie(self) -> str:
        """The cookie's name. A browser does not part the ports of one machine, so the name does."""
        return f"__Host-hdex-desk-{self.port}" if self.is_tls else f"hdex-desk-{self.port}"

    def session(self, request: Request) -> Session | None:
        """Return the live session of a request; one that a page made by itself does not keep it alive."""
        token = request.cookies.get(self.cookie, "")
        return self.sessions.find(token, is_person=not renews(request)) if token else None

    def sign_in(self, request: Request, code: str, words: DeskWords) -> Response:
        """Exchange a code for a session and go to the first page: nothing stays in the address. Raises AccessDenied."""
        for issued in self.collect():
            self.sessions.admit(issued)
        client = request.client.host if request.client else ""
        opened = self.sessions.redeem(code, client, former=request.cookies.get(self.cookie, ""))
        logger.info("signed in", extra={"role": opened.session.identity.role})
        answer = RedirectResponse(f"{root_of(words.lang)}/", status_code=303)
        self.keep(answer, opened)
        return answer

    def admit(self, request: Request) -> Opened | None:
        """Open a session for a browser that shows a certificate which this desk lets in; None where it shows none.

        Only where a person or our own page asked for the page: another site must not open sessions here.
        Raises IdentityRefused, AccessDenied.
        """
        certificate = request.scope.get("state", {}).get("certificate", b"") if self.is_tls else b""
        if not certificate or is_from_elsewhere(request):
            return None
        opened = self.sessions.open(self.identify(certificate), former=request.cookies.get(self.cookie, ""))
        logger.info("signed in by certificate", extra={"role": opened.session.identity.role})
        return opened

    def keep(self, answer: Response, opened: Opened) -> None:
        """Give the browser the token of its session."""
        answer.set_cookie(
            self.cookie,
            opened.token,
            max_age=int(ABSOLUTE.total_seconds()),
            path="/",
            secure=self.is_tls,
            httponly=True,
            samesite="strict",
        )

    def sign_out(self, visit: Visit) -> Response:
        """End the session and forget its cookie."""
        self.sessions.end(visit.request.cookies.get(self.cookie, ""))
        answer = RedirectResponse(f"{root_of(visit.words.lang)}/sign-in", status_code=303)
        answer.delete_cookie(self.cookie, path="/", secure=self.is_tls, httponly=True, samesite="strict")
        return answer

    def require_own_form(self, request: Request, session: Session, form: Mapping[str, str]) -> None:
        """Raise AccessDenied unless a form was sent by a page of this session."""
        require_own_page(request)
        require_csrf(session, form.get(CSRF, ""))


def require_own_host(request: Request) -> None:
    """Raise HTTPException unless this machine was asked by its own name: any other name can be made to point here."""
    host = request.headers.get("host", "")
    if host.rpartition(":")[0] not in OWN_HOSTS and host not in OWN_HOSTS:
        raise HTTPException(421)


def is_from_elsewhere(request: Request) -> bool:
    """Return whether the browser says that another site's page asked, not a person or our own page."""
    return request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def require_own_page(request: Request) -> None:
    """Raise AccessDenied unless the browser says that a page of this very address sent the request.

    A page that sends no referrer has the origin "null"; then the browser's Sec-Fetch-Site must say that it is ours.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    is_own_site = site == "same-origin"
    is_own_origin = origin == own or (origin in (None, "null") and is_own_site)
    if not is_own_origin or site not in (None, "same-origin"):
        raise AccessDenied("session.origin", "send the form of the desk's own page", "another page sent this request")


def renews(request: Request) -> bool:
    """Return whether a page asks for its live part, not a person for a page. No other site can set this header."""
    return "hx-request" in request.headers


async def read_form(request: Request) -> dict[str, str]:
    """Return a form's fields, each once. Raises RequestInvalid for another body, or one too large."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise RequestInvalid("a form is sent as application/x-www-form-urlencoded")
    body = await read_body(request, LARGEST_FORM)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:  # not UTF-8, or too many fields
        raise RequestInvalid("the form cannot be read") from error
    if len(dict(pairs)) != len(pairs):
        raise RequestInvalid("a field of the form is there twice")
    return dict(pairs)


async def read_body(request: Request, largest: int) -> bytes:
    """Return a request's body. Raises RequestInvalid for one of more than `largest` bytes, before it is whole."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > largest:
            raise RequestInvalid(f"a form has at most {largest} bytes")
    return bytes(body)
