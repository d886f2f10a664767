"""From a finished result to a node in Tiled, by way of a durable outbox."""
