"""Writes a synthetic fleet as a history, with its labels beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flyball_analytics.cli.files import write_whole
from flyball_analytics.ingest.block import ALL_MEASURED, DTYPES, Block
from flyball_analytics.ingest.store import Rule, open_writer
from flyball_analytics.problems import SeriesError
from flyball_analytics.synth import Fleet

LABELS_NAME = "labels.json"


def write_fleet(fleet: Fleet, folder: Path, *, command: str) -> Path:
    """Write the history into an empty folder; return the path of the labels file, which lies in it.

    Args:
        fleet: What `synth.fleet` made.
        folder: New or empty.
        command: Stands in the manifest.

    Raises:
        SeriesError: If the folder holds a history or anything else.
    """
    with open_writer(folder) as writer:
        if writer.manifest.parts:
            raise SeriesError("holds a history: name a new folder for a synthetic one", path=str(folder))
        source, findings = writer.source("synth", command, {"command": command})
        for target, rows in fleet.history.groupby("target", sort=True):
            block: Block = {
                "start_us": rows["start"].astype("int64").to_numpy(),
                "arrived_us": rows["arrived"].astype("int64").to_numpy(),
                "measured": np.full(len(rows), ALL_MEASURED, dtype=np.int32),
            }
            for name, kind in DTYPES.items():
                if name not in block:
                    block[name] = rows[name].to_numpy(dtype=kind)
            writer.add(str(target), block, Rule(), findings)
        source.points = len(fleet.history)
        source.complete = True
        write_whole(folder / LABELS_NAME, fleet.labels_json())
        writer.commit(source, findings)
    return folder / LABELS_NAME
