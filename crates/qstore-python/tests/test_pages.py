"""``qstore.show``: a page that is served, and a picture inside a notebook."""

import html
import sys
import types
import urllib.error
import urllib.request

import pytest

import qstore


@pytest.fixture
def run(tmp_path):
    with qstore.Run.create(tmp_path / "runs", record_environment=False) as run:
        for step in range(100):
            run.log_step(0, step, 0.5, extra_one=step, extra_two=step)
    return run


def test_a_page_is_served_until_it_is_closed(run):
    # A browser keeps the cookie that the token becomes.
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with qstore.show(run.path, browser=False) as page:
        assert page.url.startswith("http://127.0.0.1:") and page.url in repr(page)
        with browser.open(page.url, timeout=30) as answer:
            assert answer.status == 200 and b"<html" in answer.read().lower()
        # Without its token it shows nothing.
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(page.url.split("?")[0], timeout=30)
    with pytest.raises(urllib.error.URLError, match="refused"):
        browser.open(page.url, timeout=30)


def test_the_browser_is_asked_to_open_it(run, monkeypatch):
    asked = []
    monkeypatch.setattr("webbrowser.open", asked.append)
    with qstore.show(run.path) as page:
        assert asked == [page.url]


def test_a_notebook_shows_a_picture(run, monkeypatch, tmp_path):
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    picture = qstore.show(run.path, columns=["extra_one"], height=300)
    assert picture.document.startswith("<!doctype html>") and "extra_one" in picture.document
    shown = picture._repr_html_()
    assert shown.startswith("<iframe ") and "height: 300px" in shown and html.escape(picture.document) in shown
    picture.save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == picture.document


@pytest.mark.parametrize("inline", [True, False])
def test_what_cannot_be_shown_is_an_error(tmp_path, inline):
    with pytest.raises(qstore.Error, match="nothing"):
        qstore.show(tmp_path / "nothing", inline=inline, browser=False)
