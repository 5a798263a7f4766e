-- name: one
-- The nth secret of a webhook.
SELECT s.sealed
  FROM runfold.webhook_secrets AS s
 WHERE s.tenant_id = %(tenant)s
   AND s.webhook_id = %(webhook)s
   AND s.generation = %(generation)s

-- name: add
-- Keeps a new secret, unless another was quicker.
INSERT INTO runfold.webhook_secrets (tenant_id, webhook_id, generation, sealed)
VALUES (%(tenant)s, %(webhook)s, %(generation)s, %(sealed)s)
    ON CONFLICT DO NOTHING

-- name: all
-- Every secret.
SELECT s.tenant_id, s.webhook_id, s.generation, s.sealed
  FROM runfold.webhook_secrets AS s

-- name: replace
-- Keeps the same secret encrypted with another key.
UPDATE runfold.webhook_secrets
   SET sealed = %(anew)s
 WHERE tenant_id = %(tenant_id)s
   AND webhook_id = %(webhook_id)s
   AND generation = %(generation)s
   AND sealed = %(sealed)s
