-- What does an environment cost? Median time and energy of each cell by environment, on the same machine.
SELECT
    study, machine, model, task, environment,
    median(window_s / items) AS s_per_item,
    median(window_s / items) / min(median(window_s / items)) OVER cell AS times_the_fastest,
    median(energy_package_j / items) AS package_j_per_item,
    energy_provenance,
    count(*) AS trials
FROM trials
WHERE status = 'ok'
GROUP BY study, machine_id, machine, model, task, batch_size, threads_requested, dtype, environment, energy_provenance
WINDOW cell AS (PARTITION BY study, machine_id, model, task, batch_size, threads_requested, dtype)
ORDER BY study, machine, task, model, environment
