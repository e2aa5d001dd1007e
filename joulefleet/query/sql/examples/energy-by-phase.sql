-- How much energy does loading take, compared with the work? Mean joules by phase; measured and modelled apart.
SELECT
    study, model, task, provenance, domain, source,
    avg(joules) FILTER (phase = 'load') AS load_j,
    avg(joules) FILTER (phase = 'warm_up') AS warm_up_j,
    avg(joules) FILTER (phase = 'window') AS window_j,
    avg(joules) FILTER (phase = 'load') / avg(joules / items) FILTER (phase = 'window') AS load_in_items
FROM energy
WHERE status = 'ok' AND valid AND (domain = energy_scope OR provenance = 'modelled')
GROUP BY ALL
ORDER BY study, task, model, provenance
