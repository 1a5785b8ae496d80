-- A SQLite database of schema 4: its tables as the release of that schema made them, letter by letter, and a few rows.

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
CREATE TABLE record_lists (
    provider TEXT NOT NULL,
    dataset TEXT NOT NULL,
    symbol TEXT NOT NULL,
    fetched_at BIGINT NOT NULL,
    rows INTEGER NOT NULL,
    judged_at BIGINT,
    PRIMARY KEY (provider, dataset, symbol)
) WITHOUT ROWID;
CREATE TABLE value_rows (
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    row_key TEXT NOT NULL,
    day TEXT,
    cells TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    gone_at BIGINT,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, symbol, row_key)
) WITHOUT ROWID;
CREATE TABLE snapshots (
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    taken_at TEXT NOT NULL,
    day TEXT NOT NULL,
    price DOUBLE,
    open DOUBLE,
    high DOUBLE,
    low DOUBLE,
    volume DOUBLE,
    previous_close DOUBLE,
    first_seen BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    gone_at BIGINT,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, symbol, taken_at)
) WITHOUT ROWID;
CREATE TABLE market_status (
    provider TEXT NOT NULL,
    kind TEXT NOT NULL,
    market TEXT NOT NULL,
    taken_at TEXT NOT NULL,
    status TEXT NOT NULL,
    exchanges TEXT NOT NULL,
    opens TEXT NOT NULL,
    closes TEXT NOT NULL,
    notes TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    gone_at BIGINT,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, kind, market, taken_at)
) WITHOUT ROWID;
CREATE TABLE value_columns (
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    name TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    gone_at BIGINT,
    ledger_id BIGINT NOT NULL,
    gone_ledger_id BIGINT,
    PRIMARY KEY (provider, symbol, name)
) WITHOUT ROWID;
CREATE TABLE schema_version (
    version INTEGER NOT NULL
);
INSERT INTO schema_version (version) VALUES (2);
INSERT INTO schema_version (version) VALUES (3);
INSERT INTO schema_version (version) VALUES (4);
CREATE TABLE series (
    id INTEGER NOT NULL,
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    timespan TEXT NOT NULL,
    adjustment TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (provider, symbol, timespan, adjustment)
);
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
) WITHOUT ROWID;
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
    final_to TEXT,
    corrected INTEGER NOT NULL DEFAULT 0,
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
CREATE TABLE jobs (
    id TEXT NOT NULL,
    spec TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    cancelled_at BIGINT,
    done_at BIGINT,
    owner TEXT NOT NULL DEFAULT '',
    name TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL DEFAULT '[]',
    tally TEXT,
    tallied_at BIGINT,
    PRIMARY KEY (id)
);
CREATE INDEX jobs_by_age ON jobs (created_at);
CREATE INDEX jobs_open ON jobs (created_at) WHERE done_at IS NULL AND cancelled_at IS NULL;
CREATE TABLE job_requests (
    job_id TEXT NOT NULL,
    root TEXT NOT NULL,
    position INTEGER,
    arguments TEXT,
    PRIMARY KEY (job_id, root)
);
CREATE INDEX job_requests_by_root ON job_requests (root);
CREATE TABLE job_waiters (
    job_id TEXT NOT NULL,
    waiter TEXT NOT NULL,
    message TEXT NOT NULL,
    tries INTEGER NOT NULL,
    due_at BIGINT NOT NULL,
    gives_up_at BIGINT,
    PRIMARY KEY (job_id, waiter)
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
CREATE TABLE call_marks (
    provider TEXT NOT NULL,
    key_label TEXT NOT NULL,
    minute INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (provider, key_label, minute)
) WITHOUT ROWID;
CREATE TABLE series_zones (
    series_id INTEGER NOT NULL PRIMARY KEY,
    zone TEXT NOT NULL
);
CREATE TABLE zone_offsets (
    zone TEXT NOT NULL,
    starts BIGINT NOT NULL,
    seconds INTEGER NOT NULL,
    PRIMARY KEY (zone, starts)
) WITHOUT ROWID;
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
CREATE VIEW split_factors AS
SELECT provider, symbol, ex_date, ratio FROM (
    SELECT m.*, row_number() OVER (PARTITION BY provider, symbol, ex_date ORDER BY
        CASE WHEN m.before > 0 AND m.on_day > 0 THEN abs(ln(ratio) - ln(m.before / m.on_day)) ELSE 0 END,
        seen DESC, ratio DESC) AS place
    FROM (
        SELECT n.*,
            CASE WHEN ratios > 1 THEN (SELECT b.close FROM bars b WHERE b.provider = n.provider AND b.symbol = n.symbol
                AND b.timespan = '1d' AND b.adjustment = 'raw' AND b.ts < (strftime('%s', n.ex_date) + 129600) * 1000 AND b.date < n.ex_date
                ORDER BY b.ts DESC LIMIT 1) END AS before,
            CASE WHEN ratios > 1 THEN (SELECT b.close FROM bars b WHERE b.provider = n.provider AND b.symbol = n.symbol
                AND b.timespan = '1d' AND b.adjustment = 'raw' AND b.ts >= (strftime('%s', n.ex_date) - 129600) * 1000 AND b.date >= n.ex_date
                ORDER BY b.ts LIMIT 1) END AS on_day
        FROM (
            SELECT g.*, count(*) OVER (PARTITION BY provider, symbol, ex_date) AS ratios
            FROM (
                SELECT provider, symbol, ex_date, new_shares / old_shares AS ratio, max(first_seen) AS seen
                FROM splits WHERE gone_at IS NULL AND ex_date <= date('now') AND new_shares / old_shares > 0
                GROUP BY provider, symbol, ex_date, new_shares / old_shares
            ) g
        ) n
    ) m
) chosen WHERE place = 1 AND ratio <> 1;
CREATE VIEW dividend_factors AS
SELECT provider, symbol, ex_date, sum(amount) AS cash, max(on_day) AS close,
       max(on_day) / (max(on_day) + sum(amount)) AS factor
FROM (
    SELECT d.provider, d.symbol, d.ex_date, d.amount, coalesce(s.ratio, 1) AS ratio,
        (SELECT b.close FROM bars b WHERE b.provider = d.provider AND b.symbol = d.symbol
            AND b.timespan = '1d' AND b.adjustment = 'raw' AND b.ts < (strftime('%s', d.ex_date) + 129600) * 1000 AND b.date < d.ex_date
            ORDER BY b.ts DESC LIMIT 1) AS before,
        (SELECT b.close FROM bars b WHERE b.provider = d.provider AND b.symbol = d.symbol
            AND b.timespan = '1d' AND b.adjustment = 'raw' AND b.ts >= (strftime('%s', d.ex_date) - 129600) * 1000 AND b.date >= d.ex_date
            ORDER BY b.ts LIMIT 1) AS on_day
    FROM dividends d
    LEFT JOIN split_factors s ON s.provider = d.provider AND s.symbol = d.symbol AND s.ex_date = d.ex_date
    WHERE d.gone_at IS NULL AND d.ex_date <= date('now') AND d.amount > 0
      AND upper(d.currency) = (SELECT upper(o.currency) FROM dividends o
          WHERE o.provider = d.provider AND o.symbol = d.symbol AND o.gone_at IS NULL AND o.ex_date <= date('now')
          GROUP BY upper(o.currency) ORDER BY count(*) DESC, upper(o.currency) DESC LIMIT 1)
) paid WHERE amount < before / ratio AND on_day > 0
GROUP BY provider, symbol, ex_date;
CREATE VIEW bar_factors AS
SELECT provider, symbol, adjustment,
       coalesce(lag(ex_date) OVER (PARTITION BY provider, symbol, adjustment ORDER BY ex_date), '0001-01-01') AS since,
       ex_date AS until,
       exp(sum(ln(price)) OVER (PARTITION BY provider, symbol, adjustment ORDER BY ex_date DESC)) AS price,
       exp(sum(ln(volume)) OVER (PARTITION BY provider, symbol, adjustment ORDER BY ex_date DESC)) AS volume
FROM (
    SELECT provider, symbol, adjustment, ex_date, exp(sum(ln(price))) AS price, exp(sum(ln(volume))) AS volume
    FROM (
        SELECT provider, symbol, 'split' AS adjustment, ex_date, 1 / ratio AS price, ratio AS volume FROM split_factors
        UNION ALL
        SELECT provider, symbol, 'split_dividend', ex_date, 1 / ratio, ratio FROM split_factors
        UNION ALL
        SELECT provider, symbol, 'split_dividend', ex_date, factor, 1.0 FROM dividend_factors
    ) each_action GROUP BY provider, symbol, adjustment, ex_date
) each_day;
CREATE VIEW bars_adjusted AS
SELECT b.provider, b.symbol, b.timespan, a.adjustment, b.ts,
       b.open * coalesce(f.price, 1) AS open, b.high * coalesce(f.price, 1) AS high, b.low * coalesce(f.price, 1) AS low,
       b.close * coalesce(f.price, 1) AS close, b.volume * coalesce(f.volume, 1) AS volume,
       b.vwap * coalesce(f.price, 1) AS vwap, b.trades, b.partial, b.date, b.zone
FROM bars b
JOIN (SELECT 'split' AS adjustment, 'splits' AS dataset UNION ALL SELECT 'split_dividend', 'dividends') a ON true
LEFT JOIN bar_factors f ON f.provider = b.provider AND f.symbol = b.symbol AND f.adjustment = a.adjustment
    AND b.date >= f.since AND b.date < f.until
WHERE b.timespan = '1d' AND b.adjustment = 'raw'
  AND EXISTS (SELECT 1 FROM record_lists s
      WHERE s.provider = b.provider AND s.dataset = 'splits' AND s.symbol IN (b.symbol, '*'))
  AND EXISTS (SELECT 1 FROM record_lists l
      WHERE l.provider = b.provider AND l.dataset = a.dataset AND l.symbol IN (b.symbol, '*'));

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
UPDATE job_requests SET position = 0, arguments = '{"symbols": ["AAPL"]}' WHERE root = 'a';
UPDATE ledger SET final_to = '2024-01-31', corrected = 2 WHERE request_id = 'a';
INSERT INTO coverage (provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, fetched_at)
VALUES ('polygon', 'bars', 'AAPL', '1d', 'split', '2024-01-01', '2024-02-02', '2024-01-31', 2345),
       ('polygon', 'grouped', '*', '1d', 'raw', '2024-01-02', '2024-01-02', NULL, 1700000000123);
INSERT INTO jobs_to_cover (job_id) VALUES ('two');
INSERT INTO history_rows (ts, fetched_at, ledger_id, replaced_at, replaced_by, open, high, low, close, volume, vwap, trades, series_id)
VALUES (1000, 1000, 1, 2345, 2, 1.5, 2.5, 0.5, 1.125, 10, 1.3, 7, 1);
INSERT INTO splits (provider, symbol, ex_date, new_shares, old_shares, vendor_id, first_seen, fetched_at, gone_at, ledger_id)
VALUES ('polygon', 'AAPL', '2020-08-31', 4, 1, 'E1', 1000, 2345, NULL, 1),
       ('polygon', 'AAPL', '2020-08-30', 4, 1, '', 1000, 1000, 2345, 1);
INSERT INTO dividends (provider, symbol, ex_date, amount, currency, kind, frequency, declared, recorded, paid, vendor_id, first_seen,
                       fetched_at, gone_at, ledger_id)
VALUES ('polygon', 'AAPL', '2023-11-10', 0.24, 'USD', 'CD', 4, '2023-11-02', NULL, '2023-11-16', '', 1000, 2345, NULL, 1);
INSERT INTO symbols (provider, symbol, status, listing, name, exchange, kind, market, currency, listed, delisted, vendor_id, first_seen,
                     fetched_at, gone_at, ledger_id)
VALUES ('polygon', 'AAPL', 'active', '', 'Apple Inc.', 'XNAS', 'CS', 'stocks', 'usd', '1980-12-12', NULL, '', 1000, 2345, NULL, 1);
INSERT INTO holidays (provider, exchange, day, status, name, opens, closes, first_seen, fetched_at, gone_at, ledger_id)
VALUES ('polygon', 'NYSE', '2024-11-29', 'early-close', 'Thanksgiving', '09:30', '13:00', 1000, 2345, NULL, 1);
INSERT INTO record_lists (provider, dataset, symbol, fetched_at, rows, judged_at)
VALUES ('polygon', 'splits', 'AAPL', 2345, 1, 2345), ('polygon', 'dividends', 'AAPL', 2345, 1, NULL);
INSERT INTO value_rows (provider, symbol, row_key, day, cells, first_seen, fetched_at, gone_at, ledger_id)
VALUES ('nasdaq', 'FRED/GDP', '{"date": "2024-01-01"}', '2024-01-01', '{"date": "2024-01-01", "value": 1.5}', 1000, 2345, NULL, 3);
INSERT INTO value_columns (provider, symbol, name, first_seen, fetched_at, gone_at, ledger_id, gone_ledger_id)
VALUES ('nasdaq', 'FRED/GDP', 'value', 1000, 2345, NULL, 3, NULL);
INSERT INTO snapshots (provider, symbol, taken_at, day, price, open, high, low, volume, previous_close, first_seen, fetched_at, gone_at,
                       ledger_id)
VALUES ('polygon', 'AAPL', '2024-01-31T21:00:00Z', '2024-01-31', 1.5, NULL, NULL, NULL, 10, 1.25, 1000, 2345, NULL, 1);
INSERT INTO market_status (provider, kind, market, taken_at, status, exchanges, opens, closes, notes, first_seen, fetched_at, gone_at,
                           ledger_id)
VALUES ('polygon', 'equity', 'us', '2024-01-31T21:00:00Z', 'open', 'XNAS, XNYS', '09:30', '16:00', '', 1000, 2345, NULL, 1);
UPDATE jobs SET tally = '{"stored": 1, "empty": 1}', tallied_at = 1700000000123 WHERE id = 'one';
