-- The tables of records in Postgres, one block each; they are made before those of schema.sql, whose views read them.

-- Records: the same four columns end every table. `first_seen`, `fetched_at`: the calls of the earliest and of the latest reply
-- that had the row; `gone_at`: the call of the first whole list after that which did not; see docs/datasets.md.
-- name: splits
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

-- Dividends by ex date, a row for each payment that the vendor lists.
-- name: dividends
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

-- The symbols of a vendor's lists, with their kind and exchange, and when they were delisted.
-- name: symbols
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

-- The days on which an exchange is closed, or closes early.
-- name: holidays
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
-- name: record_lists
CREATE TABLE record_lists (
    provider TEXT NOT NULL,
    dataset TEXT NOT NULL,
    symbol TEXT NOT NULL,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    rows INTEGER NOT NULL,
    judged_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (provider, dataset, symbol)
);

-- Rows of any table of a vendor, as JSON: `row_key` is its own key, `cells` are all columns.
-- name: value_rows
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

-- The state of a symbol at the moment of a call: prices and volumes as the vendor sent them.
-- name: snapshots
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

-- Which markets were open at the moment of a call.
-- name: market_status
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

-- The columns that tables of values have had. `first_seen`, `fetched_at`: the calls of the earliest and of the latest reply with
-- the column, `ledger_id` the request of that earliest one; `gone_at`, `gone_ledger_id`: the first reply after that without it.
-- name: value_columns
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
