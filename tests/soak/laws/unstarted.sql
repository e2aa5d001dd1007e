-- What was measured has a start in the journal of its machine.
SELECT machine, attempt_id FROM rows ANTI JOIN starts USING (machine, attempt_id) WHERE status = 'ok'
