-- How long does a batch take, and how long do the slowest batches take?
WITH cells AS (
    -- A number for each cell: to group thirty million batches by a number takes a third of the time.
    SELECT
        trial_id, study, task, model, machine, batch_size,
        dense_rank() OVER (
            ORDER BY study, task, model, machine_id, batch_size, threads_requested, dtype, environment
        ) AS cell
    FROM trials
    WHERE status = 'ok'
),
spread AS (
    SELECT cell, quantile_cont(latency_s, [0.5, 0.95, 0.99]) AS q, max(latency_s) AS worst_s, count(*) AS batches
    FROM latencies JOIN cells USING (trial_id)
    GROUP BY cell
)
SELECT study, task, model, machine, batch_size, q[1] AS p50_s, q[2] AS p95_s, q[3] AS p99_s, worst_s, batches
FROM spread
JOIN (SELECT DISTINCT cell, study, task, model, machine, batch_size FROM cells) USING (cell)
ORDER BY study, task, p50_s
