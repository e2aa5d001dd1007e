-- What does loading cost beside the work? Mean joules of phases in the fullest scope; measured and modelled apart.
SELECT
    e.study, e.model, e.task, e.provenance, e.domain, e.source,
    avg(e.joules) FILTER (e.phase = 'load') AS load_j,
    avg(e.joules) FILTER (e.phase = 'warm_up') AS warm_up_j,
    avg(e.joules) FILTER (e.phase = 'window') AS window_j,
    avg(e.joules) FILTER (e.phase = 'load')
        / avg(e.joules / t.items) FILTER (e.phase = 'window') AS items_a_load_is_worth
FROM energy AS e
JOIN trials AS t USING (trial_id)
WHERE t.status = 'ok' AND e.valid AND (e.domain = t.energy_scope OR e.provenance = 'modelled')
GROUP BY ALL
ORDER BY e.study, e.task, e.model, e.provenance
