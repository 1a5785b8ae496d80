-- The tables of records, such as splits: what stands behind a dollar sign is filled in from the kind's definition.
-- Times of a row: `first_seen`, the call of the earliest reply that had it; `fetched_at`, the call of the latest one; `gone_at`,
-- the call of the first whole list, after that, which did not have it.

-- A late reply (an older call) changes no value. `gone_at` of the new row is the latest judged list's, where that one is later.
-- name: put
INSERT INTO $table AS t (provider, first_seen, fetched_at, gone_at, ledger_id, $columns)
SELECT ?, {time:?}, {time:?}, {time:?}, ?, $picked $source WHERE true
ON CONFLICT (provider, $key) DO UPDATE SET
  $values
  ledger_id = CASE WHEN excluded.fetched_at >= t.fetched_at THEN excluded.ledger_id ELSE t.ledger_id END,
  first_seen = CASE WHEN excluded.first_seen < t.first_seen THEN excluded.first_seen ELSE t.first_seen END,
  fetched_at = CASE WHEN excluded.fetched_at > t.fetched_at THEN excluded.fetched_at ELSE t.fetched_at END,
  gone_at = CASE WHEN excluded.gone_at IS NULL THEN NULL
                 WHEN t.gone_at IS NULL AND t.fetched_at >= excluded.gone_at THEN NULL
                 WHEN t.gone_at > excluded.fetched_at THEN t.gone_at
                 ELSE excluded.gone_at END

-- name: value
$column = CASE WHEN excluded.fetched_at >= t.fetched_at THEN excluded.$column ELSE t.$column END,

-- name: gone
UPDATE $table SET gone_at = {time:?}
WHERE provider = ? AND fetched_at < {time:?} AND (gone_at IS NULL OR gone_at > {time:?})

-- name: gone_of
{gone} AND $scope = ?

-- name: gone_between
{gone} AND $day BETWEEN ? AND ?

-- name: gone_of_between
{gone} AND $scope = ? AND $day BETWEEN ? AND ?

-- The lists of a kind that judged rows after a call: rows of it that such a list lacked are gone.
-- name: judged_after
SELECT symbol, {ms:judged_at} FROM record_lists WHERE provider = ? AND dataset = ? AND judged_at > {time:?}

-- The pages of one request that are over, as far as they are stored.
-- name: pages
SELECT page, outcome, rows, rejects, {ms:called_at}, next_cursor FROM ledger WHERE root = ? ORDER BY page

-- name: find_list
SELECT {ms:fetched_at}, rows, {ms:judged_at} FROM record_lists WHERE provider = ? AND dataset = ? AND symbol = ?

-- name: put_list
INSERT INTO record_lists (provider, dataset, symbol, fetched_at, rows, judged_at) VALUES (?, ?, ?, {time:?}, ?, {time:?})
ON CONFLICT (provider, dataset, symbol) DO UPDATE
SET fetched_at = excluded.fetched_at, rows = excluded.rows, judged_at = excluded.judged_at
