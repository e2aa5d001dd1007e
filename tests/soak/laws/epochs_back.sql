-- On a machine no coordinator's trial starts after one of a newer coordinator of that store.
SELECT machine, line, attempt_id, epoch,
    max(epoch) OVER (
        PARTITION BY file, store_id ORDER BY line ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS newer
FROM starts
QUALIFY epoch < newer
