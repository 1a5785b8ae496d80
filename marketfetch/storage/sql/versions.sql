-- name: versions
SELECT version FROM schema_version

-- name: set_version
UPDATE schema_version SET version = ?

-- Behind the others: releases before schema 3 read the first row alone.
-- name: add_version
INSERT INTO schema_version (version) VALUES (?)

-- The row is never kept: the transaction that writes it is rolled back. Its text is long, so that it needs space on the disk.
-- name: try_writing
INSERT INTO jobs (id, spec, created_at) VALUES ('check', ?, {time:?}) ON CONFLICT DO NOTHING
