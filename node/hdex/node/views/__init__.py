"""Analysis views: one row per patient, declared as TOML, built from the common model."""

from hdex.node.views.build import ViewCounts, ViewResult, build_view, last_day
from hdex.node.views.view import Codes, Column, View, load_view, parse_view, view_names

__all__ = [
    "Codes",
    "Column",
    "View",
    "ViewCounts",
    "ViewResult",
    "build_view",
    "last_day",
    "load_view",
    "parse_view",
    "view_names",
]
