"""An invoice, a credit note or a statement as one page that loads nothing and prints well, in English or Chinese."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from hdex.catalog.invoice import Invoice, InvoiceKind, UsageSaid
from hdex.catalog.money import say
from hdex.node.web.markup import Markup, join, table, tag

STYLE = Markup(
    "body{font:15px/1.5 system-ui,'Noto Sans CJK SC',sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;"
    "color:#111;background:#fff}table{border-collapse:collapse;width:100%;margin:1rem 0}"
    "th,td{border-bottom:1px solid #ccc;padding:.35rem .5rem;text-align:left;vertical-align:top}"
    "tbody th{font-weight:normal}td:last-child,thead th:last-child{text-align:right}"
    ".facts td{text-align:left}.facts th{width:14rem}.statement{max-width:76rem}.statement table{font-size:.85em}"
    "code{overflow-wrap:anywhere;font-size:.85em}.wide{overflow-x:auto}"
    "@media print{body,.statement{margin:0;max-width:none}.wide{overflow:visible}.statement table{font-size:.7em}}"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
WORDS: Mapping[str, tuple[str, str]] = {
    "invoice": ("Invoice", "账单"),
    "credit_note": ("Credit note", "贷记单"),
    "statement": ("Statement", "结算单"),
    "number": ("Number", "编号"),
    "from": ("From", "开具方"),
    "to": ("To", "付款方"),
    "issued": ("Issued", "开具日期"),
    "due": ("Due", "应付日期"),
    "contract": ("Contract", "合同"),
    "product": ("Product", "产品"),
    "credits": ("Takes back from", "冲减账单"),
    "reason": ("Reason", "原因"),
    "what": ("What", "项目"),
    "units": ("Units", "数量"),
    "unit": ("Unit price", "单价"),
    "amount": ("Amount", "金额"),
    "subtotal": ("Subtotal", "小计"),
    "tax": ("Tax", "税额"),
    "total": ("Total", "合计"),
    "usage": ("Usage this invoice stands on", "账单依据的用量"),
    "month": ("Month", "月份"),
    "deliveries": ("Deliveries", "交付次数"),
    "rows": ("Rows delivered", "交付行数"),
    "queries": ("Queries", "查询次数"),
    "rounds": ("Training rounds", "训练轮次"),
    "bytes": ("Bytes released", "流出字节数"),
    "entries": ("Log entries", "日志条目"),
    "log": ("Log", "日志"),
    "digest": ("Digest in the log", "日志中的摘要"),
    "none": ("none", "无"),
    "papers": ("Invoices and credit notes", "账单与贷记单"),
    "used": ("Use of the month by contract, as the log counts it", "当月各合同用量（以日志为准）"),
    "state": ("State", "状态"),
    "charge": ("Charged", "应收"),
    "credit": ("Credited", "冲减"),
    "paid": ("Paid", "已付"),
    "fee": ("Platform's fee", "平台费"),
    "others": ("Other hospitals", "其他医院"),
    "own": ("Own part", "本院所得"),
    "sum": ("Sum", "合计"),
    "check": (
        "Check this paper offline with: hdex buy invoice verify FILE. The figures follow from the signed agreement and "
        "from entries of the provider's log; the log is tamper-evident.",
        "可离线核验：hdex buy invoice verify FILE。金额由双方签署的协议与提供方日志条目推出；日志的篡改可被发现。",
    ),
}


class Voice:
    """The words of one language."""

    def __init__(self, lang: str) -> None:
        self.lang = "zh" if lang == "zh" else "en"

    def __call__(self, key: str) -> str:
        return WORDS[key][self.lang == "zh"]


def invoice_page(invoice: Invoice, lang: str) -> str:
    """Return the page of an invoice or credit note."""
    t = Voice(lang)
    kind, agreement = invoice.kind.value, invoice.agreement
    facts = [
        (t("number"), invoice.number),
        (t("from"), f"{invoice.provider.organisation} ({invoice.provider.id})"),
        (t("to"), f"{invoice.consumer.organisation} ({invoice.consumer.id})"),
        (t("issued"), invoice.issued[:10]),
        (t("due"), invoice.due[:10]),
        (t("contract"), agreement.request_id),
        (t("product"), f"{agreement.product} {agreement.version}"),
    ]
    if invoice.kind == InvoiceKind.CREDIT_NOTE:
        facts += [(t("credits"), invoice.credits_number or ""), (t("reason"), invoice.reason or "")]
    body = [tag("h1", t(kind)), described(facts), lines_table(invoice, t)]
    if invoice.usage is not None:
        body += [tag("h2", t("usage")), usage_list(invoice.usage, t)]
    body += [described([(t("digest"), tag("code", invoice.digest()))]), tag("p", t("check"))]
    return page(f"{t(kind)} {invoice.number}", body, t)


def statement_page(statement: Mapping[str, Any], lang: str) -> str:
    """Return the page of a hospital's statement of a month."""
    t = Voice(lang)
    body = [
        tag("h1", f"{t('statement')} {statement['month']}"),
        tag("p", str(statement["hospital"])),
        tag("h2", t("papers")),
        wide(papers_table(statement["papers"], statement["totals"], t), t("papers")),
        tag("h2", t("used")),
        wide(used_table(statement["usage"], t), t("used")),
    ]
    return page(f"{t('statement')} {statement['hospital']} {statement['month']}", body, t, class_="statement")


def wide(held: Markup, label: str) -> Markup:
    """Return a table that scrolls by itself on a narrow screen, with the keyboard too."""
    return tag("div", held, class_="wide", tabindex="0", role="region", aria_label=label)


def lines_table(invoice: Invoice, t: Voice) -> Markup:
    """Return lines, subtotal, tax and total."""

    def money(cents: int) -> str:
        return say(cents, invoice.currency, t.lang)

    rows = [
        (line.text.say(t.lang), line.quantity, money(line.unit_cents), money(line.amount_cents))
        for line in invoice.lines
    ]
    rows.append((t("subtotal"), "", "", money(invoice.subtotal_cents)))
    if invoice.tax is not None:
        rate = f"{(Decimal(invoice.tax.rate) * 100).normalize():f}"
        rows.append((f"{invoice.tax.name.say(t.lang)} ({rate} %)", "", "", money(invoice.tax_cents)))
    rows.append((t("total"), "", "", money(invoice.total_cents)))
    return table((t("what"), t("units"), t("unit"), t("amount")), rows)


def usage_list(usage: UsageSaid, t: Voice) -> Markup:
    """Return what was counted, and in which entries under which head."""
    range_ = t("none") if usage.first is None else f"{usage.first}–{usage.last}"
    counts = [(t(name), f"{getattr(usage, name):,}") for name in ("deliveries", "rows", "queries", "rounds", "bytes")]
    root = usage.checkpoint.split("\n")[2] if usage.checkpoint.count("\n") > 2 else ""
    return described(
        [
            (t("month"), usage.month),
            *counts,
            (t("entries"), f"{range_} ({usage.start} ≤ n < {usage.size})"),
            (t("log"), join([usage.origin, ", ", str(usage.size), " ", tag("code", root)])),
        ]
    )


def papers_table(papers: Sequence[Mapping[str, Any]], totals: Mapping[str, Mapping[str, int]], t: Voice) -> Markup:
    """Return the papers of a statement with one line of sums for each currency."""
    amounts = ("charge", "credit", "paid", "fee", "others", "own")
    heads = (t("number"), t("to"), t("product"), t("state"), *(t(name) for name in amounts))
    rows = [
        (paper["number"], paper["consumer"], paper["product"], paper["state"],
         *(say(paper[f"{name}_cents"], paper["currency"], t.lang) for name in amounts))
        for paper in papers
    ]  # fmt: skip
    for currency, sums in totals.items():
        rows.append((t("sum"), "", "", "", *(say(sums[f"{name}_cents"], currency, t.lang) for name in amounts)))
    return table(heads, rows)


def used_table(usage: Sequence[Mapping[str, Any]], t: Voice) -> Markup:
    """Return what each contract used."""
    names = ("deliveries", "rows", "queries", "rounds", "bytes")
    heads = (t("contract"), *(t(name) for name in names))
    return table(heads, [(row["contract"], *(f"{row[name]:,}" for name in names)) for row in usage])


def described(pairs: Sequence[tuple[str, str]]) -> Markup:
    """Return names and values as a table of two columns."""
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in pairs]
    return tag("table", tag("tbody", *rows), class_="facts")


def page(title: str, body: Sequence[Markup], t: Voice, *, class_: str = "paper") -> str:
    """Return a whole page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", STYLE),
    )
    shown = tag("body", tag("main", *body), class_=class_)
    return "<!doctype html>\n" + tag("html", head, shown, lang="zh-CN" if t.lang == "zh" else "en")
