-- Which doubts about the measurement were marked, and does one arm of a pair have more of them?
SELECT study, model, mark, count(*) AS trials, count(*) / any_value(of_all) AS share
FROM (
    SELECT study, model, unnest(marks) AS mark, of_all
    FROM (SELECT *, count(*) OVER (PARTITION BY study, model) AS of_all FROM trials WHERE status = 'ok')
)
GROUP BY study, model, mark
ORDER BY study, mark, model
