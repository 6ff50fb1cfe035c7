"""`hdex node dsp --conformance FILE`: a connector of the Dataspace Protocol for an outside conformance kit."""

from pathlib import Path
from typing import Annotated

import typer

WARNING = "conformance profile: plain HTTP without certificates on this machine; nothing here is a contract"


def dsp(
    conformance: Annotated[Path, typer.Option(help="Ids and reactions (TOML); see docs/dsp.md.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8080,
    data: Annotated[Path | None, typer.Option(help="Folder of its log and processes; else a throw-away one.")] = None,
) -> None:
    """Serve the Dataspace Protocol under a conformance profile, both roles, until it is told to stop."""
    import contextlib
    import tempfile
    import threading

    from hdex.node.cli.serving import prepare, stop_on_signals, talk
    from hdex.node.dsp.conformance import load_profile

    profile = load_profile(conformance)
    with contextlib.ExitStack() as stack:
        home = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hdex-dsp-")))
        prepare(home, [f"//{host}" for host in profile.callback_hosts])
        from hdex.node.compose.dataspace import serve_conformance

        stop = threading.Event()
        served = serve_conformance(profile, port, home, stop=stop)
        talk("conformance", WARNING)
        talk("serving", f"http://127.0.0.1:{served.port}/dsp and /.well-known/dspace-version")
        stop_on_signals(stop)
        served.run()
