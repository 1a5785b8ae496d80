-- From schema 3: what replies have covered is stored, and the plan of a job is recorded. Releases of schema 2 and 3 go on using the
-- tables (see STILL_USABLE), so every column that is added has a default or may be null.
ALTER TABLE job_requests ADD COLUMN position INTEGER;
ALTER TABLE job_requests ADD COLUMN arguments TEXT;
ALTER TABLE ledger ADD COLUMN final_to DATE;
CREATE TABLE coverage (
    provider TEXT NOT NULL,
    dataset TEXT NOT NULL,
    symbol TEXT NOT NULL,
    timespan TEXT NOT NULL,
    adjustment TEXT NOT NULL,
    first_day DATE NOT NULL,
    last_day DATE NOT NULL,
    final_to DATE,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (provider, dataset, symbol, timespan, adjustment, first_day)
);
CREATE TABLE jobs_to_cover (
    job_id TEXT NOT NULL PRIMARY KEY
);
INSERT INTO jobs_to_cover (job_id) SELECT id FROM jobs;
ALTER TABLE ledger ADD COLUMN corrected INTEGER NOT NULL DEFAULT 0;
CREATE TABLE history_rows (
    ts TIMESTAMP WITH TIME ZONE NOT NULL,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ledger_id BIGINT NOT NULL,
    replaced_at TIMESTAMP WITH TIME ZONE NOT NULL,
    replaced_by BIGINT NOT NULL,
    open DOUBLE PRECISION,
    high DOUBLE PRECISION,
    low DOUBLE PRECISION,
    close DOUBLE PRECISION NOT NULL,
    volume DOUBLE PRECISION,
    vwap DOUBLE PRECISION,
    trades DOUBLE PRECISION,
    series_id INTEGER NOT NULL,
    PRIMARY KEY (series_id, ts, replaced_by)
);
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
    ex_date DATE NOT NULL,
    new_shares DOUBLE PRECISION NOT NULL,
    old_shares DOUBLE PRECISION NOT NULL,
    vendor_id TEXT NOT NULL,
    first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, symbol, ex_date, new_shares, old_shares)
);
CREATE TABLE dividends (
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    ex_date DATE NOT NULL,
    amount DOUBLE PRECISION NOT NULL,
    currency TEXT NOT NULL,
    kind TEXT NOT NULL,
    frequency BIGINT,
    declared DATE,
    recorded DATE,
    paid DATE,
    vendor_id TEXT NOT NULL,
    first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, symbol, ex_date, amount, currency, kind)
);
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
    listed DATE,
    delisted DATE,
    vendor_id TEXT NOT NULL,
    first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, symbol, status, listing)
);
CREATE TABLE holidays (
    provider TEXT NOT NULL,
    exchange TEXT NOT NULL,
    day DATE NOT NULL,
    status TEXT NOT NULL,
    name TEXT NOT NULL,
    opens TEXT NOT NULL,
    closes TEXT NOT NULL,
    first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, exchange, day, status)
);
-- The latest whole list of each symbol, also an empty one, and the call of the latest one that judged which rows are gone.
CREATE TABLE record_lists (
    provider TEXT NOT NULL,
    dataset TEXT NOT NULL,
    symbol TEXT NOT NULL,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    rows INTEGER NOT NULL,
    judged_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (provider, dataset, symbol)
);
-- The views below adjust daily raw bars by today's knowledge: what the vendor's lists have now, and what has happened by now. They
-- follow marketfetch/frames/factors.py; a test compares the two.
-- The split of each day: of several ratios the one that the closes before and on it support, or the one that was seen last.
CREATE VIEW split_factors AS
SELECT provider, symbol, ex_date, ratio FROM (
    SELECT m.*, row_number() OVER (PARTITION BY provider, symbol, ex_date ORDER BY
        CASE WHEN m.before > 0 AND m.on_day > 0 THEN abs(ln(ratio) - ln(m.before / m.on_day)) ELSE 0 END,
        seen DESC, ratio DESC) AS place
    FROM (
        SELECT n.*,
            CASE WHEN ratios > 1 THEN (SELECT b.close FROM bars b WHERE b.provider = n.provider AND b.symbol = n.symbol
                AND b.timespan = '1d' AND b.adjustment = 'raw' AND b.ts < (n.ex_date::timestamp AT TIME ZONE 'UTC') + interval '36 hours' AND b.date < n.ex_date
                ORDER BY b.ts DESC LIMIT 1) END AS before,
            CASE WHEN ratios > 1 THEN (SELECT b.close FROM bars b WHERE b.provider = n.provider AND b.symbol = n.symbol
                AND b.timespan = '1d' AND b.adjustment = 'raw' AND b.ts >= (n.ex_date::timestamp AT TIME ZONE 'UTC') - interval '36 hours' AND b.date >= n.ex_date
                ORDER BY b.ts LIMIT 1) END AS on_day
        FROM (
            SELECT g.*, count(*) OVER (PARTITION BY provider, symbol, ex_date) AS ratios
            FROM (
                SELECT provider, symbol, ex_date, new_shares / old_shares AS ratio, max(first_seen) AS seen
                FROM splits WHERE gone_at IS NULL AND ex_date <= (now() AT TIME ZONE 'UTC')::date AND new_shares / old_shares > 0
                GROUP BY provider, symbol, ex_date, new_shares / old_shares
            ) g
        ) n
    ) m
) chosen WHERE place = 1 AND ratio <> 1;
-- The dividends that count on each day: their cash, the close of the ex date, and the factor of the prices before.
CREATE VIEW dividend_factors AS
SELECT provider, symbol, ex_date, sum(amount) AS cash, max(on_day) AS close,
       max(on_day) / (max(on_day) + sum(amount)) AS factor
FROM (
    SELECT d.provider, d.symbol, d.ex_date, d.amount, coalesce(s.ratio, 1) AS ratio,
        (SELECT b.close FROM bars b WHERE b.provider = d.provider AND b.symbol = d.symbol
            AND b.timespan = '1d' AND b.adjustment = 'raw' AND b.ts < (d.ex_date::timestamp AT TIME ZONE 'UTC') + interval '36 hours' AND b.date < d.ex_date
            ORDER BY b.ts DESC LIMIT 1) AS before,
        (SELECT b.close FROM bars b WHERE b.provider = d.provider AND b.symbol = d.symbol
            AND b.timespan = '1d' AND b.adjustment = 'raw' AND b.ts >= (d.ex_date::timestamp AT TIME ZONE 'UTC') - interval '36 hours' AND b.date >= d.ex_date
            ORDER BY b.ts LIMIT 1) AS on_day
    FROM dividends d
    LEFT JOIN split_factors s ON s.provider = d.provider AND s.symbol = d.symbol AND s.ex_date = d.ex_date
    WHERE d.gone_at IS NULL AND d.ex_date <= (now() AT TIME ZONE 'UTC')::date AND d.amount > 0
      AND upper(d.currency) = (SELECT upper(o.currency) FROM dividends o
          WHERE o.provider = d.provider AND o.symbol = d.symbol AND o.gone_at IS NULL AND o.ex_date <= (now() AT TIME ZONE 'UTC')::date
          GROUP BY upper(o.currency) ORDER BY count(*) DESC, upper(o.currency) COLLATE "C" DESC LIMIT 1)
) paid WHERE amount < before / ratio AND on_day > 0
GROUP BY provider, symbol, ex_date;
-- By what the prices and the volume of a bar are multiplied whose date is `since` or later, and before `until`.
CREATE VIEW bar_factors AS
SELECT provider, symbol, adjustment,
       coalesce(lag(ex_date) OVER (PARTITION BY provider, symbol, adjustment ORDER BY ex_date), date '0001-01-01') AS since,
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
CREATE TABLE value_rows (
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    row_key TEXT NOT NULL,
    day DATE,
    cells TEXT NOT NULL,
    first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, symbol, row_key)
);
CREATE TABLE snapshots (
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    taken_at TEXT NOT NULL,
    day DATE NOT NULL,
    price DOUBLE PRECISION,
    open DOUBLE PRECISION,
    high DOUBLE PRECISION,
    low DOUBLE PRECISION,
    volume DOUBLE PRECISION,
    previous_close DOUBLE PRECISION,
    first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, symbol, taken_at)
);
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
    first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE,
    ledger_id BIGINT NOT NULL,
    PRIMARY KEY (provider, kind, market, taken_at)
);
CREATE TABLE value_columns (
    provider TEXT NOT NULL,
    symbol TEXT NOT NULL,
    name TEXT NOT NULL,
    first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE,
    ledger_id BIGINT NOT NULL,
    gone_ledger_id BIGINT,
    PRIMARY KEY (provider, symbol, name)
);
ALTER TABLE jobs ADD COLUMN tally TEXT;
ALTER TABLE jobs ADD COLUMN tallied_at BIGINT;
