-- How far apart are the machines, cell by cell? The fastest and the slowest by time, the thriftiest and the hungriest.
SELECT
    study, model, task, batch_size, threads_asked, dtype, environment, energy_provenance,
    count(*) AS machines,
    arg_min(machine, s_per_item) AS fastest,
    arg_max(machine, s_per_item) AS slowest,
    max(s_per_item) / min(s_per_item) AS times_slower,
    arg_min(machine, package_j_per_item) AS thriftiest,
    arg_max(machine, package_j_per_item) AS hungriest,
    max(package_j_per_item) / min(package_j_per_item) AS times_hungrier
FROM (
    SELECT
        study, model, task, batch_size, threads_asked, dtype, environment, energy_provenance, machine_id,
        any_value(machine) AS machine,
        median(window_s / items) AS s_per_item,
        -- The packages alone, which every machine counts: by a fuller scope one would win by counting less.
        median(energy_package_j / items) AS package_j_per_item
    FROM trials
    WHERE status = 'ok'
    GROUP BY ALL
)
GROUP BY ALL
ORDER BY study, task, model
