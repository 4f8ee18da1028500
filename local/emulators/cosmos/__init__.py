"""A double of Azure Cosmos DB for NoSQL: its REST protocol over SQLite, as far as a careful client needs it."""
