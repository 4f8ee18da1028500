"""Service Bus on loopback: AMQP 1.0 as Azure's SDK speaks it, over the embedded bus's queues."""
