-- name: columns
id, name, scope, submits, owner, {ms:created_at}, {ms:expires_at}, {ms:revoked_at}

-- name: add
INSERT INTO tokens (id, name, hash, scope, submits, owner, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, {time:?}, {time:?})

-- name: every
SELECT {columns} FROM tokens ORDER BY created_at, id

-- name: of_hash
SELECT {columns} FROM tokens WHERE hash = ?

-- name: named
SELECT id FROM tokens WHERE name = ? AND revoked_at IS NULL

-- name: revoke
UPDATE tokens SET revoked_at = {time:?} WHERE id = ? AND revoked_at IS NULL RETURNING id

-- name: valid_among
SELECT id FROM tokens WHERE id {among} AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > {time:?})
