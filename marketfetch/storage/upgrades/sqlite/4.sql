-- From schema 3: what replies have covered is stored, and the plan of a job is recorded. Releases of schema 2 and 3 go on using the
-- tables (see STILL_USABLE), so every column that is added has a default or may be null.
ALTER TABLE job_requests ADD COLUMN position INTEGER;
ALTER TABLE job_requests ADD COLUMN arguments TEXT;
ALTER TABLE ledger ADD COLUMN final_to TEXT;
CREATE TABLE coverage (
    provider TEXT NOT NULL,
    dataset TEXT NOT NULL,
    symbol TEXT NOT NULL,
    timespan TEXT NOT NULL,
    adjustment TEXT NOT NULL,
    first_day TEXT NOT NULL,
    last_day TEXT NOT NULL,
    final_to TEXT,
    fetched_at BIGINT NOT NULL,
    PRIMARY KEY (provider, dataset, symbol, timespan, adjustment, first_day)
) WITHOUT ROWID;
CREATE TABLE jobs_to_cover (
    job_id TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;
INSERT INTO jobs_to_cover (job_id) SELECT id FROM jobs;
ALTER TABLE ledger ADD COLUMN corrected INTEGER NOT NULL DEFAULT 0;
CREATE TABLE history_rows (
    ts BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    ledger_id BIGINT NOT NULL,
    replaced_at BIGINT NOT NULL,
    replaced_by BIGINT NOT NULL,
    open DOUBLE,
    high DOUBLE,
    low DOUBLE,
    close DOUBLE NOT NULL,
    volume DOUBLE,
    vwap DOUBLE,
    trades INTEGER,
    series_id INTEGER NOT NULL,
    PRIMARY KEY (series_id, ts, replaced_by)
) WITHOUT ROWID;
CREATE VIEW bars_history AS
SELECT s.provider, s.symbol, s.timespan, s.adjustment, h.ts, h.open, h.high, h.low, h.close, h.volume, h.vwap, h.trades,
       l.request_id, h.fetched_at, h.replaced_at, r.request_id AS replaced_by
FROM history_rows h JOIN series s ON s.id = h.series_id LEFT JOIN ledger l ON l.id = h.ledger_id
     LEFT JOIN ledger r ON r.id = h.replaced_by;
-- Records: the same four columns end every table. `first_seen`, `fetched_at`: the calls of the earliest and of the latest reply
-- that had the row; `gone_at`: the call of the first whole list after that which did not; see docs/datasets.md.
CREATE TABLE splits (
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    ex_date TEXT NOT NULL,
    new_shares DOUBLE NOT NULL,
    old_shares DOUBLE NOT NULL,
    vendor_id TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    gone_at BIGINT,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, symbol, ex_date, new_shares, old_shares)
) WITHOUT ROWID;
CREATE TABLE dividends (
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    ex_date TEXT NOT NULL,
    amount DOUBLE NOT NULL,
    currency TEXT NOT NULL,
    kind TEXT NOT NULL,
    frequency INTEGER,
    declared TEXT,
    recorded TEXT,
    paid TEXT,
    vendor_id TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    gone_at BIGINT,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, symbol, ex_date, amount, currency, kind)
) WITHOUT ROWID;
CREATE TABLE symbols (
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    status TEXT NOT NULL,
    listing TEXT NOT NULL,
    name TEXT NOT NULL,
    exchange TEXT NOT NULL,
    kind TEXT NOT NULL,
    market TEXT NOT NULL,
    currency TEXT NOT NULL,
    listed TEXT,
    delisted TEXT,
    vendor_id TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    gone_at BIGINT,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, symbol, status, listing)
) WITHOUT ROWID;
CREATE TABLE holidays (
    provider TEXT NOT NULL,
    exchange TEXT NOT NULL,
    day TEXT NOT NULL,
    status TEXT NOT NULL,
    name TEXT NOT NULL,
    opens TEXT NOT NULL,
    closes TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    gone_at BIGINT,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, exchange, day, status)
) WITHOUT ROWID;
-- The latest whole list of each symbol, also an empty one, and the call of the latest one that judged which rows are gone.
CREATE TABLE record_lists (
    provider TEXT NOT NULL,
    dataset TEXT NOT NULL,
    symbol TEXT NOT NULL,
    fetched_at BIGINT NOT NULL,
    rows INTEGER NOT NULL,
    judged_at BIGINT,
    PRIMARY KEY (provider, dataset, symbol)
) WITHOUT ROWID;
