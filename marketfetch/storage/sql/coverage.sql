-- name: columns
provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, {ms:fetched_at}

-- name: of_all
SELECT {columns} FROM coverage WHERE provider = ? AND dataset = ? AND timespan = ? AND adjustment = ? ORDER BY symbol, first_day

-- name: of_symbols
SELECT {columns} FROM coverage
WHERE provider = ? AND dataset = ? AND timespan = ? AND adjustment = ? AND symbol {among} ORDER BY symbol, first_day
