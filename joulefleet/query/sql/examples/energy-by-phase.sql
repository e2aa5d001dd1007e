-- What does loading cost beside the work? Mean joules of phases in the fullest scope; measured and modelled apart.
SELECT
    study, model, task, provenance, domain, source,
    avg(joules) FILTER (phase = 'load') AS load_j,
    avg(joules) FILTER (phase = 'warm_up') AS warm_up_j,
    avg(joules) FILTER (phase = 'window') AS window_j,
    avg(joules) FILTER (phase = 'load') / avg(joules / items) FILTER (phase = 'window') AS items_a_load_is_worth
FROM energy
WHERE status = 'ok' AND valid AND (domain = energy_scope OR provenance = 'modelled')
GROUP BY ALL
ORDER BY study, task, model, provenance
