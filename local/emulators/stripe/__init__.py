"""Stripe as Tessera meets it: Checkout Sessions with a hosted page, refunds, idempotency keys and signed webhooks."""
