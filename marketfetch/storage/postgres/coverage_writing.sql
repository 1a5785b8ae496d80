-- One writer of a series at a time, until its transaction ends: the next one then sees these pages and these rows. As few locks
-- as there are parts, of which each has many series, since a session may hold only some thousands.
-- name: lock
SELECT pg_advisory_xact_lock(part) FROM unnest(?::bigint[]) AS parts (part) ORDER BY part

-- name: pages
SELECT page, outcome, next_cursor IS NULL, final_to, coalesce({ms:called_at}, 0) FROM ledger WHERE root = ? ORDER BY page

-- name: covered_series
unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[]

-- Whether anything is stored of what changes adjusted prices: most databases have none, and need no look at it.
-- name: has_actions
EXISTS (SELECT FROM splits) OR EXISTS (SELECT FROM dividends)

-- name: coverage
SELECT c.provider, c.dataset, c.symbol, c.timespan, c.adjustment, c.first_day, c.last_day, c.final_to, {ms:c.fetched_at},
    {has_actions}
FROM {covered_series}, ?::date[], ?::date[]) AS span (provider, dataset, symbol, timespan, adjustment, first_day, last_day)
JOIN coverage c USING (provider, dataset, symbol, timespan, adjustment)
WHERE c.first_day <= span.last_day AND c.last_day >= span.first_day

-- name: uncover
DELETE FROM coverage c
USING {covered_series}, ?::date[]) AS gone (provider, dataset, symbol, timespan, adjustment, first_day)
WHERE (c.provider, c.dataset, c.symbol, c.timespan, c.adjustment, c.first_day)
    = (gone.provider, gone.dataset, gone.symbol, gone.timespan, gone.adjustment, gone.first_day)

-- name: at_its_day
ON CONFLICT (provider, dataset, symbol, timespan, adjustment, first_day)
DO UPDATE SET last_day = excluded.last_day, final_to = excluded.final_to, fetched_at = excluded.fetched_at

-- name: cover
INSERT INTO coverage (provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, fetched_at)
SELECT provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, to_timestamp(at_ms / 1000.0)
FROM {covered_series}, ?::date[], ?::date[], ?::date[], ?::bigint[])
     AS new (provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, at_ms)
{at_its_day}

-- The same for one series, as most transactions have. To send and to plan the statements above takes the server and us longer
-- than what they do; these are sent together, and each sees what was committed before it began.
-- name: lock_part
SELECT pg_advisory_xact_lock(?)

-- name: row
(?, ?, ?, ?, ?, ?::date, ?::date, ?::date, to_timestamp(? / 1000.0))

-- Writes the rows where none stands that touches them, and returns those that do. $actions: `has_actions`, or false.
-- name: cover_alone
WITH standing AS (
    SELECT provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, {ms:fetched_at}
    FROM coverage
    WHERE provider = ? AND dataset = ? AND symbol = ? AND timespan = ? AND adjustment = ? AND first_day <= ? AND last_day >= ?
), alone AS (
    INSERT INTO coverage (provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, fetched_at)
    SELECT * FROM (VALUES $rows) AS new WHERE NOT EXISTS (SELECT FROM standing)
)
SELECT standing.*, $actions FROM standing

-- name: uncover_one
DELETE FROM coverage
WHERE provider = ? AND dataset = ? AND symbol = ? AND timespan = ? AND adjustment = ? AND first_day = ?

-- name: cover_one
INSERT INTO coverage (provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, fetched_at)
VALUES {row}
{at_its_day}
