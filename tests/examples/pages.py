"""All pages: PAGES names one function, which may add as many as it likes.

PAGES=tests.examples.pages:add
"""

import reflex as rx

from tests.examples import ask_page, chart_page, digest_page, usage_page


def add(app: rx.App) -> None:
    usage_page.add(app)
    ask_page.add(app)
    chart_page.add(app)
    digest_page.add(app)
