"""The peer of the pages' benchmark: a Starlette application that gives one text, as long as it is told, to everybody.

python bench/peer_page.py PORT BYTES
"""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def main() -> None:
    """Serve until the process is ended."""
    port, length = int(sys.argv[1]), int(sys.argv[2])
    body = b"x" * length

    async def page(_request: Request) -> Response:
        return Response(body, media_type="text/html")

    app = Starlette(routes=[Route("/{any:path}", page)])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
