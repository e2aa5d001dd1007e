-- Joules of each trial by phase, domain and source. Where joules is null, valid is false and reason says why.
-- Domains overlap (core is part of package, psys contains it): add up packages and dram only.
SELECT
    study, trial_id, attempt_id, model, task, status, items, energy_scope,
    e.phase AS phase, e.domain AS domain, e.source AS source, e.provenance AS provenance,
    e.joules AS joules, e.joules IS NOT NULL AS valid, e.reason AS reason
FROM (
    SELECT study, trial_id, attempt_id, model, task, status, items, energy_scope, unnest(energies) AS e
    FROM internal.accepted
)
