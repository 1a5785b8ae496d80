-- From schema 4: the tokens of the web API. Releases of schema 2 to 4 go on using the tables (see STILL_USABLE).
CREATE TABLE tokens (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    scope TEXT NOT NULL,
    submits TEXT NOT NULL,
    owner TEXT NOT NULL DEFAULT '',
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
-- Notifications: what is sent to the targets of [[notify]], and what is in force and was reported.
CREATE TABLE notifications (
    id TEXT NOT NULL,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    tries INTEGER NOT NULL,
    error TEXT NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    given_up_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id, target)
);
CREATE TABLE conditions (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    id TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (kind, subject)
);
