-- How much do the machines differ in each cell? The fastest and the slowest, and those with least and most energy.
SELECT
    study, model, task, batch_size, threads_requested, dtype, environment, energy_provenance,
    count(*) AS machines,
    arg_min(machine, s_per_item) AS fastest,
    arg_max(machine, s_per_item) AS slowest,
    max(s_per_item) / min(s_per_item) AS times_slower,
    arg_min(machine, package_j_per_item) AS least_energy,
    arg_max(machine, package_j_per_item) AS most_energy,
    max(package_j_per_item) / min(package_j_per_item) AS times_more_energy
FROM (
    SELECT
        study, model, task, batch_size, threads_requested, dtype, environment, energy_provenance, machine_id,
        any_value(machine) AS machine,
        median(window_s / items) AS s_per_item,
        -- Energy of the packages only, which every machine counts: with dram, a machine without dram would win.
        median(energy_package_j / items) AS package_j_per_item
    FROM trials
    WHERE status = 'ok'
    GROUP BY ALL
)
GROUP BY ALL
ORDER BY study, task, model
