-- name: columns
version, name, changed_by, {ms:changed_at}, undoes, before_value, after_value

-- name: add
INSERT INTO setting_changes (version, name, changed_by, changed_at, undoes, before_value, after_value)
VALUES (?, ?, ?, {time:?}, ?, ?, ?)

-- name: latest_version
SELECT MAX(version) FROM setting_changes

-- name: latest_of
SELECT {columns} FROM setting_changes WHERE version = (SELECT MAX(version) FROM setting_changes WHERE name = ?)

-- name: latest
SELECT {columns} FROM setting_changes
WHERE version IN (SELECT MAX(version) FROM setting_changes GROUP BY name) ORDER BY name

-- name: numbered
SELECT {columns} FROM setting_changes WHERE version = ?

-- name: history
SELECT {columns} FROM setting_changes ORDER BY version DESC LIMIT ?

-- name: history_of
SELECT {columns} FROM setting_changes WHERE name = ? ORDER BY version DESC LIMIT ?

-- name: every
SELECT version, name, before_value, after_value FROM setting_changes ORDER BY version

-- name: reseal
UPDATE setting_changes SET before_value = ?, after_value = ? WHERE version = ?
