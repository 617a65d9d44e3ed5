"""Contracts of the raw layer: what the sources gave, byte for byte."""

from __future__ import annotations

import pyarrow as pa

from lostark_assets.contracts.table import DAY, INSTANT, INT, STRING, Column, Contract

LOG_FORMATS = ("loa_logs_db", "upload_json", "player_table")

RAW_BATTLE_LOGS = Contract(
    name="raw_battle_logs",
    row="one battle log exactly as its source gave it",
    key=("log_id",),
    partition_by=("source",),
    notes="Append-only. A log is known by (source, source_log_id, content_sha256); log_id is a hash of them.",
    columns=(
        Column("log_id", STRING, "hash of source, source's own id and content hash (32 hex)", nullable=False),
        Column("source", STRING, "name of the source the log came from", nullable=False),
        Column("source_log_id", STRING, "the source's own id of the log; sources reuse ids", nullable=False),
        Column("content_sha256", STRING, "SHA-256 of payload", nullable=False),
        Column("log_format", STRING, "how payload is to be read", nullable=False, allowed=LOG_FORMATS),
        Column("fight_started_at", INSTANT, "start of the fight, as far as a glance at the log tells"),
        Column(
            "fight_date",
            DAY,
            "UTC day whose partition cleans the log; the day of fetching where the start is unreadable",
            nullable=False,
        ),
        Column(
            "listing_fingerprint",
            STRING,
            "what the source's cheap listing said about the log when it was fetched",
        ),
        Column("source_path", STRING, "where the source lay when the log was fetched"),
        Column("payload_bytes", INT, "size of payload", unit="bytes", nullable=False, minimum=0),
        Column("payload", pa.large_binary(), "the log, byte-exact", nullable=False),
        Column("fetched_at", INSTANT, "when the log was fetched", nullable=False),
        Column("fetch_run_id", STRING, "the run or command that fetched the log", nullable=False),
    ),
)
