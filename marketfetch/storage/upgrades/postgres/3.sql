-- From schema 2: jobs have an owner, a name and tags. Releases of schema 2 go on using the tables (see STILL_USABLE), so every
-- column that is added has a default or may be null.
ALTER TABLE jobs ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
