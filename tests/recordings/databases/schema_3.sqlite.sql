-- A SQLite database of schema 3: its tables as the release of that schema made them, letter by letter, and a few rows.

CREATE TABLE bar_rows (
    ts BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    ledger_id BIGINT NOT NULL,
    open DOUBLE,
    high DOUBLE,
    low DOUBLE,
    close DOUBLE NOT NULL,
    volume DOUBLE,
    vwap DOUBLE,
    trades INTEGER,
    series_id INTEGER NOT NULL,
    partial BOOLEAN NOT NULL,
    PRIMARY KEY (series_id, ts)
)
 WITHOUT ROWID;
CREATE TABLE call_marks (
    provider TEXT NOT NULL,
    key_label TEXT NOT NULL,
    minute INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (provider, key_label, minute)
)
 WITHOUT ROWID;
CREATE TABLE job_requests (
    job_id TEXT NOT NULL,
    root TEXT NOT NULL,
    PRIMARY KEY (job_id, root)
);
CREATE INDEX job_requests_by_root ON job_requests (root);
CREATE TABLE jobs (
    id TEXT NOT NULL,
    spec TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    cancelled_at BIGINT,
    done_at BIGINT,
    owner TEXT NOT NULL DEFAULT '',
    name TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (id)
);
CREATE INDEX jobs_by_age ON jobs (created_at);
CREATE INDEX jobs_open ON jobs (created_at) WHERE done_at IS NULL AND cancelled_at IS NULL;
CREATE TABLE job_waiters (
    job_id TEXT NOT NULL,
    waiter TEXT NOT NULL,
    message TEXT NOT NULL,
    tries INTEGER NOT NULL,
    due_at BIGINT NOT NULL,
    gives_up_at BIGINT,
    PRIMARY KEY (job_id, waiter)
);
CREATE TABLE ledger (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL,
    root TEXT NOT NULL,
    page INTEGER NOT NULL,
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    rows INTEGER NOT NULL,
    rejects INTEGER NOT NULL,
    key_label TEXT NOT NULL,
    calls INTEGER NOT NULL,
    called_at BIGINT,
    next_cursor TEXT,
    over_at BIGINT NOT NULL,
    UNIQUE (request_id)
);
CREATE INDEX ledger_by_root ON ledger (root, page);
CREATE INDEX ledger_by_key ON ledger (provider, key_label, called_at, calls);
CREATE TABLE rejects (
    id INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    "row" INTEGER NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    reason TEXT NOT NULL,
    rejected_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX rejects_by_request ON rejects (request_id);
CREATE TABLE schema_version (
    version INTEGER NOT NULL
);
INSERT INTO schema_version (version) VALUES (2);
INSERT INTO schema_version (version) VALUES (3);
CREATE TABLE series (
    id INTEGER NOT NULL,
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    timespan TEXT NOT NULL,
    adjustment TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (provider, symbol, timespan, adjustment)
);
CREATE TABLE series_zones (
    series_id INTEGER NOT NULL PRIMARY KEY,
    zone TEXT NOT NULL
);
CREATE TABLE spent_calls (
    id INTEGER NOT NULL,
    provider TEXT NOT NULL,
    key_label TEXT NOT NULL,
    calls INTEGER NOT NULL,
    called_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX spent_calls_by_key ON spent_calls (provider, key_label, called_at);
CREATE TABLE zone_offsets (
    zone TEXT NOT NULL,
    starts BIGINT NOT NULL,
    seconds INTEGER NOT NULL,
    PRIMARY KEY (zone, starts)
)
 WITHOUT ROWID;
CREATE VIEW bars AS
SELECT s.provider, s.symbol, s.timespan, s.adjustment, b.ts, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades,
       l.request_id, b.fetched_at, b.partial,
       date(b.ts / 1000.0 + CASE WHEN s.timespan IN ('1d', '1w', '1mo') THEN 43200 ELSE 0 END
            + coalesce((SELECT o.seconds FROM zone_offsets o WHERE o.zone = z.zone AND o.starts <= b.ts
                        ORDER BY o.starts DESC LIMIT 1),
                       CASE WHEN s.timespan IN ('1d', '1w', '1mo') THEN 0 END), 'unixepoch') AS date,
       z.zone
FROM bar_rows b JOIN series s ON s.id = b.series_id LEFT JOIN ledger l ON l.id = b.ledger_id
     LEFT JOIN series_zones z ON z.series_id = b.series_id;

INSERT INTO series (provider, symbol, timespan, adjustment) VALUES ('polygon', 'AAPL', '1d', 'split'), ('nasdaq', 'X', '1w', 'raw');
INSERT INTO ledger (request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls, called_at,
                    next_cursor, over_at)
VALUES ('a', 'a', 0, 'polygon', 'AAPL', 'stored', '', 2, 1, 'k', 1, 1000, 'p1', 2345),
       ('a/1', 'a', 1, 'polygon', 'AAPL', 'failed', 'gone', 0, 0, 'k', 2, 2345, NULL, 1700000000123),
       ('b', 'b', 0, 'nasdaq', 'X', 'empty', '', 0, 0, 'k', 0, NULL, NULL, 1700000000123);
INSERT INTO bar_rows (ts, fetched_at, ledger_id, open, high, low, close, volume, vwap, trades, series_id, partial)
VALUES (1000, 2345, 1, 1.5, 2.5, 0.5, 1.25, 10, 1.3, 7, 1, 0), (2345, 2345, 1, NULL, NULL, NULL, 2.0, NULL, NULL, NULL, 1, 1),
       (1000, 1700000000123, 3, NULL, NULL, NULL, 3.0, NULL, NULL, NULL, 2, 0);
INSERT INTO rejects (request_id, provider, symbol, row, field, value, reason, rejected_at)
VALUES ('a', 'polygon', 'AAPL', 3, 'low', '9', 'low is above high', 1700000000123);
INSERT INTO jobs (id, spec, created_at) VALUES ('one', '{"a": 1}', 1000), ('two', '{}', 2345);
INSERT INTO job_requests (job_id, root) VALUES ('one', 'a'), ('one', 'b'), ('two', 'c');
UPDATE jobs SET cancelled_at = 1700000000123 WHERE id = 'two';
UPDATE jobs SET done_at = 1700000000123 WHERE id = 'one';
INSERT INTO spent_calls (provider, key_label, calls, called_at) VALUES ('polygon', 'k', 4, 2345);
INSERT INTO call_marks (provider, key_label, minute, calls) VALUES ('polygon', 'k', 28333333, 5);
UPDATE jobs SET owner = 'ana', name = 'nightly', tags = '["eod","us"]' WHERE id = 'two';
INSERT INTO series_zones (series_id, zone) VALUES (1, 'Etc/GMT+5');
INSERT INTO zone_offsets (zone, starts, seconds) VALUES ('Etc/GMT+5', -62135596800000, -18000);
INSERT INTO job_waiters (job_id, waiter, message, tries, due_at, gives_up_at)
VALUES ('one', 'callback:c', '{"task": "mine.over"}', 1, 1700000000123, NULL);
