-- From schema 3: what replies have covered is stored, and the plan of a job is recorded. Releases of schema 2 and 3 go on using the
-- tables (see STILL_USABLE), so every column that is added has a default or may be null.
ALTER TABLE job_requests ADD COLUMN position INTEGER;
ALTER TABLE job_requests ADD COLUMN arguments TEXT;
ALTER TABLE ledger ADD COLUMN final_to DATE;
CREATE TABLE coverage (
    provider TEXT NOT NULL,
    dataset TEXT NOT NULL,
    symbol TEXT NOT NULL,
    timespan TEXT NOT NULL,
    adjustment TEXT NOT NULL,
    first_day DATE NOT NULL,
    last_day DATE NOT NULL,
    final_to DATE,
    fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (provider, dataset, symbol, timespan, adjustment, first_day)
);
CREATE TABLE jobs_to_cover (
    job_id TEXT NOT NULL PRIMARY KEY
);
INSERT INTO jobs_to_cover (job_id) SELECT id FROM jobs;
