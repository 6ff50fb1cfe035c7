"""Options that many verbs share."""

from pathlib import Path
from typing import Annotated

import typer

PURPOSE = "Purpose, a DUO code: DUO:0000042 general, DUO:0000006 health, DUO:0000007 one disease."
STEWARD, OFFICER = "data_steward", "privacy_officer"
Config = Annotated[Path, typer.Option("--config", "-c", help="The participant's TOML file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DeskFolder = Annotated[Path, typer.Option("--desk", help="Folder with the person's certificate and keystore.")]
