-- A zone that a series has was known when it was set; to list those of the server reads some hundred files.
-- name: knows
SELECT 1 FROM (SELECT ?::text AS zone) AS asked
WHERE EXISTS (SELECT FROM series_zones s WHERE s.zone = asked.zone)
   OR EXISTS (SELECT FROM pg_timezone_names t WHERE t.name = asked.zone)

-- name: set_zone
INSERT INTO series_zones (series_id, zone) VALUES (?, ?) ON CONFLICT (series_id) DO UPDATE SET zone = excluded.zone
