"""From the repository to a running Tessera on Azure, and whether it works: what pipelines, azd and people call."""
