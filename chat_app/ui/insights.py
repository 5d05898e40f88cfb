"""`/insights`: how answers come to people, what they say of it, and what it costs."""

from typing import Any

import reflex as rx

from chat_app.errors import ChatError
from chat_app.ui import insight_tables
from chat_app.ui.elements import Fonts, Link
from chat_app.ui.insight_tables import ENDS, Card, Entry, Table, csv_of, quantiles
from chat_app.ui.own import own_here
from chat_app.ui.problems import known
from chat_app.ui.theme import NAME

RANGES = {1: "Today", 7: "7 days", 30: "30 days"}
NO_TABLE = Table(columns=[], rows=[], bars=[], count=0)
NAMES = ["first", "lag", "series", "errors", "fallbacks", "models", "groups", "survey"]
COLOURS = ["var(--primary)", "var(--chart-2)", "var(--chart-3)", "var(--chart-4)", "var(--chart-5)"]
PLOT_PX, WIDEST_PX = 220, 56
# 1,600,000 as 1.6M.
SHORT = "(value) => new Intl.NumberFormat('en', { notation: 'compact' }).format(value)"


class Insights(rx.State):
    days: int = 7
    loaded: bool = False
    problem: str = ""
    answers: int = 0
    cards: list[Card] = []
    tables: dict[str, Table] = dict.fromkeys(NAMES, NO_TABLE)
    slowest: list[Entry] = []
    remarks: list[Entry] = []
    first: str = ""
    lag: str = ""
    thumbs: str = ""

    @rx.event
    async def load(self) -> None:
        await self._show()

    @rx.event
    async def choose(self, days: int) -> None:
        if days in RANGES:
            self.days = days
            await self._show()

    @rx.event
    def download(self, name: str) -> Any:
        if name in self.tables:
            return rx.download(data=csv_of(self.tables[name]), filename=f"{name}-{self.days}-days.csv")
        return None

    async def _show(self) -> None:
        try:
            figures = await own_here().figures(self.days)
        except Exception as error:
            self.problem = known(error).message if not isinstance(error, ChatError) else error.message
            return
        self.problem = ""
        self.answers = figures.answers
        self.cards = insight_tables.cards(figures)
        self.tables = insight_tables.tables(figures)
        self.slowest = insight_tables.slowest(figures)
        self.remarks = insight_tables.remarks(figures)
        self.first, self.lag = quantiles(figures.first), quantiles(figures.lag)
        self.thumbs = f"{figures.up:,} up, {figures.down:,} down"
        self.loaded = True


def insights_page() -> rx.Component:
    return rx.el.main(
        Fonts.create(),
        rx.el.header(
            Link.create(NAME, to="/", class_name="brand"),
            rx.el.h1("Insights"),
            ranges(),
            class_name="insights-head",
        ),
        rx.cond(Insights.problem, problem()),
        rx.cond(Insights.loaded, figures(), rx.el.p("The figures are being read …", role="status", class_name="hint")),
        class_name="insights",
    )


def problem() -> rx.Component:
    return rx.el.p(
        Insights.problem,
        " ",
        rx.el.button("Try again", type="button", class_name="text-button", on_click=Insights.load),
        role="alert",
        class_name="problem",
    )


def ranges() -> rx.Component:
    return rx.el.div(
        *[
            rx.el.button(
                text,
                type="button",
                class_name="range",
                aria_pressed=Insights.days == days,
                on_click=Insights.choose(days),
            )
            for days, text in RANGES.items()
        ],
        role="group",
        aria_label="Of how many days",
        class_name="ranges",
    )


def figures() -> rx.Component:
    return rx.fragment(
        rx.el.div(rx.foreach(Insights.cards, card), role="list", aria_label="Goals", class_name="cards"),
        section(
            "first",
            "From Enter to the first token",
            histogram("first"),
            nothing="How long people wait will be here once answers were shown on the page or in /embed.",
            note=Insights.first,
        ),
        section(
            "lag",
            "From the first token's generation to its paint",
            histogram("lag"),
            nothing="What the way from the server to the screen takes will be here.",
            note=Insights.lag,
        ),
        section(
            "series",
            "Answers over time",
            # One that was resumed is among those that ended somehow.
            stacked("series", ENDS, beside="resumed"),
            nothing="Answers will be here by how they ended, and how many were resumed.",
        ),
        section("errors", "Failures by kind", columns("errors", "answers"), nothing="No answer has failed."),
        section(
            "fallbacks", "Why answers came whole", columns("fallbacks", "answers"), nothing="No answer came whole."
        ),
        section(
            "models",
            "Tokens and cost by model",
            stacked("models", ["read", "written"]),
            nothing="What models read, write and cost will be here.",
            open_=True,
        ),
        section(
            "groups",
            "With streaming and without",
            None,
            nothing="With a share in FEATURE_STREAMING, people with and without it are side by side here.",
            open_=True,
        ),
        section(
            "survey",
            "How fast answers feel",
            columns("survey", "people"),
            nothing="With SURVEY=true, people are asked once, under their tenth answer.",
        ),
        entries("Slowest answers", Insights.slowest, "The ten slowest will be here."),
        entries("Remarks", Insights.remarks, "What people say of answers will be here.", note=Insights.thumbs),
    )


def card(goal: rx.Var[Card]) -> rx.Component:
    return rx.el.div(
        rx.el.p(goal["name"], class_name="card-name"),
        rx.el.p(
            goal["value"],
            rx.match(
                goal["state"],
                ("met", rx.el.span("met", class_name="mark")),
                ("missed", rx.el.span("missed", class_name="mark")),
                rx.fragment(),
            ),
            class_name="card-value",
        ),
        rx.el.p(goal["target"], class_name="hint"),
        role="listitem",
        class_name="card",
        custom_attrs={"data-state": goal["state"]},
    )


def section(
    name: str,
    title: str,
    plot: rx.Component | None,
    nothing: str,
    note: rx.Var[str] | None = None,
    open_: bool = False,
) -> rx.Component:
    """A plot and its numbers; `nothing` says what will be there."""
    table = Insights.tables[name]
    shown = [rx.el.div(plot, aria_hidden="true", class_name="plot")] if plot else []
    return rx.el.section(
        rx.el.h2(title, id=f"of-{name}"),
        *([rx.el.p(note, class_name="note")] if note is not None else []),
        rx.cond(
            table["count"] > 0,
            rx.fragment(*shown, numbers(name, title, table, open_)),
            rx.el.p(nothing, class_name="hint"),
        ),
        aria_labelledby=f"of-{name}",
    )


def numbers(name: str, title: str, table: rx.Var[Table], open_: bool) -> rx.Component:
    return rx.el.details(
        rx.el.summary("Numbers"),
        rx.el.div(
            rx.el.table(
                rx.el.caption(title, class_name="visually-hidden"),
                rx.el.thead(rx.el.tr(rx.foreach(table["columns"], lambda text: rx.el.th(text, scope="col")))),
                rx.el.tbody(rx.foreach(table["rows"], row)),
            ),
            tab_index=0,
            role="region",
            aria_label=f"{title}, as a table",
            # Not `table`, which Tailwind lays out as one: it would not scroll.
            class_name="numbers",
        ),
        rx.el.button("Download as CSV", type="button", class_name="text-button", on_click=Insights.download(name)),
        open=open_,
    )


def row(cells: rx.Var[list[str]]) -> rx.Component:
    return rx.el.tr(
        rx.foreach(cells, lambda text, i: rx.cond(i == 0, rx.el.th(text, scope="row"), rx.el.td(text))),
    )


def histogram(name: str) -> rx.Component:
    return columns(name, "answers")


def columns(name: str, key: str) -> rx.Component:
    return chart(
        name, [rx.recharts.bar(data_key=key, fill=COLOURS[0], max_bar_size=WIDEST_PX, is_animation_active=False)]
    )


def stacked(name: str, keys: list[str], beside: str = "") -> rx.Component:
    """A bar of all keys together; what is `beside` them is a line."""
    bars = [
        rx.recharts.bar(data_key=key, fill=colour, stack_id="all", max_bar_size=WIDEST_PX, is_animation_active=False)
        for key, colour in zip(keys, COLOURS, strict=False)
    ]
    line = rx.recharts.line(data_key=beside, stroke=COLOURS[len(keys)], dot=False, is_animation_active=False)
    # As they are stacked, not by their names.
    legend = rx.recharts.legend(custom_attrs={"itemSorter": rx.Var("null")})
    return chart(name, [*bars, *([line] if beside else []), legend])


def chart(name: str, parts: list[rx.Component]) -> rx.Component:
    return rx.recharts.composed_chart(
        *parts,
        rx.recharts.x_axis(data_key="name", stroke="var(--muted-foreground)"),
        rx.recharts.y_axis(allow_decimals=False, stroke="var(--muted-foreground)", width=48, tick_formatter=SHORT),
        rx.recharts.graphing_tooltip(),
        data=Insights.tables[name]["bars"],
        width="100%",
        height=PLOT_PX,
    )


def entries(title: str, lines: rx.Var[list[Entry]], nothing: str, note: rx.Var[str] | None = None) -> rx.Component:
    return rx.el.section(
        rx.el.h2(title),
        *([rx.el.p(note, class_name="note")] if note is not None else []),
        rx.cond(
            lines,
            rx.el.ol(rx.foreach(lines, entry), class_name="entries"),
            rx.el.p(nothing, class_name="hint"),
        ),
    )


def entry(line: rx.Var[Entry]) -> rx.Component:
    return rx.el.li(
        rx.cond(line["href"], Link.create(line["text"], to=line["href"]), rx.el.span(line["text"])),
        rx.el.span(line["note"], class_name="hint"),
    )
