-- name: of_symbols
SELECT id, provider, symbol, timespan, adjustment FROM series WHERE symbol {among}

-- name: every
SELECT id, provider, symbol, timespan, adjustment FROM series

-- name: symbols
SELECT DISTINCT symbol FROM series
