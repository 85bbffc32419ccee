"""The page: whole in itself, complete in words, honest about what is missing."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from astropy.table import vstack

from diapipe.report import PageContent, render_page
from diapipe.report.rows import AT_MOST_GOOD, listed, rows_of
from diapipe.report.words import sentences
from diapipe.steps.summarize import summarize
from toy_difference import toy_parts

VOID = {"meta", "input", "img", "br", "path", "circle", "rect", "polyline"}


def content_of(parts, **changes):
    content = PageContent(
        summary=summarize(**parts),
        dia_sources=parts["dia_sources"],
        difference=parts["difference"],
        science=parts["science"].exposure.masked_image.image,
        matched_template=parts["difference"].matched_template.image,
    )
    return replace(content, **changes)


class Checker(HTMLParser):
    """Open tags must close in order; images and drawings need words."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.headers = [], set(), 0

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "img":
            assert given["alt"]
        if tag == "svg":
            assert given.get("aria-label") or given.get("aria-hidden") == "true"
        if "id" in given:
            assert given["id"] not in self.ids
            self.ids.add(given["id"])
        self.headers += tag == "th" and given.get("scope") == "col"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page():
    return render_page(content_of(toy_parts(np.random.default_rng(5))))


def test_the_page_is_well_formed_and_accessible(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.headers >= 7


def test_the_page_needs_nothing_from_outside(page):
    """No address but of what the page carries in itself, and no file beside it."""
    assert "http" not in page
    assert re.findall(r'(?:src|href)="(?!data:image/png;base64,|#)', page) == []
    assert re.findall(r"url\((?!data:image/png;base64,|#clip)", page) == []
    assert "@import" not in page
    assert len(page) < 3_000_000


def test_the_page_says_what_was_done_and_why(page):
    assert "The template (FWHM 3.0" in page
    assert "57 matched stars lay 0.052 px rms away per axis; a displacement of order 2 was fitted" in page
    assert "because it is the sharper of the two" in page
    assert "32 of 40 candidate stars carried the fit (left out: 8 residual too large)." in page
    assert "all 3, and the 1 flagged dp_bad" in page
    assert "bad pixel" in page


def test_warnings_stand_in_their_box(rng):
    parts = toy_parts(rng, noise_scale=1.3)
    text = render_page(content_of(parts))
    assert 'role="alert"' in text
    assert "the score scatters by 1.3" in text


def test_a_page_can_do_without_the_science_image(rng):
    content = content_of(toy_parts(rng), science=None, matched_template=None)
    text = render_page(content)
    assert 'class="px-science' not in text
    assert "px-difference" in text


def test_a_page_of_no_source_says_so(rng):
    parts = toy_parts(rng)
    parts["dia_sources"] = parts["dia_sources"][:0]
    assert "Nothing was found above the threshold." in render_page(content_of(parts))


def test_sky_sources_are_neither_listed_nor_marked(rng):
    """Forty rows at empty places leave the page as it is without them."""
    parts = toy_parts(rng)
    found = parts["dia_sources"]
    found["sky_source"] = False
    sky = found[np.resize(np.arange(len(found)), 40)]
    sky["sky_source"] = True
    content = content_of(parts)
    assert len(found) > 0
    assert render_page(replace(content, dia_sources=vstack([found, sky]))) == render_page(content)


def test_reliability_is_a_column_where_it_is_told(rng):
    parts = toy_parts(rng)
    assert 'data-key="reliability"' not in render_page(content_of(parts))
    parts["dia_sources"]["reliability"] = np.float32([0.98, 0.97, 0.96, np.nan])
    text = render_page(content_of(parts))
    assert 'data-key="reliability"' in text
    assert all(f'<td class="n">{cell}</td>' in text for cell in ("0.98", "0.97", "0.96", "\u2013"))


def test_names_of_files_are_escaped(rng):
    content = content_of(toy_parts(rng))
    summary = json.loads(json.dumps(content.summary))
    summary["science"]["name"] = "<script>alert(1)</script>.fits"
    text = render_page(replace(content, summary=summary))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_equal_content_gives_an_equal_page(page):
    assert render_page(content_of(toy_parts(np.random.default_rng(5)))) == page


def test_the_table_lists_the_most_significant_good_sources_first(rng):
    from astropy.table import Table

    n = 400
    snr, bad = rng.normal(0, 30, n), rng.random(n) < 0.5
    table = Table({"x": np.arange(n) * 1.0, "y": np.zeros(n), "snr": snr, "dp_bad": bad})
    index = listed(table)
    good = index[~bad[index]]
    assert len(good) == AT_MOST_GOOD
    np.testing.assert_array_equal(good, np.flatnonzero(~bad)[np.argsort(-np.abs(snr[~bad]))][:AT_MOST_GOOD])
    assert [row.index for row in rows_of(table, index)] == list(index)


def test_the_direction_is_told_in_words_for_both_directions(rng):
    parts = toy_parts(rng)
    summary = summarize(**parts)
    assert sentences(summary)[1].startswith("The template (FWHM")
    summary["convolved"] = "science"
    assert "The science image (FWHM" in sentences(summary)[1]
    assert "because that was asked for" in sentences(summary)[1]
