-- What is listed by the latest whole list of a vendor (dataset symbols): a row that this list lacks has `gone_at`.
-- name: listed
SELECT symbol, kind, exchange FROM symbols WHERE provider = ? AND status = 'active' AND gone_at IS NULL
