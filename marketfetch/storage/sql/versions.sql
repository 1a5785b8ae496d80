-- name: version
SELECT version FROM schema_version

-- name: set_version
UPDATE schema_version SET version = ?

-- The row is never kept: the transaction that writes it is rolled back. Its text is long, so that it needs space on the disk.
-- name: try_writing
INSERT INTO jobs (id, spec, created_at) VALUES ('check', ?, {time:?}) ON CONFLICT DO NOTHING
