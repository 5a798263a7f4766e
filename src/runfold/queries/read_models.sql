-- name: positions of read models
-- How far each of some read models is, whether it has stopped, where the ledger ends, and for how long it is behind.
SELECT asked.name, p.position, t.state, h.position,
       extract(epoch FROM clock_timestamp() - runfold.recorded_at(p.position + 1))::float8
  FROM unnest(%b::text[]) AS asked (name)
 CROSS JOIN runfold.head AS h
  LEFT JOIN runfold.read_positions AS p USING (name)
  LEFT JOIN runfold.troubles AS t ON t.name = p.name AND t.generation = p.generation
