-- name: knows
SELECT 1 FROM zone_offsets WHERE zone = ? LIMIT 1

-- The series are a JSON list of their numbers.
-- name: set_zone
INSERT INTO series_zones (zone, series_id) SELECT ?, value FROM json_each(?) WHERE true
ON CONFLICT (series_id) DO UPDATE SET zone = excluded.zone

-- name: add_offset
INSERT INTO zone_offsets (zone, starts, seconds) VALUES (?, ?, ?)

-- name: forget_offsets
DELETE FROM zone_offsets WHERE zone = ?

-- name: zones
SELECT DISTINCT zone FROM zone_offsets
