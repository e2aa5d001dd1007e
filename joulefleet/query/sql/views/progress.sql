-- What has become of each trial of the study $study: one row a cell, block, place and protocol.
SELECT
    model, task, batch_size, threads_asked, dtype, environment, block, place, protocol,
    arg_max(status, started_at) AS status,
    arg_max(reason, started_at) AS reason,
    max(started_at) AS started_at
FROM trials
WHERE study = $study
GROUP BY ALL
ORDER BY started_at
