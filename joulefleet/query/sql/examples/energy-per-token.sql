-- How much energy does a token take, and how many of the computed tokens are padding?
SELECT
    study, task, model, machine,
    median(j_per_token) AS j_per_token,
    energy_provenance,
    median(energy_modelled_j / tokens) AS modelled_j_per_token,
    median(tokens_per_s) AS tokens_per_s,
    1 - sum(tokens) / sum(padded_tokens) AS padding_share,
    count(*) AS trials
FROM trials
WHERE status = 'ok' AND tokens > 0
GROUP BY study, task, model, machine_id, machine, energy_scope, energy_source, energy_provenance
ORDER BY study, task, j_per_token, model
