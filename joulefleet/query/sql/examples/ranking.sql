-- Which model needs the least energy per item in each task, and which the least time?
SELECT
    study, task, machine, model,
    avg(j_per_item) AS j_per_item,
    energy_provenance,
    avg(window_s / coalesce(items, CASE WHEN imported_from IS NOT NULL THEN 1 END)) AS s_per_item,
    avg(energy_modelled_j / items) AS modelled_j_per_item,
    -- Joules of other tools, measured or modelled; per run where the number of items is unknown.
    avg(energy_reported_j / coalesce(items, 1)) AS reported_j,
    count(*) AS trials
FROM trials
WHERE status = 'ok'
GROUP BY
    study, task, machine_id, machine, model, energy_scope, energy_source, energy_provenance, batch_size, threads_requested,
    dtype, environment
ORDER BY study, task, machine, j_per_item, s_per_item
