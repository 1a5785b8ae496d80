-- name: series
SELECT s.id, s.provider, s.symbol, s.timespan, s.adjustment, z.zone
FROM series s LEFT JOIN series_zones z ON z.series_id = s.id

-- name: of_symbols
{series} WHERE s.symbol {among}

-- name: every
{series}

-- name: without_zone
{series} WHERE z.zone IS NULL

-- name: symbols
SELECT DISTINCT symbol FROM series
