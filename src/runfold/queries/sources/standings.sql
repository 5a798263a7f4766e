-- name: folded by somebody
-- Whether a worker folds a read model, in whichever version. One that has died without a word is believed to for a minute: while
-- it builds an index, a living one says nothing either.
SELECT TRUE
  FROM runfold.workers
 WHERE beaten_at > clock_timestamp() - interval '1 minute'
   AND EXISTS (SELECT FROM unnest(names) AS folding WHERE split_part(folding, '/', 1) = %(name)s::text)
 LIMIT 1

-- name: positions of read models
-- How far each of some read models is, whether it has stopped, where the ledger ends, for how long it is behind, and what
-- its table was made for.
SELECT asked.name, p.position, t.state, h.position,
       (SELECT extract(epoch FROM clock_timestamp() - next.at)::float8
          FROM (SELECT runfold.recorded_at(p.position + 1) AS at) AS next
         WHERE isfinite(next.at)),
       p.version, m.fingerprint, m.types, p.generation
  FROM unnest(%b::text[]) AS asked (name)
 CROSS JOIN runfold.head AS h
  LEFT JOIN runfold.read_positions AS p USING (name)
  LEFT JOIN runfold.troubles AS t ON t.name = p.name AND t.generation = p.generation
  LEFT JOIN runfold.read_models AS m ON m.name = p.name AND m.generation = p.generation
