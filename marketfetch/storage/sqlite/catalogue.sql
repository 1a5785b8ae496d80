-- name: relations
SELECT name FROM sqlite_master WHERE type IN ('table', 'view')

-- name: bytes
SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()
