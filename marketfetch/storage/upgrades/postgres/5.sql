-- From schema 4: the tokens of the web API. Releases of schema 2 to 4 go on using the tables (see STILL_USABLE).
CREATE TABLE tokens (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    scope TEXT NOT NULL,
    submits TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    UNIQUE (hash)
);
-- Every change of a setting at run time; see schema.sql.
CREATE TABLE setting_changes (
    version BIGINT NOT NULL,
    name TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    undoes BIGINT,
    before_value TEXT,
    after_value TEXT,
    PRIMARY KEY (version)
);
CREATE INDEX setting_changes_by_name ON setting_changes (name, version);
