-- The tables of SQLite, one block each. Times are Unix ms.

-- A row for each schema whose releases can use these tables, the newest last: see upgrades/.
-- name: schema_version
CREATE TABLE schema_version (
    version INTEGER NOT NULL
);
INSERT INTO schema_version (version) VALUES (2);
INSERT INTO schema_version (version) VALUES (3);
INSERT INTO schema_version (version) VALUES (4);
INSERT INTO schema_version (version) VALUES (5);

-- A series: one symbol of a vendor in bars of one length and one adjustment.
-- name: series
CREATE TABLE series (
    id INTEGER NOT NULL,
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    timespan TEXT NOT NULL,
    adjustment TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (provider, symbol, timespan, adjustment)
);

-- No foreign keys: their checks, row by row, cost more than the insert itself, and `store` writes all in one transaction.
-- Eight-byte columns stand first, since Postgres pads the others. New columns are appended.
-- name: bar_rows
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

-- AUTOINCREMENT: a number is never given twice, so that no bar can point to a younger request than its own.
-- With `calls` in `ledger_by_key`, the sum of a key's calls is read from the index alone.
-- `corrected`: how many final bars of other requests this one has changed.
-- name: ledger
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

-- Rows that failed a check, with the field, its value and the reason: the first hundred of each reason of a reply.
-- name: rejects
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

-- `done_at`: when the last request was over. The first look at a job that is over fills it in, and spares the next one.
-- `owner`, `name` and `tags` (a JSON list, sorted) make the handle; a job without them has none.
-- `tally`: the counts of the job's requests, as JSON, counted when `done_at` (Unix ms) was `tallied_at`.
-- name: jobs
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

-- The plan of a job as it was recorded: `arguments` are those of `Request`, `position` is the place in the plan, from 0. Both are
-- NULL in jobs of the releases before schema 4, which are planned from their `spec`.
-- name: job_requests
CREATE TABLE job_requests (
    job_id TEXT NOT NULL,
    root TEXT NOT NULL,
    position INTEGER,
    arguments TEXT,
    PRIMARY KEY (job_id, root)
);
CREATE INDEX job_requests_by_root ON job_requests (root);

-- Who waits for the end of a job: `message` says how it is notified, `due_at` from when on (again, after a claim).
-- name: job_waiters
CREATE TABLE job_waiters (
    job_id TEXT NOT NULL,
    waiter TEXT NOT NULL,
    message TEXT NOT NULL,
    tries INTEGER NOT NULL,
    due_at BIGINT NOT NULL,
    gives_up_at BIGINT,
    PRIMARY KEY (job_id, waiter)
);

-- Calls of failed requests that were forgotten: the vendor has counted them, so a calendar quota counts them too.
-- name: spent_calls
CREATE TABLE spent_calls (
    id INTEGER NOT NULL,
    provider TEXT NOT NULL,
    key_label TEXT NOT NULL,
    calls INTEGER NOT NULL,
    called_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX spent_calls_by_key ON spent_calls (provider, key_label, called_at);

-- Reservations of calls: at least as many as were granted to a key from that minute on (Unix time / 60).
-- name: call_marks
CREATE TABLE call_marks (
    provider TEXT NOT NULL,
    key_label TEXT NOT NULL,
    minute INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (provider, key_label, minute)
) WITHOUT ROWID;

-- The zone whose midnight begins a day of the series. A table of its own: the release before writes `series`, column by column.
-- name: series_zones
CREATE TABLE series_zones (
    series_id INTEGER NOT NULL PRIMARY KEY,
    zone TEXT NOT NULL
);

-- Seconds to add to UTC, from `starts` on: SQLite knows no zones.
-- name: zone_offsets
CREATE TABLE zone_offsets (
    zone TEXT NOT NULL,
    starts BIGINT NOT NULL,
    seconds INTEGER NOT NULL,
    PRIMARY KEY (zone, starts)
) WITHOUT ROWID;

-- What replies have covered of a series, in days of its exchange, the empty ones too; rows of one series do not overlap. `symbol`
-- is '*' for replies with every symbol of the vendor. `final_to`: `last_day` where no bar of the days can change any more, else
-- NULL. `fetched_at`: each of the days was asked for then or later.
-- name: coverage
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

-- The jobs of the releases before schema 4 whose coverage `marketfetch check --upgrade` has yet to build.
-- name: jobs_to_cover
CREATE TABLE jobs_to_cover (
    job_id TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

-- Who may use the web API: the SHA-256 of each token, never the token. `owner`: whose jobs alone it submits and sees, '' for none.
-- name: tokens
CREATE TABLE tokens (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    scope TEXT NOT NULL,
    submits TEXT NOT NULL,
    owner TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    PRIMARY KEY (id),
    UNIQUE (hash)
);

-- Every change of a setting at run time, the latest of a name in force: by whom, when, before and after as JSON. A value is
-- {"value": ...}, a secret {"sealed": its text under the master key, "key_id": which one}; NULL is none. `version` goes up by one.
-- name: setting_changes
CREATE TABLE setting_changes (
    version BIGINT NOT NULL,
    name TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    undoes BIGINT,
    before_value TEXT,
    after_value TEXT,
    PRIMARY KEY (version)
);
CREATE INDEX setting_changes_by_name ON setting_changes (name, version);

-- Events for the targets of [[notify]]: `body` is what is sent, `due_at` from when on (again, after a failure or a claim).
-- name: notifications
CREATE TABLE notifications (
    id TEXT NOT NULL,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    tries INTEGER NOT NULL,
    error TEXT NOT NULL,
    sent_at BIGINT,
    given_up_at BIGINT,
    PRIMARY KEY (id, target)
);

-- What is in force and was reported: each is one event, with its id, until it ends.
-- name: conditions
CREATE TABLE conditions (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    id TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (kind, subject)
);

-- `date`: twelve hours behind its midnight, a daily bar has its date also where the clocks have changed otherwise than was known.
-- name: bars
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

-- Final bars as they stood before a later reply corrected them; written only where the setting `bars_history` is on. A bar is
-- replaced once by a request. `replaced_at`: when the correction was fetched.
-- name: history_rows
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

-- The bars of `history_rows` by their names, as `bars` has those that stand now.
-- name: bars_history
CREATE VIEW bars_history AS
SELECT s.provider, s.symbol, s.timespan, s.adjustment, h.ts, h.open, h.high, h.low, h.close, h.volume, h.vwap, h.trades,
       l.request_id, h.fetched_at, h.replaced_at, r.request_id AS replaced_by
FROM history_rows h JOIN series s ON s.id = h.series_id LEFT JOIN ledger l ON l.id = h.ledger_id
     LEFT JOIN ledger r ON r.id = h.replaced_by;

-- The views below adjust daily raw bars by today's knowledge: what the vendor's lists have now, and what has happened by now. They
-- follow marketfetch/frames/factors.py; a test compares the two.
-- The split of each day: of several ratios the one that the closes before and on it support, or the one that was seen last.
-- name: split_factors
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

-- The dividends that count on each day: their cash, the close of the ex date, and the factor of the prices before.
-- name: dividend_factors
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

-- By what the prices and the volume of a bar are multiplied whose date is `since` or later, and before `until`.
-- name: bar_factors
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

-- Daily raw bars of symbols whose lists were fetched, by themselves or for all symbols ('*'): of splits for the adjustment
-- `split`, of both for `split_dividend`.
-- name: bars_adjusted
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
