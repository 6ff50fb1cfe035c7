"""The buyer's desk, for the browser of one person of a buying organisation. No page needs a script."""

from fastapi import FastAPI

from hdex.node.buyer_desk import BuyerDesk
from hdex.node.web.auditor_app import root_of
from hdex.node.web.buyer_acts import BuyerActs
from hdex.node.web.buyer_bargain import BargainActs
from hdex.node.web.buyer_contracts import ContractPages
from hdex.node.web.buyer_life import LifePages
from hdex.node.web.buyer_pages import BuyerPages
from hdex.node.web.buyer_requests import RequestPages
from hdex.node.web.buyer_words import BuyerWords
from hdex.node.web.desk_door import Door
from hdex.node.web.desk_frame import DeskFrame, add_page
from hdex.node.web.upload import read_upload
from hdex.node.web.words import LANGUAGES


def create_buyer_app(door: Door, desk: BuyerDesk) -> FastAPI:
    """Return the application."""
    frame = DeskFrame(door, BuyerWords)
    app = frame.app("hdex buyer's desk")
    pages, requests, contracts, acts = BuyerPages(desk), RequestPages(desk), ContractPages(desk), BuyerActs(desk)
    life, bargain = LifePages(desk), BargainActs(desk)
    for lang in LANGUAGES:
        root, words = root_of(lang), BuyerWords(lang)
        see, do, take = frame.seen(words), frame.done(words), frame.done(words, read_upload)
        add_page(app, f"{root}/", see(pages.overview))
        add_page(app, f"{root}/vetting", see(pages.vetting))
        add_page(app, f"{root}/vetting", do(acts.apply), method="POST")
        add_page(app, f"{root}/find", see(pages.find))
        add_page(app, f"{root}/products/{{product}}", see(pages.product))
        add_page(app, f"{root}/products/{{product}}/request", see(requests.new))
        add_page(app, f"{root}/products/{{product}}/request", do(acts.draft), method="POST")
        add_page(app, f"{root}/products/{{product}}/contract", see(contracts.new))
        add_page(app, f"{root}/products/{{product}}/contract", do(acts.ask), method="POST")
        add_page(app, f"{root}/requests", see(requests.all))
        add_page(app, f"{root}/requests/{{name}}", see(requests.one))
        add_page(app, f"{root}/requests/{{name}}/save", do(acts.save), method="POST")
        add_page(app, f"{root}/requests/{{name}}/submit", take(acts.submit), method="POST")
        add_page(app, f"{root}/requests/{{name}}/message", do(acts.message), method="POST")
        add_page(app, f"{root}/requests/{{name}}/withdraw", see(requests.withdraw))
        add_page(app, f"{root}/requests/{{name}}/withdraw", do(acts.withdraw), method="POST")
        add_page(app, f"{root}/contracts", see(contracts.all))
        add_page(app, f"{root}/contracts/{{contract}}", see(contracts.one))
        add_page(app, f"{root}/contracts/{{contract}}/accept", do(acts.accept), method="POST")
        add_page(app, f"{root}/contracts/{{contract}}/offer/accept", do(bargain.accept), method="POST")
        add_page(app, f"{root}/contracts/{{contract}}/offer/counter", do(bargain.counter), method="POST")
        add_page(app, f"{root}/contracts/{{contract}}/fetch", do(acts.fetch), method="POST")
        add_page(app, f"{root}/contracts/{{contract}}/query", see(contracts.query))
        add_page(app, f"{root}/contracts/{{contract}}/query", do(contracts.answer), method="POST")
        add_page(app, f"{root}/contracts/{{contract}}/{{act}}", see(life.asked))
        add_page(app, f"{root}/contracts/{{contract}}/{{act}}", do(life.acted), method="POST")
        add_page(app, f"{root}/invoices", see(pages.invoices))
        add_page(app, f"{root}/invoices/{{provider}}/{{number}}", see(pages.invoice))
        add_page(app, f"{root}/invoices/{{provider}}/{{number}}/paper", see(pages.paper))
        add_page(app, f"{root}/invoices/{{provider}}/{{number}}/dispute", do(acts.dispute), method="POST")
        add_page(app, f"{root}/studies", see(pages.studies))
        add_page(app, f"{root}/studies/{{study}}", see(pages.study))
        add_page(app, f"{root}/studies/{{study}}/result", see(pages.result))
    return app
