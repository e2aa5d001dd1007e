-- By what factor does each student differ from its teacher, by task and metric?
-- The geometric mean over blocks, without an interval: `joulefleet compare` gives those.
SELECT pair, task, machine, metric, basis, exp(avg(log_ratio)) AS ratio, count(*) AS blocks
FROM paired_log_ratios()
WHERE kind = 'distillation'
GROUP BY study, pair, task, machine_id, machine, metric, basis, batch_size, threads_asked, dtype, environment, regime
ORDER BY pair, metric, task, machine
