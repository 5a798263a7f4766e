-- name: append
-- Append a batch of events, or tell which streams are not where it expected them.
SELECT first_position, recorded_at, conflicts, actual_versions, conflicting_tenants
  FROM runfold.append(%b::text[], %b::int8[], %b::text[], %b::int2[], %b::bytea[], %b::text[], %b::text[], %b::text[], %b::uuid[],
                      %b::text[], %b::text[], %b::text[], %b::int8[], %b::text[], %b::bytea)
