-- name: standing
SELECT {ms:b.ts}, {ms:b.fetched_at}, b.request_id, b.partial, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades
FROM bars b WHERE b.provider = ? AND b.symbol = ? AND b.timespan = ? AND b.adjustment = ? AND b.ts >= {time:?} AND b.ts <= {time:?}
ORDER BY b.ts
