"""A real browser for the tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from tests.browsing import Visit

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium as it is installed, without a window; skips where there is none, or no Playwright to drive it.

    Of a module, not of the session: while Playwright runs its event loop holds the thread; other tests start their own.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright to drive a browser: extra [test]")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the path")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Open a page; in the end nothing may have come from elsewhere than the disk, and nothing have gone wrong."""
    visits = []

    def opened(path, **how):
        visits.append(Visit(browser, path, **how))
        return visits[-1]

    yield opened
    for each in visits:
        each.context.close()
        assert [url for url in each.asked if not url.startswith(("file:", "data:", "blob:"))] == []
        assert each.complaints == []
