-- From schema 4: the tokens of the web API. Releases of schema 2 to 4 go on using the tables (see STILL_USABLE).
CREATE TABLE tokens (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    scope TEXT NOT NULL,
    submits TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    PRIMARY KEY (id),
    UNIQUE (hash)
);
