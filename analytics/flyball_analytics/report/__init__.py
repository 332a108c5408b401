"""One self-contained HTML page about a history and the policies that were run over it.

    watch.py     a history through the production step, condensed to what a page shows
    estimates.py amplification and refused load, with intervals
    worst.py     the decisions that cost most
    model.py     all of a report as plain records; nothing below it runs a policy
    svg.py, charts.py, pareto.py   pictures, as inline SVG
    page.py      records -> HTML (extra `report`), summary.py: records -> JSON

The page opens from disk, asks no network for anything and says by which command it was made.
"""
