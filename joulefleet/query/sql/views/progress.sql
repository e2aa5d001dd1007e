-- State of the trials of study $study: one row for each cell, block, place and protocol.
SELECT
    model, task, batch_size, threads_requested, dtype, environment, block, place, protocol,
    arg_max(status, started_at) AS status,
    arg_max(reason, started_at) AS reason,
    max(started_at) AS started_at
FROM trials
WHERE study = $study
GROUP BY ALL
ORDER BY started_at
