"""Contracts of the raw layer: what the sources gave, byte for byte."""

from __future__ import annotations

import pyarrow as pa

from lostark_assets.contracts.table import DAY, INSTANT, INT, STRING, Column, Contract, Storage

LOG_FORMATS = ("loa_logs_db", "upload_json", "player_table")
PROFILE_STATUSES = ("found", "unknown")
NEWS_LISTS = ("notices", "events")
_GROUP_BYTES = 8 << 20
"""A larger row group needs new memory each time it is read, which costs more than reading it."""

RAW_BATTLE_LOGS = Contract(
    name="raw_battle_logs",
    row="one battle log exactly as its source gave it",
    key=("log_id",),
    grain="source",
    is_compacted=True,
    storage=Storage(
        row_group_rows=64,  # single logs are read
        row_group_bytes=_GROUP_BYTES,
        size_column="payload_bytes",
        compressed_column="payload",  # a meter's gzip is most of most payloads
    ),
    preview=(
        "log_id",
        "source",
        "source_log_id",
        "log_format",
        "fight_started_at",
        "payload_bytes",
        "fetched_at",
    ),
    notes="Append-only. A log is known by (source, source_log_id, content_sha256); log_id is a hash of them.",
    columns=(
        Column("log_id", STRING, "hash of source, source's own id and content hash (32 hex)", nullable=False),
        Column("source", STRING, "name of the source the log came from", nullable=False),
        Column("source_log_id", STRING, "the source's own id of the log; sources reuse ids", nullable=False),
        Column("content_sha256", STRING, "SHA-256 of payload", nullable=False),
        Column("log_format", STRING, "how payload is to be read", nullable=False, allowed=LOG_FORMATS),
        Column("fight_started_at", INSTANT, "start of the fight, where the log's header gives it"),
        Column(
            "fight_date",
            DAY,
            "UTC day whose partition cleans the log; the day of fetching where the start is unreadable",
            nullable=False,
        ),
        Column(
            "listing_fingerprint",
            STRING,
            "fingerprint of the log in the source's listing when it was fetched",
        ),
        Column("source_path", STRING, "where the source lay when the log was fetched"),
        Column("payload_bytes", INT, "size of payload", unit="bytes", nullable=False, minimum=0),
        Column("payload", pa.large_binary(), "the log, byte-exact", nullable=False),
        Column("fetched_at", INSTANT, "when the log was fetched", nullable=False),
        Column("fetch_run_id", STRING, "the run or command that fetched the log", nullable=False),
    ),
)

RAW_ARMORY_PROFILES = Contract(
    name="raw_armory_profiles",
    row="one Open API profile response of one character at one time",
    key=("profile_id",),
    is_compacted=True,
    storage=Storage(
        compression="zstd",  # one body is some 100 KB of text that says most things twice
        compression_level=6,
        row_group_rows=64,  # single profiles are read
        row_group_bytes=_GROUP_BYTES,
        size_column="body_bytes",
    ),
    notes=(
        "Append-only. What a character wore when it last logged out or was selected, not what it wore in a "
        "fight: see decision 14."
    ),
    columns=(
        Column("profile_id", STRING, "hash of region, name, time and content hash (32 hex)", nullable=False),
        Column("region", STRING, "region whose characters the API knows", nullable=False),
        Column(
            "character_name",
            STRING,
            "requested name, composed Unicode",
            nullable=False,
            personal="name",
        ),
        Column("fetched_at", INSTANT, "when the response came", nullable=False),
        Column(
            "status",
            STRING,
            "found, or unknown: the API knows no such character, or not any more",
            nullable=False,
            allowed=PROFILE_STATUSES,
        ),
        Column("content_sha256", STRING, "SHA-256 of body", nullable=False),
        Column("body_bytes", INT, "size of body", unit="bytes", nullable=False, minimum=0),
        Column("body", pa.large_binary(), "the response's body, byte-exact", nullable=False),
        Column("request_path", STRING, "requested path and query, without the name", nullable=False),
        Column("fetch_run_id", STRING, "the run that fetched the profile", nullable=False),
    ),
)

RAW_GAME_NOTICES = Contract(
    name="raw_game_notices",
    row="one version of one entry of the Open API's news, as it was listed",
    key=("notice_id",),
    is_compacted=True,
    preview=("news_list", "title", "link", "fetched_at"),
    notes="Append-only. An entry that is listed again unchanged adds nothing; an edited one adds a row.",
    columns=(
        Column("notice_id", STRING, "hash of list, link and content hash (32 hex)", nullable=False),
        Column("news_list", STRING, "list that it stood in", nullable=False, allowed=NEWS_LISTS),
        Column("link", STRING, "page of the entry; what its versions have in common"),
        Column("title", STRING, "title as listed"),
        Column("content_sha256", STRING, "SHA-256 of body", nullable=False),
        Column("body", pa.large_binary(), "the entry's JSON, byte-exact", nullable=False),
        Column("fetched_at", INSTANT, "when this version was first seen", nullable=False),
        Column("fetch_run_id", STRING, "the run that fetched the entry", nullable=False),
    ),
)
