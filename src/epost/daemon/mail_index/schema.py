"""Tables and longer statements of the mail index."""

from __future__ import annotations

SCHEMA_VERSION = 7

# What is read for whole folders stands in narrow tables of its own: a page that is not read needs
# no decryption, and mails that came one after the other lie side by side. `mail.key` is the
# position of a mail (`MailFacts.position`). Names are random, so that an index over names costs a
# page for each mail: `by_email` has only copies, since a mail's first place has the mail's name.
SCHEMA = """
CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 1), value BLOB NOT NULL);
CREATE TABLE folder (id BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE subscription (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE annotation (
  folder BLOB, name TEXT, value BLOB NOT NULL, PRIMARY KEY (folder, name)) WITHOUT ROWID;
CREATE TABLE mail (
  key INTEGER PRIMARY KEY, email BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
  seconds INTEGER NOT NULL, zone INTEGER NOT NULL, sent_seconds INTEGER, sent_zone INTEGER,
  is_rendered INTEGER NOT NULL DEFAULT 0);
CREATE INDEX unrendered ON mail (key) WHERE NOT is_rendered;
CREATE TABLE content (key INTEGER PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE envelope (key INTEGER PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE structure (key INTEGER PRIMARY KEY, body BLOB NOT NULL, bodystructure BLOB NOT NULL);
CREATE TABLE header (key INTEGER PRIMARY KEY, value BLOB);
CREATE TABLE searched_header (key INTEGER PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE searched_field (
  field TEXT, key INTEGER, value TEXT NOT NULL, PRIMARY KEY (field, key)) WITHOUT ROWID;
CREATE TABLE searched_body (key INTEGER PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE unread_files (key INTEGER PRIMARY KEY);
CREATE TABLE placement (
  key INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, email BLOB, folder BLOB NOT NULL,
  uid INTEGER, is_waiting INTEGER NOT NULL,
  modseq INTEGER NOT NULL, value BLOB NOT NULL);
CREATE UNIQUE INDEX by_uid ON placement (folder, uid) WHERE uid IS NOT NULL;
CREATE INDEX by_email ON placement (email) WHERE email != name;
CREATE INDEX unnumbered ON placement (key) WHERE is_waiting;
CREATE TABLE vanished (
  folder BLOB, modseq INTEGER, uid INTEGER, PRIMARY KEY (folder, modseq, uid)) WITHOUT ROWID;
"""
SEARCHED_FIELDS = ("subject", "from", "to", "cc")
"""Fields that are searched often: each stands by itself, so that the others need not be read."""
TABLES = (
    *("state", "folder", "subscription", "annotation", "mail", "content", "placement", "vanished"),
    *("envelope", "structure", "header"),
    *("searched_header", "searched_field", "searched_body", "unread_files"),
)

PUT_MAIL = """
INSERT INTO mail (key, email, size, seconds, zone) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (email) DO UPDATE SET
  size = excluded.size, seconds = excluded.seconds, zone = excluded.zone"""
PUT_CONTENT = "INSERT OR REPLACE INTO content VALUES (?, ?)"
PUT_SENT = """
UPDATE mail SET sent_seconds = ?, sent_zone = ?, is_rendered = 1 WHERE email = ? RETURNING key"""
PUT_PLACEMENT = """
INSERT INTO placement (name, email, folder, uid, is_waiting, modseq, value)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
  email = excluded.email, folder = excluded.folder, uid = excluded.uid,
  is_waiting = excluded.is_waiting, modseq = excluded.modseq, value = excluded.value"""
PUT_NUMBER = """
UPDATE placement SET uid = ?, is_waiting = ?, modseq = ?, value = ? WHERE name = ?"""
PUT_FLAGS = "UPDATE placement SET modseq = ?, value = ? WHERE name = ?"
PLACED = """
SELECT uid, value, modseq, email, name FROM placement
WHERE folder = ? AND uid > ? ORDER BY uid LIMIT ?"""
POSITION = "SELECT key FROM mail WHERE email = ?"
FACTS = "SELECT email, size, seconds, zone, sent_seconds, sent_zone, key FROM mail WHERE "
PLACES_OF = """
SELECT key, name FROM placement WHERE name IN ({names}) AND email = name
UNION ALL SELECT key, name FROM placement WHERE email IN ({names}) AND email != name
ORDER BY key"""
# A mail lives if it is alive in any place, numbered or not yet.
_LIVES = """(
  EXISTS (SELECT 1 FROM placement p WHERE p.name = m.email AND p.email = p.name
    AND (p.uid IS NOT NULL OR p.is_waiting))
  OR EXISTS (SELECT 1 FROM placement p WHERE p.email = m.email AND p.email != p.name
    AND (p.uid IS NOT NULL OR p.is_waiting)))"""
UNRENDERED = f"""
SELECT m.key, m.email FROM mail m WHERE NOT m.is_rendered AND m.key > ? AND {_LIVES}
ORDER BY m.key LIMIT ?"""  # noqa: S608 - our own words
WITH_UNREAD_FILES = f"""
SELECT m.key, m.email FROM unread_files u JOIN mail m ON m.key = u.key
WHERE u.key > ? AND {_LIVES} ORDER BY u.key LIMIT 1"""  # noqa: S608 - our own words
# The limit is on the mails that are looked at: of a million, all may be in folders.
CONTENTS = f"""
SELECT m.key, CASE WHEN {_LIVES} = ? THEN (SELECT value FROM content WHERE key = m.key) END
FROM mail m WHERE m.key > ? ORDER BY m.key LIMIT ?"""  # noqa: S608 - our own words
