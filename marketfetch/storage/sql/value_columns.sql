-- The columns that tables of values and of bars have had; see storage/value_columns.py.
-- name: known
SELECT name, {ms:fetched_at}, {ms:gone_at} FROM value_columns WHERE provider = ? AND symbol = ?

-- name: add
INSERT INTO value_columns (provider, symbol, name, first_seen, fetched_at, gone_at, ledger_id)
VALUES (?, ?, ?, {time:?}, {time:?}, {time:?}, ?)

-- name: lose
UPDATE value_columns SET gone_at = {time:?}, gone_ledger_id = ? WHERE provider = ? AND symbol = ? AND name = ?

-- name: see
UPDATE value_columns SET fetched_at = {time:?} WHERE provider = ? AND symbol = ? AND gone_at IS NULL

-- Each column that is gone beside each one that the same reply was the first to have.
-- name: changes
SELECT c.provider, c.symbol, {ms:c.gone_at}, c.name, n.name
FROM value_columns c LEFT JOIN value_columns n
    ON n.provider = c.provider AND n.symbol = c.symbol AND n.ledger_id = c.gone_ledger_id
WHERE c.gone_at IS NOT NULL

-- name: all_changes
{changes} ORDER BY c.provider, c.symbol, c.gone_at, c.name, n.name

-- name: changes_of_job
{changes} AND EXISTS (
    SELECT 1 FROM ledger l JOIN job_requests j ON j.root = l.root WHERE l.id = c.gone_ledger_id AND j.job_id = ?)
ORDER BY c.provider, c.symbol, c.gone_at, c.name, n.name
