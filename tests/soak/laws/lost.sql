-- What was durable in an outbox is in the store, or still there; what an outbox has let go is in the store.
SELECT 'it was durable' AS why, machine, attempt_id FROM durable
ANTI JOIN (SELECT attempt_id FROM rows UNION ALL SELECT attempt_id FROM waiting) USING (attempt_id)
UNION
SELECT 'its outbox had let it go' AS why, machine, attempt_id FROM let_go ANTI JOIN rows USING (attempt_id)
ORDER BY ALL
