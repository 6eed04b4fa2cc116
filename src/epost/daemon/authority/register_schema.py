"""The tables of the authority's register, and how those of former versions become them."""

from __future__ import annotations

SCHEMA_VERSION = 5

SCHEMA = """
CREATE TABLE invite (
  token_hash BLOB PRIMARY KEY, name TEXT, is_device INTEGER NOT NULL, expires_at INTEGER NOT NULL,
  request_hash BLOB, answer BLOB, used_at INTEGER);
CREATE TABLE account (
  name TEXT PRIMARY KEY, account_id BLOB NOT NULL UNIQUE, certificate BLOB NOT NULL,
  member_tag BLOB NOT NULL);
CREATE TABLE node (
  serial BLOB PRIMARY KEY, node_id BLOB NOT NULL UNIQUE, node_key BLOB NOT NULL UNIQUE,
  member_tag BLOB NOT NULL, site TEXT NOT NULL, roles INTEGER NOT NULL,
  certificate BLOB NOT NULL, not_after INTEGER NOT NULL, issued_at INTEGER NOT NULL,
  revoked_at INTEGER, reason INTEGER);
CREATE TABLE certified (sequence INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE block (purpose TEXT PRIMARY KEY, data BLOB NOT NULL);
"""
UPGRADES = {
    1: """
CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE seen (node_id BLOB PRIMARY KEY, at INTEGER NOT NULL);
CREATE TABLE standing (
  name TEXT PRIMARY KEY, state INTEGER NOT NULL, since INTEGER NOT NULL, successor TEXT);
""",
    2: """
CREATE TABLE superseded (hash BLOB PRIMARY KEY, name TEXT NOT NULL, not_after INTEGER NOT NULL);
""",
    3: """
CREATE TABLE named_account (
  name TEXT PRIMARY KEY, account_id BLOB NOT NULL, certificate BLOB NOT NULL,
  member_tag BLOB NOT NULL);
INSERT INTO named_account SELECT name, account_id, certificate, member_tag FROM account;
DROP TABLE account;
ALTER TABLE named_account RENAME TO account;
""",
    4: """
CREATE TABLE succeeded_key (
  hash BLOB PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL);
""",
}
"""What makes a register of the next version of one: each is written once and never changed."""
