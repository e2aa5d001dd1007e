-- What is durable is not run again.
SELECT machine, attempt_id, epoch, starts."at" - since AS seconds_later
FROM starts
JOIN (SELECT machine, store_id, attempt_id, min("at") AS since FROM durable GROUP BY ALL)
USING (machine, store_id, attempt_id)
WHERE starts."at" > since
