-- The models that no other model beats. A model is beaten by another that is at least as good in energy, time and
-- quality, and better in one of them. One row for each model, task, machine and factors, with means over accepted ok
-- trials; the second arms of proofs are left out. Energy is compared only in settings where all models have joules of
-- one origin: measured or simulated, or, with modelled := true, modelled. Quality is compared only where all have the
-- same metric.
CREATE MACRO pareto_front(of_study := NULL, modelled := false) AS TABLE
WITH averaged AS (
    SELECT
        study, task, machine_id, batch_size, threads_requested, dtype, environment, regime, weights_source, model,
        any_value(machine) AS machine,
        count(*) AS trials,
        avg(joules / items) AS j_per_item,
        avg(window_s / items) AS s_per_item,
        avg(quality) AS quality,
        CASE WHEN count(joules) = count(*) AND min(basis) = max(basis) THEN min(basis) END AS energy_basis,
        CASE
            WHEN count(quality) = count(*) AND min(quality_metric) = max(quality_metric) THEN min(quality_metric)
        END AS quality_metric
    FROM (
        SELECT
            *,
            CASE WHEN modelled THEN energy_modelled_j ELSE energy_j END AS joules,
            CASE
                WHEN modelled THEN concat_ws(' ', 'modelled', modelled_formula)
                ELSE concat_ws(' ', energy_provenance, energy_scope, energy_source)
            END AS basis
        FROM trials
        WHERE status = 'ok' AND items > 0 AND (of_study IS NULL OR study = of_study)
    )
    ANTI JOIN (SELECT study, student AS model FROM pairs WHERE kind <> 'distillation') USING (study, model)
    GROUP BY ALL
),
settled AS (
    SELECT
        *,
        dense_rank() OVER (
            ORDER BY study, task, machine_id, batch_size, threads_requested, dtype, environment, regime, weights_source
        ) AS setting,
        count(energy_basis) OVER same = count(*) OVER same
            AND min(energy_basis) OVER same = max(energy_basis) OVER same AS by_energy,
        count(quality_metric) OVER same = count(*) OVER same
            AND min(quality_metric) OVER same = max(quality_metric) OVER same AS by_quality
    FROM averaged
    WINDOW same AS (
        PARTITION BY study, task, machine_id, batch_size, threads_requested, dtype, environment, regime, weights_source
    )
)
SELECT
    study, task, machine_id, machine, batch_size, threads_requested, dtype, environment, regime, weights_source,
    model, trials,
    CASE WHEN by_energy THEN j_per_item END AS j_per_item,
    CASE WHEN by_energy THEN energy_basis END AS energy_basis,
    s_per_item,
    CASE WHEN by_quality THEN quality END AS quality,
    CASE WHEN by_quality THEN quality_metric END AS quality_metric
FROM settled AS a
WHERE NOT EXISTS (
    SELECT 1
    FROM settled AS b
    WHERE b.setting = a.setting
        AND b.s_per_item <= a.s_per_item
        AND (NOT a.by_energy OR b.j_per_item <= a.j_per_item)
        AND (NOT a.by_quality OR b.quality >= a.quality)
        AND (
            b.s_per_item < a.s_per_item
            OR (a.by_energy AND b.j_per_item < a.j_per_item)
            OR (a.by_quality AND b.quality > a.quality)
        )
)
