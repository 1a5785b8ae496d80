-- From schema 1: jobs can be cancelled and noted as over, calls can be reserved, calls of forgotten requests are kept.
ALTER TABLE jobs ADD COLUMN cancelled_at BIGINT;
ALTER TABLE jobs ADD COLUMN done_at BIGINT;
CREATE INDEX jobs_open ON jobs (created_at) WHERE done_at IS NULL AND cancelled_at IS NULL;
CREATE INDEX job_requests_by_root ON job_requests (root);
CREATE INDEX ledger_by_key ON ledger (provider, key_label, called_at, calls);
CREATE TABLE spent_calls (
    id INTEGER NOT NULL PRIMARY KEY, provider TEXT NOT NULL, key_label TEXT NOT NULL, calls INTEGER NOT NULL,
    called_at BIGINT NOT NULL);
CREATE INDEX spent_calls_by_key ON spent_calls (provider, key_label, called_at);
CREATE TABLE call_marks (
    provider TEXT NOT NULL, key_label TEXT NOT NULL, minute INTEGER NOT NULL, calls INTEGER NOT NULL,
    PRIMARY KEY (provider, key_label, minute)) WITHOUT ROWID;
