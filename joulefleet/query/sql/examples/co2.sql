-- How much CO2 do a million items cause at 400 g/kWh? Replace 400 by the value of your power grid.
SELECT
    study, task, model, machine,
    grams_co2e(1e6 * avg(j_per_item), 400) AS g_per_million,
    energy_provenance,
    grams_co2e(1e6 * avg(energy_modelled_j / items), 400) AS modelled_g_per_million,
    wh_per_1000_items(avg(j_per_item), 1) AS wh_per_1000_items,
    count(*) AS trials
FROM trials
WHERE status = 'ok'
GROUP BY
    study, task, model, machine_id, machine, energy_scope, energy_source, energy_provenance, batch_size, threads_requested,
    dtype, environment
ORDER BY study, task, g_per_million, modelled_g_per_million
