"""A bill as text, Markdown and plain values; every figure beside how it came about. Computes nothing."""

from __future__ import annotations

import math

from flyball_analytics.cost import Bill, Calls, Fleet, Group, Saved, Span, Stakes
from flyball_analytics.prices import AS_OF, PRICES, REGION
from flyball_analytics.whatif_saved import LIMITS, count_words
from flyball_analytics.wording import percent

SCHEMA = 1
NOTE = (
    f"Prices of {REGION} as known on {AS_OF}, mostly from secondary sources, without free tiers and "
    "discounts: check AWS's price pages (--price replaces one). A month has 730 hours."
)
ACCOUNTS = (
    "Every metric is asked for in each account, and each account is taken to call every target. "
    "Links that share metrics between accounts and assumed roles have no price."
)
_TITLES = {Group.CONTROLLER: "The controller", Group.FLEET: "The fleet"}


def dollars(usd: float) -> str:
    """Return an amount as people write it: cents up to a hundred dollars, then whole dollars.

    >>> dollars(0.004), dollars(12.345), dollars(1234.5), dollars(-3.0)
    ('< 0.01', '12.35', '1,234', '-3.00')
    """
    if 0.0 < usd < 0.005:
        return "< 0.01"
    return f"{usd:,.0f}" if abs(usd) >= 100.0 else f"{usd:,.2f}"


def sentences(bill: Bill, *, saved: Saved | None, stakes: Stakes) -> list[str]:
    """Return what the bill comes to, and what has to be saved, in words."""
    told = [f"flyball costs about {dollars(bill.total)} USD a month."]
    if bill.accounts > 1:
        told.append(ACCOUNTS)
    if bill.received_at_limit:
        told.append(
            "At the policy's limit of changes, documents received would cost "
            f"{dollars(bill.received_at_limit)} USD."
        )
    if bill.retries:
        share = bill.break_even_retries_ratio
        more = (
            f"; it pays for itself if it saves {percent(share)} of them"
            if share is not None and share <= 1.0
            else ""
        )
        told.append(f"Retries cost about {dollars(bill.retries)} USD a month{more}.")
    if bill.break_even_outage_min is not None:
        told.append(
            f"At {stakes.usd_per_outage_h:,.10g} USD an hour of outage it pays for itself with "
            f"{bill.break_even_outage_min:.3g} min less of it a month."
        )
    if bill.break_even_requests is not None:
        told.append(
            f"At {stakes.usd_per_lost_request:,.10g} USD a lost request it pays for itself with "
            f"{bill.break_even_requests:,.0f} fewer of them a month."
        )
    if saved is not None:
        if saved.incidents:
            told.append(_shown(saved))
        if saved.kept is not None:
            told += _lived(bill, saved.kept, stakes)
    span = bill.saved_span
    if span is not None:
        told.append(f"So it would save about {_span(span)} USD a month, {_against(span, bill.total)}.")
    elif bill.saved is not None:
        word = "more" if bill.saved >= bill.total else "less"
        if bill.saved < 0.0:
            told.append(f"So it would cost about {dollars(-bill.saved)} USD a month more, beside the bill.")
        else:
            told.append(f"So it would save about {dollars(bill.saved)} USD a month, {word} than it costs.")
    return told


def _shown(saved: Saved) -> str:
    word = "earlier" if saved.earlier_h >= 0.0 else "later"
    refused = ""
    if saved.refused_well:
        more = "more" if saved.refused_well > 0.0 else "fewer"
        refused = f", {abs(saved.refused_well):,.0f} requests {more} refused in healthy time"
    return (
        f"The replay of {saved.days:.3g} days ({saved.incidents} labelled incidents) shows, against "
        f"{saved.baseline} and scaled to a month: answers {abs(saved.earlier_h):.3g} h {word}, "
        f"{percent(saved.retries_ratio)} of the retries not made{refused}. Open loop: an estimate."
    )


def _lived(bill: Bill, kept: Span, stakes: Stakes) -> list[str]:
    """Return what the closed loop adds: requests, their worth, and from which worth on it pays."""
    ends = count_words(kept.low, kept.high)
    told = [f"Lived through again, {ends} requests a month fewer are lost (negative: more). {LIMITS}"]
    least = bill.break_even_usd_per_request
    if least is not None and least.low < math.inf:
        most = (
            f"and {least.high:.2g} USD in the worst"
            if least.high < math.inf
            else "and never in the worst: there no request is kept"
        )
        told.append(
            f"It pays for itself if one of them costs {least.low:.2g} USD in the kindest world, {most}."
        )
    elif least is not None:
        told.append("No world keeps a request, so it cannot pay for itself by them.")
    if bill.avoided is not None:
        told.append(
            f"At {stakes.usd_per_lost_request:,.10g} USD each the outages avoided are worth "
            f"{_span(bill.avoided)} USD a month, less what is refused in healthy time."
        )
    return told


def _span(span: Span) -> str:
    """Return two ends, or one where they read the same.

    >>> _span(Span(-3.0, 1_200.0)), _span(Span(5.0, 5.0))
    ('-3.00 to 1,200', '5.00')
    """
    ends = [dollars(end) for end in span]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _against(span: Span, total: float) -> str:
    if span.low >= total:
        return "more than it costs in every world"
    return (
        "less than it costs in every world" if span.high < total else "more than it costs in some worlds only"
    )


def bill_text(bill: Bill, *, saved: Saved | None, stakes: Stakes) -> str:
    """Return the bill for a terminal."""
    width = max(len(line.part) for line in bill.lines)
    arithmetic = max(len(line.arithmetic) for line in bill.lines)
    out = []
    for group, title in _TITLES.items():
        out.append(f"{title:<{width + 2}}  {'':<{arithmetic}}  USD a month")
        out += [
            f"  {line.part:<{width}}  {line.arithmetic:<{arithmetic}}  {dollars(line.usd):>11}"
            for line in bill.lines
            if line.group is group
        ]
    out.append(f"{'together':<{width + arithmetic + 4}}  {dollars(bill.total):>11}")
    return "\n".join([*out, "", *sentences(bill, saved=saved, stakes=stakes), "", NOTE])


def bill_markdown(bill: Bill, *, saved: Saved | None, stakes: Stakes) -> str:
    """Return the same as Markdown."""
    rows = ["| part | arithmetic | USD a month |", "|---|---|---:|"]
    rows += [f"| {line.part} | {line.arithmetic} | {dollars(line.usd)} |" for line in bill.lines]
    rows.append(f"| **together** | | **{dollars(bill.total)}** |")
    return "\n".join([*rows, "", *sentences(bill, saved=saved, stakes=stakes), "", NOTE])


def bill_json(
    bill: Bill, *, fleet: Fleet, calls: Calls, stakes: Stakes, saved: Saved | None, price: dict[str, float]
) -> dict[str, object]:
    """Return the same as plain values, with everything that it was computed from."""
    return {
        "schema": SCHEMA,
        "lines": [line._asdict() for line in bill.lines],
        "total_usd": bill.total,
        "received_at_limit_usd": bill.received_at_limit,
        "retries_usd": bill.retries,
        "retries_saved_usd": bill.retries_saved,
        "outage_saved_usd": bill.outage_saved,
        "saved_usd": bill.saved,
        "avoided_usd": None if bill.avoided is None else list(bill.avoided),
        "saved_usd_range": None if bill.saved_span is None else list(bill.saved_span),
        "break_even": {
            "outage_min": bill.break_even_outage_min,
            "lost_requests": bill.break_even_requests,
            "retries_ratio": bill.break_even_retries_ratio,
            "usd_per_lost_request": None
            if bill.break_even_usd_per_request is None
            else [end if end < math.inf else None for end in bill.break_even_usd_per_request],
        },
        "fleet": fleet._asdict(),
        "calls": calls._asdict(),
        "stakes": stakes._asdict(),
        "replay": None
        if saved is None
        else {**saved._asdict(), "kept": None if saved.kept is None else list(saved.kept)},
        "closed_loop_limits": None if saved is None or saved.kept is None else LIMITS,
        "prices": {
            "as_of": AS_OF,
            "region": REGION,
            "usd": {name: {"usd": usd, "unit": PRICES[name].unit} for name, usd in price.items()},
        },
    }
