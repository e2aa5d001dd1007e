-- The data of a paired comparison: one row for each pair, metric, cell, machine, block and round, of accepted ok
-- trials. Teacher and student ran in the same study, on the same machine, in the same block and round, with the same
-- task and factors, and did equal work. Joules are paired only with joules of the same origin (basis). Without an
-- argument it covers every study. exp(avg(log_ratio)) is the ratio student/teacher.
CREATE MACRO paired_log_ratios(of_study := NULL) AS TABLE
WITH valued AS (
    SELECT
        study, trial_id, model, machine_id, machine, block, "round", task, batch_size, threads_requested, threads, dtype,
        environment, regime, isolation, weights_source, passes, items, started_at,
        unnest([
            {
                'metric': 'energy', 'unit': 'J/item', 'value': energy_j / nullif(items, 0),
                'basis': concat_ws(' ', energy_provenance, energy_scope, energy_source)
            },
            {
                'metric': 'energy_package', 'unit': 'J/item', 'value': energy_package_j / nullif(items, 0),
                'basis': concat_ws(' ', energy_provenance, 'package', energy_source)
            },
            {
                'metric': 'energy_modelled', 'unit': 'J/item', 'value': energy_modelled_j / nullif(items, 0),
                'basis': concat_ws(' ', 'modelled', modelled_formula)
            },
            {'metric': 'time', 'unit': 's/item', 'value': window_s / nullif(items, 0), 'basis': NULL},
            {'metric': 'cpu_time', 'unit': 's/item', 'value': cpu_seconds / nullif(items, 0), 'basis': NULL},
            {'metric': 'cpu_use', 'unit': '%', 'value': cpu_percent, 'basis': NULL},
            {'metric': 'memory', 'unit': 'B', 'value': work_peak_bytes::DOUBLE, 'basis': NULL}
        ], recursive := true)
    FROM trials
    WHERE status = 'ok' AND (of_study IS NULL OR study = of_study)
)
SELECT
    p.study, p.pair, p.kind, s.metric, s.unit, s.basis,
    s.machine_id, s.machine, s.block, s."round", s.task, s.batch_size, s.threads_requested, s.dtype, s.environment,
    s.regime, s.weights_source, p.teacher, p.student, t.trial_id AS teacher_trial_id, s.trial_id AS student_trial_id,
    t.value AS teacher_value, s.value AS student_value,
    CASE WHEN t.value > 0 AND s.value > 0 THEN ln(s.value / t.value) END AS log_ratio
FROM pairs AS p
JOIN valued AS s ON s.study = p.study AND s.model = p.student
JOIN valued AS t
    ON t.study = p.study AND t.model = p.teacher
    AND t.machine_id = s.machine_id AND t.block = s.block AND t."round" = s."round" AND t.task = s.task
    AND t.metric = s.metric AND t.basis IS NOT DISTINCT FROM s.basis
    AND t.batch_size IS NOT DISTINCT FROM s.batch_size AND t.threads_requested IS NOT DISTINCT FROM s.threads_requested
    AND t.threads IS NOT DISTINCT FROM s.threads AND t.dtype IS NOT DISTINCT FROM s.dtype
    AND t.environment IS NOT DISTINCT FROM s.environment AND t.regime IS NOT DISTINCT FROM s.regime
    AND t.isolation IS NOT DISTINCT FROM s.isolation AND t.weights_source IS NOT DISTINCT FROM s.weights_source
    AND t.passes IS NOT DISTINCT FROM s.passes AND t.items = s.items
WHERE t.value IS NOT NULL AND s.value IS NOT NULL
-- Where the teacher was measured by two protocols that did equal work, the trial nearest in time counts.
QUALIFY row_number() OVER (
    PARTITION BY p.pair, p.kind, p.teacher, s.trial_id, s.metric
    ORDER BY abs(epoch(s.started_at) - epoch(t.started_at)), t.trial_id
) = 1
