-- By what factor does each student differ from its teacher in each task, in energy and in time per item?
-- Each ratio is the geometric mean over blocks, of joules of one origin. `joulefleet compare` adds intervals.
WITH arms AS (
    SELECT
        study, pair, machine_id, machine, block, "round", task, batch_size, threads_requested, dtype, environment, regime,
        concat_ws(' ', energy_provenance, energy_scope, energy_source) AS basis,
        -- Where a block has trials of several protocols, the newest counts.
        arg_max(j_per_item, started_at) FILTER (model = teacher) AS teacher_j,
        arg_max(j_per_item, started_at) FILTER (model = student) AS student_j,
        arg_max(window_s / items, started_at) FILTER (model = teacher) AS teacher_s,
        arg_max(window_s / items, started_at) FILTER (model = student) AS student_s
    FROM trials
    JOIN pairs USING (study)
    WHERE status = 'ok' AND pairs.kind = 'distillation' AND model IN (teacher, student)
    GROUP BY ALL
)
SELECT
    pair, task, machine, basis,
    exp(avg(ln(student_j / teacher_j))) AS energy_ratio,
    exp(avg(ln(student_s / teacher_s))) AS time_ratio,
    count(student_s / teacher_s) AS blocks
FROM arms
GROUP BY study, pair, task, machine_id, machine, basis, batch_size, threads_requested, dtype, environment, regime
HAVING blocks > 0
ORDER BY pair, task, machine
