"""A double of Application Insights: takes telemetry in, and shows operations as trees."""
