-- How long does a batch take, and how long do the slowest take?
SELECT
    study, task, model, machine, batch_size,
    quantile_cont(latency_s, 0.5) AS p50_s,
    quantile_cont(latency_s, 0.95) AS p95_s,
    quantile_cont(latency_s, 0.99) AS p99_s,
    max(latency_s) AS worst_s,
    count(*) AS batches
FROM latencies
JOIN trials USING (trial_id)
WHERE status = 'ok'
GROUP BY study, task, model, machine_id, machine, batch_size, threads_asked, dtype, environment
ORDER BY study, task, p50_s
