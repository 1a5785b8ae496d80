-- From schema 2: jobs have an owner, a name and tags; who waits for the end of a job is stored; a series has a zone, and a bar a
-- date in it. Releases of schema 2 go on using the tables (see STILL_USABLE), so every column that is added has a default or may
-- be null; they read `series` by `SELECT *`, so its zone has a table of its own.
ALTER TABLE jobs ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
CREATE TABLE series_zones (
    series_id INTEGER NOT NULL PRIMARY KEY,
    zone TEXT NOT NULL
);
CREATE OR REPLACE VIEW bars AS
SELECT s.provider, s.symbol, s.timespan, s.adjustment, b.ts, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades,
       l.request_id, b.fetched_at, b.partial,
       ((b.ts AT TIME ZONE coalesce(z.zone, CASE WHEN s.timespan IN ('1d', '1w', '1mo') THEN 'UTC' END))
        + CASE WHEN s.timespan IN ('1d', '1w', '1mo') THEN interval '12 hours' ELSE interval '0' END)::date AS date,
       z.zone
FROM bar_rows b JOIN series s ON s.id = b.series_id LEFT JOIN ledger l ON l.id = b.ledger_id
     LEFT JOIN series_zones z ON z.series_id = b.series_id;
CREATE TABLE job_waiters (
    job_id TEXT NOT NULL, waiter TEXT NOT NULL, message TEXT NOT NULL, tries INTEGER NOT NULL, due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    gives_up_at TIMESTAMP WITH TIME ZONE, PRIMARY KEY (job_id, waiter));
