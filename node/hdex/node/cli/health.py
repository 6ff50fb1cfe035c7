"""`hdex <participant> doctor|status`: the same two verbs for every participant."""

from collections.abc import Callable

import typer

from hdex.node.cli.options import Config, Json

ILL = 1


def doctor_of(kind: str, config_class: str) -> Callable[[Config, Json], None]:
    """Return the `doctor` verb of one kind of participant. `config_class`: its name in hdex.node.config."""

    def doctor(config: Config, as_json: Json = False) -> None:
        """Check files, certificate, keys, disk, ports, peers and chain. Exit 0 nothing failed, 1 something did."""
        import json

        settings = settled(config, config_class)
        from hdex.node.compose.checkup import check_up
        from hdex.node.doctor import FAIL

        findings = check_up(settings, kind)
        failed = sum(one.state == FAIL for one in findings)
        if as_json:
            rows = [{"check": f.check, "state": f.state, "found": f.found, "mend": f.mend} for f in findings]
            print(json.dumps({"well": not failed, "findings": rows}, ensure_ascii=False))
        else:
            print("\n".join(one.line() for one in findings))
        raise typer.Exit(ILL if failed else 0)

    return doctor


def status_of(config_class: str) -> Callable[[Config, Json], None]:
    """Return the `status` verb of one kind of participant."""

    def status(config: Config, as_json: Json = False) -> None:
        """Show what stands in its own records, read on its machine whether it runs or not."""
        settings = settled(config, config_class)
        from hdex.node.cli.serving import show
        from hdex.node.compose.checkup import status as standing

        show(standing(settings), as_json=as_json)

    return status


def settled(config: "Config", config_class: str):  # type: ignore[no-untyped-def]  # one of five, whose import is heavy
    """Return a configuration, after this process was told whom it may reach."""
    from hdex.node import config as configs
    from hdex.node.cli.serving import prepare

    settings = configs.load(config, getattr(configs, config_class))
    named = [getattr(settings, name, None) for name in ("exchange", "keyholder", "region")]
    peers = [*(one for one in named if one), *getattr(settings, "witness_peers", ())]
    chain = getattr(settings, "chain", None)
    prepare(settings.data_dir, [*(peer.endpoint for peer in peers), *([chain.url] if chain else [])])
    return settings
