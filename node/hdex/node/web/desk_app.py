"""The hospital's desk, for the browser of one person's own machine. No page needs a script."""

from collections.abc import Sequence

from fastapi import FastAPI

from hdex.node.web.auditor_app import root_of
from hdex.node.web.desk_acts import DeskActs
from hdex.node.web.desk_door import Door
from hdex.node.web.desk_frame import DeskFrame, add_page
from hdex.node.web.desk_pages import DeskPages
from hdex.node.web.desk_routes import Part, add_parts
from hdex.node.web.desk_words import DeskWords
from hdex.node.web.words import LANGUAGES


def create_desk_app(door: Door, pages: DeskPages, acts: DeskActs, parts: Sequence[Part] = ()) -> FastAPI:
    """Return the application of a hospital's desk: its own pages, and those of the parts."""
    desk = DeskFrame(door)
    app = desk.app("hdex desk")
    add_parts(app, desk, parts, DeskWords)
    for lang in LANGUAGES:
        root, words = root_of(lang), DeskWords(lang)
        see, do = desk.seen(words), desk.done(words)
        add_page(app, f"{root}/", see(pages.overview))
        add_page(app, f"{root}/datasets", see(pages.datasets))
        add_page(app, f"{root}/datasets/{{dataset}}/classification", see(pages.classification))
        add_page(app, f"{root}/datasets/{{dataset}}/classification/propose", do(acts.propose), method="POST")
        add_page(app, f"{root}/datasets/{{dataset}}/classification/column", do(acts.change_column), method="POST")
        add_page(app, f"{root}/datasets/{{dataset}}/classification/flags", do(acts.change_flags), method="POST")
        add_page(app, f"{root}/datasets/{{dataset}}/classification/sign", do(acts.sign_classification), method="POST")
        add_page(app, f"{root}/datasets/{{dataset}}/versions/{{version}}", see(pages.version))
        add_page(app, f"{root}/datasets/{{dataset}}/versions/{{version}}/draft", do(acts.draft_manifest), method="POST")
        add_page(app, f"{root}/datasets/{{dataset}}/versions/{{version}}/sign", do(acts.sign_assessment), method="POST")
        add_page(app, f"{root}/datasets/{{dataset}}/versions/{{version}}/list", do(acts.list_version), method="POST")
        add_page(app, f"{root}/studies", see(pages.studies))
        add_page(app, f"{root}/studies/{{digest}}/{{verdict}}", see(pages.study))
        add_page(app, f"{root}/studies/{{digest}}/{{verdict}}", do(acts.decide_study), method="POST")
        add_page(app, f"{root}/products", see(pages.products))
        add_page(app, f"{root}/products/{{product}}/{{version}}", see(pages.product))
        add_page(app, f"{root}/products/{{product}}/{{version}}/{{order}}", see(pages.order))
        add_page(app, f"{root}/products/{{product}}/{{version}}/{{order}}", do(acts.order_product), method="POST")
        add_page(app, f"{root}/accesses", see(pages.accesses))
        add_page(app, f"{root}/accesses.csv", see(pages.accesses_sheet))
    return app
