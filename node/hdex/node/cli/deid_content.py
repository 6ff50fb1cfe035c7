"""Every verb of `hdex deid` looks at what its inputs are before it reads them as tables or text."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
WRITTEN = {"out", "key"}  # arguments that name no input


def looked_into(verb: Callable[P, R]) -> Callable[P, R]:
    """The verb, refusing inputs that are genome, picture, document or archive by their content (exit 1)."""

    @wraps(verb)
    def checked(*args: P.args, **options: P.kwargs) -> R:
        from hdex.deid.content import require_readable

        for name, value in options.items():
            if isinstance(value, Path) and name not in WRITTEN and value.exists():
                require_readable(value)
        return verb(*args, **options)

    return checked
