-- Which doubts about the data were flagged, and does one arm of a pair have more of them?
SELECT study, model, flag, count(*) AS trials, count(*) / any_value(of_all) AS share
FROM (
    SELECT study, model, unnest(flags) AS flag, of_all
    FROM (SELECT *, count(*) OVER (PARTITION BY study, model) AS of_all FROM trials WHERE status = 'ok')
)
GROUP BY study, model, flag
ORDER BY study, flag, model
