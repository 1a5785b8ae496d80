-- A zone that a series has was known when it was set; to list those of the server reads some hundred files.
-- name: knows
SELECT 1 FROM (SELECT ?::text AS zone) AS asked
WHERE EXISTS (SELECT FROM series_zones s WHERE s.zone = asked.zone)
   OR EXISTS (SELECT FROM pg_timezone_names t WHERE t.name = asked.zone)

-- The series are a JSON list of their numbers.
-- name: set_zone
INSERT INTO series_zones (zone, series_id) SELECT ?, value::int FROM json_array_elements_text(?::json) AS listed (value)
ON CONFLICT (series_id) DO UPDATE SET zone = excluded.zone
