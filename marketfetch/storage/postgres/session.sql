-- Every statement of ours finds its rows by key. The planner knows nothing about a table that has just been filled, and would
-- read it whole, or hash it. The timeouts keep one stuck process, or a slow server, from blocking the others. A timeout for
-- statements that the server's own settings name is left as it is.
-- name: settings
SELECT set_config('jit', 'off', false), set_config('enable_seqscan', 'off', false),
       set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false),
       set_config('lock_timeout', ?, false), set_config('idle_in_transaction_session_timeout', '60s', false),
       CASE WHEN current_setting('statement_timeout') = '0' THEN set_config('statement_timeout', ?, false) END

-- Workers start together; without this lock two of them would make the same table.
-- name: alone_with_the_tables
SELECT pg_advisory_xact_lock(hashtext('marketfetch create'))

-- Waits for a job that is being recorded. A statement of its own, so that the next one sees that job.
-- name: no_new_jobs
LOCK TABLE job_requests IN SHARE ROW EXCLUSIVE MODE

-- name: now_ms
SELECT {ms:now()}
