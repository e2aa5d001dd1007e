-- By what factor does each student differ from its teacher, by task? Energy (one basis a row) and time an item.
-- The geometric mean over blocks, without an interval: `joulefleet compare` gives those, and more metrics.
WITH arms AS (
    SELECT
        study, pair, machine_id, machine, block, "round", task, batch_size, threads_asked, dtype, environment, regime,
        concat_ws(' ', energy_provenance, energy_scope, energy_source) AS basis,
        -- Of several protocols in a block the newest counts.
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
GROUP BY study, pair, task, machine_id, machine, basis, batch_size, threads_asked, dtype, environment, regime
HAVING blocks > 0
ORDER BY pair, task, machine
