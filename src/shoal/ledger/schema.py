"""The ledger's tables, and the version they are at.

Knows names and types, and runs nothing. Money and times are texts, so that they come back exactly as they went in;
`tenant_id` is on every row. A change of these tables raises `VERSION` and comes with a migration.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, PrimaryKeyConstraint, String, Table

VERSION = 1

metadata = MetaData()

versions = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

runs = Table(
    "runs",
    metadata,
    Column("run", String, primary_key=True),
    Column("tenant_id", String, nullable=False),
    Column("owner", String),
    Column("started_at", String, nullable=False),
    Column("ended_at", String),
    Column("status", String, nullable=False),
    Column("model", String),
    Column("mode", String),
    Column("served_by", String),
    Column("cost_usd", String),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("language", String),
    Column("error", String),
    Index("runs_by_start", "tenant_id", "started_at"),
)

events = Table(
    "events",
    metadata,
    Column("run", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("tenant_id", String, nullable=False),
    Column("action", String, nullable=False),
    Column("step", String),
    Column("attempt", Integer),
    Column("at", String, nullable=False),
    Column("schema", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run", "sequence"),
)

bodies = Table(
    "bodies",
    metadata,
    Column("run", String, nullable=False),
    Column("hash", String, nullable=False),
    Column("tenant_id", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("key_id", String),
    Column("expires_at", String),
    PrimaryKeyConstraint("run", "hash"),
    Index("bodies_by_expiry", "expires_at"),
)
