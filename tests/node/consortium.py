"""A whole consortium on disk without a process: CA, keys, certificates, directory, configurations."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from hdex.node.config import ChainConfig, ExchangeConfig, HospitalConfig, load
from hdex.node.demo.setting import Setting, build, write_configs

CONTRACT = "0x" + "11" * 20
TIMEOUT_S = 60


def consortium(folder: Path) -> Setting:
    """Return a consortium whose members have never run."""
    setting = build(folder)
    write_configs(setting, CONTRACT)
    return setting


def hospital(setting: Setting) -> HospitalConfig:
    return load(setting.config_file("hospital-a"), HospitalConfig)


def exchange(setting: Setting) -> ExchangeConfig:
    return load(setting.config_file("exchange"), ExchangeConfig)


def chain(setting: Setting) -> ChainConfig:
    return load(setting.config_file("chain"), ChainConfig)


def with_identity(config: HospitalConfig, **files: Path) -> HospitalConfig:
    """Return the configuration with other identity files."""
    return replace(config, identity=replace(config.identity, **files))


def hdex(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    command = [sys.executable, "-m", "hdex.node.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def told(run: subprocess.CompletedProcess[str]) -> str:
    """Return what a failed command told people: its lines that are no log."""
    return "\n".join(line for line in run.stderr.splitlines() if not line.startswith("{"))


def printed(run: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(run.stdout)
