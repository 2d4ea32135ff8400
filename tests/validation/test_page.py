import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mrtrade.validation import page
from mrtrade.validation.criteria import Verdict, judge
from mrtrade.validation.overfitting import pbo_cscv
from mrtrade.validation.report import SECTIONS, ValidationReport

from .make_report import FOLDS, full_report

VOID = {"meta", "img", "br", "path", "use", "rect", "line", "circle"}


class Balance(HTMLParser):
    """Every tag that is opened is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def text_of(html):
    parser = Balance()
    parser.feed(html)
    assert parser.open in ([], ["p"])
    return " ".join(" ".join(parser.text).split())


@pytest.fixture(scope="module")
def full():
    report = full_report()
    return report, page.html(report)


def test_needs_nothing_from_anywhere(full):
    _, html = full
    links = re.findall(r'(?:src|href)=["\']([^"\']*)', html)
    assert all(one.startswith(("data:", "#")) for one in links)
    assert "<script" not in html
    assert "@import" not in html
    assert "prefers-color-scheme:dark" in html


def test_has_all_of_it_and_the_verdict_first(full):
    report, html = full
    text = text_of(html)
    for heading in [*SECTIONS.values(), "What the words mean", "Parts of the costs"]:
        if heading not in ("Verdict", *(SECTIONS[k] for k in ("sharpe", "interval", "deflated"))):
            assert heading in text
    assert text.index("NO-GO") < text.index("Fold by fold")
    assert "should not be traded as it is" in text
    for one in report.verdict.criteria:
        assert one.name in text
    assert "ETH has no bars before 2024" in text
    assert "bars hold no order book" in text
    assert "214" in text
    assert f"{100.0 * report.deflated.probability:.1f}%" in text
    assert f"{100.0 * report.overfitting.pbo:.1f}%" in text
    assert f"{report.costs.break_even:.2f} times the assumed costs" in text
    assert "4 of 200 (2.0%)" in text
    assert "walk_forward.train" in text


def test_each_fold_has_a_row_and_a_mark(full):
    _, html = full
    equity = html[html.index("aria-label='Profit out of sample") :]
    svg = equity[: equity.index("</svg>")]
    for number in range(1, FOLDS + 1):
        assert f">{number}</text>" in svg
    rows = re.findall(r"<td>2022-10-03 to ", html)
    assert len(rows) == FOLDS


def test_pictures_are_told_in_words(full):
    _, html = full
    labels = re.findall(r"role=img aria-label='([^']+)'", html)
    assert len(labels) == html.count("role=img") == 6
    assert any(re.search(r"Sharpe ratio by volatility: low -?\d", one) for one in labels)
    assert "alt='Mean |SHAP| of the ten strongest features'" in html


def test_the_same_report_gives_the_same_bytes(full):
    assert page.html(full_report()) == full[1]


def test_what_is_missing_is_said_with_its_reason():
    html = page.html(ValidationReport("Mine", missing={"noise": "it takes a night"}))
    text = text_of(html)
    assert "NOT JUDGED" in text
    assert "it takes a night" in text
    assert text.count("not measured, and no reason was given") == len(SECTIONS) - 1


def test_numbers_that_are_not_there_do_not_look_like_numbers():
    report = full_report(
        overfitting=pbo_cscv(np.zeros((100, 3))),
        equity=pd.Series([], index=pd.DatetimeIndex([], tz="UTC"), dtype=float),
        folds=[],
        missing={"equity": "no fold had enough rows"},
    )
    text = text_of(page.html(report))
    assert "None: no configuration ever traded" in text
    assert "no fold had enough rows" in text
    assert not re.search(r"\bnan\b|\binf\b", text)


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        ((judge("it", 2.0, ">", 1.0),), "no promise of profit"),
        ((judge("it", 0.0, ">", 1.0),), "should not be traded"),
        ((judge("it", None, ">", 1.0, reason="short"),), "treat this as a no"),
    ],
)
def test_the_sentence_of_each_verdict(criteria, words):
    verdict = Verdict("gate 1", criteria)
    html = page.html(ValidationReport("Mine", verdict=verdict))
    assert words in text_of(html)
    assert f"<b>{verdict.decision}</b>" in html


def test_text_of_others_cannot_become_markup():
    bad = "<script>alert('x')</script>"
    html = page.html(
        ValidationReport(
            bad,
            subtitle=bad,
            verdict=Verdict(bad, (judge(bad, 1.0, ">", 2.0, bad),)),
            pictures={bad: b"png"},
            tables={bad: pd.DataFrame({bad: [bad]})},
            missing={bad: bad},
            notes=[bad],
            made={bad: bad},
        )
    )
    assert "<script" not in html
    assert "alert('" not in re.sub(r"alert\(&#x27;", "", html)


def test_without_matplotlib(monkeypatch, full):
    monkeypatch.setattr(page, "find_spec", lambda name: None)
    html = page.html(full[0])
    assert "<svg" not in html
    assert "mrtrade[report]" in html
    assert "Fold by fold" in html


def test_writes_whole_or_not_at_all(tmp_path, full):
    path = page.write_page(full[0], tmp_path / "new" / "page.html")
    assert path.read_text(encoding="utf-8") == full[1]
    assert [one.name for one in path.parent.iterdir()] == ["page.html"]
